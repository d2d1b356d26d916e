// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>
#include <csignal>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include <lrpc/queue/error.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue::cli {

/// How a child process ended.
struct ChildEnd {
  enum class Kind { exited, signalled, timed_out };
  Kind kind = Kind::exited;
  int value = 0;  ///< Exit status or signal number.
};

/// Runs shell commands, each in a process group of its own, and knows which are running. Thread-safe.
class ChildProcesses {
 public:
  /// `mask`: the signal mask of the children.
  explicit ChildProcesses(const sigset_t& mask) noexcept : mask_(mask) {}
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;
  ~ChildProcesses() = default;

  /// Runs `sh -c command` with `input` on its stdin, `variables` ("NAME=value") added to the environment and our stdout
  /// and stderr, and waits for its end; a command that does not read its stdin is fine. After `timeout` (0 = none) its
  /// process group gets SIGTERM, and SIGKILL once the shell has ended, at the latest a second later. An Error means
  /// that no process could be started; `retryable` then tells whether for want of resources.
  [[nodiscard]] Result<ChildEnd> run(const std::string& command, std::string_view input,
                                     std::span<const std::string> variables, Duration timeout);

  /// Kills the process groups of all running children; from then on none can be started.
  void kill_all() noexcept;

 private:
  Result<pid_t> spawn(const std::string& command, std::span<const std::string> variables, int stdin_fd);
  ChildEnd reap(pid_t pid, bool timed_out);

  const sigset_t mask_;
  std::shared_mutex starting_;  // shared: a child is being started; exclusive: kill_all
  bool killed_ = false;
  std::mutex live_mutex_;  // after starting_
  std::unordered_set<pid_t> live_;
};

}  // namespace lrpc::queue::cli
