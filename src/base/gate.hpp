// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

namespace lrpc::queue::detail {

/// Lets calls in until it is shut, and shuts only when those inside have left.
class Gate {
 public:
  /// True while it lives when the call may go on.
  class Pass {
   public:
    explicit Pass(Gate* gate) noexcept : gate_(gate) {}
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() {
      if (gate_ != nullptr) gate_->leave();
    }
    explicit operator bool() const noexcept { return gate_ != nullptr; }

   private:
    Gate* gate_;
  };

  [[nodiscard]] Pass enter() {
    const std::lock_guard lock(mutex_);
    if (shut_) return Pass(nullptr);
    ++inside_;
    return Pass(this);
  }
  /// Lets nobody in any more. Returns whether this call was the first.
  bool shut() {
    const std::lock_guard lock(mutex_);
    if (shut_) return false;
    shut_ = true;
    changed_.notify_all();
    return true;
  }
  [[nodiscard]] bool is_shut() const {
    const std::lock_guard lock(mutex_);
    return shut_;
  }
  /// Waits until it is shut, or until `deadline`. Returns whether it is: for those inside who wait for something else.
  bool await_shut(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [this] { return shut_; });
  }
  /// Waits until nobody is inside.
  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_ == 0; });
  }

 private:
  void leave() {
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // shut, or nobody is inside
  std::size_t inside_ = 0;
  bool shut_ = false;
};

}  // namespace lrpc::queue::detail
