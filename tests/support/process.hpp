// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace lrpc::queue::support {

/// A folder that goes with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// A TCP port of the loopback interface that nobody uses now, and that no connection is given as its own end: a server
/// that is killed finds it free again.
[[nodiscard]] int free_port();

/// What a file contains.
[[nodiscard]] std::string contents(const std::filesystem::path& file);

/// Runs a program to its end, with its output appended to a file. Throws std::runtime_error with that when it fails.
void run(const std::vector<std::string>& words, const std::filesystem::path& output);

/// A child process that ends with its owner.
class Process {
 public:
  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  /// Starts it with its output appended to a log.
  void launch(const std::vector<std::string>& words, const std::filesystem::path& log);
  /// Waits until it is ready. Throws std::runtime_error with the log when it ends before, or the time does.
  void await(const std::function<bool()>& ready, std::chrono::milliseconds time);
  /// Both; it is ready when its log says so.
  void start(const std::vector<std::string>& words, const std::filesystem::path& log, const std::string& ready);
  /// -1 when there is none.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const;
  /// SIGSTOP, and waits until no thread of it runs any more. SIGCONT ends it.
  void pause();
  /// Waits until it is gone.
  void await_end();
  /// The same, but no longer than this; false when the time is over.
  bool await_end(std::chrono::milliseconds time);

 private:
  bool ended();

  std::string name_;
  std::filesystem::path log_;
  pid_t pid_ = -1;
};

}  // namespace lrpc::queue::support
