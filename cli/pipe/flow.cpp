// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "pipe/flow.hpp"

namespace lrpc::queue::cli {

bool Flow::enter(std::int64_t bytes) {
  std::unique_lock lock(mutex_);
  const bool room = changed_.wait(
      lock, stop_, [&] { return messages_ == 0 || (messages_ < max_messages_ && bytes_ + bytes <= max_bytes_); });
  if (!room || stop_.stop_requested()) return false;
  ++messages_;
  bytes_ += bytes;
  return true;
}

void Flow::leave(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  leave_locked(1, bytes);
}

void Flow::leave_unknown(std::int64_t messages) {
  const std::lock_guard lock(mutex_);
  leave_locked(messages, 0);
}

void Flow::leave_locked(std::int64_t messages, std::int64_t bytes) {
  messages_ -= messages;
  bytes_ = messages_ == 0 ? 0 : bytes_ - bytes;
  left_ += static_cast<std::uint64_t>(messages);
  changed_.notify_all();
}

std::uint64_t Flow::left() const {
  const std::lock_guard lock(mutex_);
  return left_;
}

bool Flow::wait_left_beyond(std::uint64_t seen) {
  std::unique_lock lock(mutex_);
  const bool changed = changed_.wait(lock, stop_, [&] { return left_ != seen || messages_ <= 1; });
  return changed && left_ != seen && !stop_.stop_requested();
}

void Flow::wait_empty() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop_, [&] { return messages_ == 0; });
}

std::int64_t Flow::inside() const {
  const std::lock_guard lock(mutex_);
  return messages_;
}

}  // namespace lrpc::queue::cli
