// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <functional>
#include <optional>
#include <thread>

#include <lrpc/queue/types.hpp>

#include "shared/line_reader.hpp"

namespace lrpc::queue::cli {

/// Keeps SIGINT, SIGTERM and SIGHUP (those that were not ignored when the program started, as nohup does) from ending
/// the process, for a Watcher to receive. Construct it before any other thread starts: they inherit the mask.
class WatchedSignals {
 public:
  WatchedSignals();
  WatchedSignals(const WatchedSignals&) = delete;
  WatchedSignals& operator=(const WatchedSignals&) = delete;
  ~WatchedSignals();

  [[nodiscard]] const sigset_t& set() const noexcept { return watched_; }
  /// The signal mask that the program was started with: what its children get.
  [[nodiscard]] const sigset_t& original_mask() const noexcept { return original_; }

 private:
  sigset_t watched_{};
  sigset_t original_{};
};

/// Waits on a thread of its own for what comes from outside: the watched signals, the end of whoever reads our stdout,
/// and the time of the next progress line.
class Watcher {
 public:
  struct Events {
    std::function<void(int signal)> on_signal;  ///< Each time one of them arrives; those at one moment count as one.
    std::function<void()> on_output_lost;       ///< Once, when the reader of stdout has gone.
    std::function<void()> on_tick;              ///< Every `tick`.
    std::optional<Duration> tick;               ///< Unset = never.
  };

  Watcher(const WatchedSignals& signals, Events events);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  /// Ends the thread, after a callback under way.
  ~Watcher();

 private:
  void run();

  int signal_fd_;
  StopEvent quit_;
  Events events_;
  std::jthread thread_;
};

}  // namespace lrpc::queue::cli
