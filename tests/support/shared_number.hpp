// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

namespace lrpc::queue::support {

/// A number in a file: what one process stores, all others that have it see at once. 0 at first.
class SharedNumber {
 public:
  /// Makes the file when there is none. Throws std::runtime_error when it cannot.
  explicit SharedNumber(const std::filesystem::path& file);
  SharedNumber(const SharedNumber&) = delete;
  SharedNumber& operator=(const SharedNumber&) = delete;
  ~SharedNumber();

  [[nodiscard]] std::int64_t load() const noexcept;
  void store(std::int64_t number) noexcept;

 private:
  std::int64_t* number_;
};

}  // namespace lrpc::queue::support
