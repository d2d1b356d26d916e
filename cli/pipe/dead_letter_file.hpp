// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::cli {

/// Appends dead letters to a file, each at once. Thread-safe.
class DeadLetterFile {
 public:
  [[nodiscard]] static Result<DeadLetterFile> open(const std::string& path);
  DeadLetterFile(DeadLetterFile&& other) noexcept;
  DeadLetterFile& operator=(DeadLetterFile&&) = delete;
  ~DeadLetterFile();

  /// Returns when the line is written; after an error no part of it stays in a regular file.
  [[nodiscard]] Result<void> append(std::string_view line);

 private:
  DeadLetterFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_;
  std::string path_;
  std::mutex mutex_;
};

}  // namespace lrpc::queue::cli
