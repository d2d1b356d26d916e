// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <utility>

namespace lrpc::queue::cli {

/// Bounds what `pipe` holds in memory: the reader waits here until so many messages and bytes are settled that its next
/// one has room. Thread-safe; every wait ends when the stop token is triggered.
class Flow {
 public:
  Flow(std::int64_t max_messages, std::int64_t max_bytes, std::stop_token stop)
      : max_messages_(max_messages), max_bytes_(max_bytes), stop_(std::move(stop)) {}

  /// Waits for room and takes it; one message is let in whatever its size. False when stopped.
  [[nodiscard]] bool enter(std::int64_t bytes);
  /// A message that entered is settled for good, or was not published after all.
  void leave(std::int64_t bytes);
  /// Messages that the queue gave up by itself; their sizes are not known any more.
  void leave_unknown(std::int64_t messages);

  /// Counts the messages that ever left.
  [[nodiscard]] std::uint64_t left() const;
  /// Waits until one has left since `left()` gave `seen`. False when stopped, or when only the caller's own message is
  /// inside, so that nothing can leave.
  [[nodiscard]] bool wait_left_beyond(std::uint64_t seen);
  /// Waits until nothing is inside, or stopped.
  void wait_empty();
  /// Messages inside.
  [[nodiscard]] std::int64_t inside() const;

 private:
  void leave_locked(std::int64_t messages, std::int64_t bytes);

  const std::int64_t max_messages_;
  const std::int64_t max_bytes_;
  const std::stop_token stop_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::int64_t messages_ = 0;
  std::int64_t bytes_ = 0;
  std::uint64_t left_ = 0;
};

}  // namespace lrpc::queue::cli
