// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue/types.hpp>

/// \file
/// Bounded waits for tests: everything here gives up after its patience, so that a broken back end makes a test fail
/// instead of hang.

namespace lrpc::queue::conformance {

/// Lets threads wait until the test opens it.
class Gate {
 public:
  explicit Gate(Duration patience) noexcept : patience_(patience) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  /// Opens it and waits until nobody is in it any more: a handler may outlive the queue that gave up on it.
  ~Gate() {
    std::unique_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return inside_ == 0; });
  }

  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  /// Waits for `open`; false when it did not come in time.
  bool pass() {
    std::unique_lock lock(mutex_);
    ++entered_;
    ++inside_;
    changed_.notify_all();
    const bool passed = changed_.wait_for(lock, patience_, [&] { return open_; });
    --inside_;
    changed_.notify_all();
    return passed;
  }
  /// Waits until `count` calls of pass have begun.
  [[nodiscard]] bool wait_for_entered(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience_, [&] { return entered_ >= count; });
  }
  [[nodiscard]] int entered() const {
    const std::lock_guard lock(mutex_);
    return entered_;
  }

 private:
  const Duration patience_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int entered_ = 0;
  int inside_ = 0;
};

/// Opens a gate at the end of a scope: declare it after the queue, so that an aborted test does not make the queue's
/// close wait for handlers that wait for the gate.
class OpenAtExit {
 public:
  explicit OpenAtExit(Gate& gate) noexcept : gate_(gate) {}
  OpenAtExit(const OpenAtExit&) = delete;
  OpenAtExit& operator=(const OpenAtExit&) = delete;
  ~OpenAtExit() { gate_.open(); }

 private:
  Gate& gate_;
};

/// Collects values from many threads.
template <class T>
class Collector {
 public:
  explicit Collector(Duration patience) noexcept : patience_(patience) {}

  void add(T value) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// Waits until at least `count` values are there.
  [[nodiscard]] bool wait_for(std::size_t count) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience_, [&] { return items_.size() >= count; });
  }
  [[nodiscard]] std::vector<T> items() const {
    const std::lock_guard lock(mutex_);
    return items_;
  }
  /// The values in ascending order, where the order of arrival says nothing.
  [[nodiscard]] std::vector<T> sorted() const {
    std::vector<T> result = items();
    std::sort(result.begin(), result.end());
    return result;
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  const Duration patience_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<T> items_;
};

/// Triggers a stop source after a while.
class Timer {
 public:
  explicit Timer(Duration after)
      : thread_([this, after](const std::stop_token& cancelled) {
          std::unique_lock lock(mutex_);
          if (!wake_.wait_for(lock, cancelled, after, [] { return false; }) && !cancelled.stop_requested()) {
            source_.request_stop();
          }
        }) {}
  [[nodiscard]] std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::stop_source source_;
  std::jthread thread_;
};

/// Measures real time.
class Stopwatch {
 public:
  [[nodiscard]] Duration elapsed() const {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - start_);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lrpc::queue::conformance
