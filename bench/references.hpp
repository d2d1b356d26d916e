// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

#include <concurrentqueue/blockingconcurrentqueue.h>

#include "body.hpp"

/// \file
/// What we compare with. None of them has ids, timestamps, expiry, attempts, acks or leases.

namespace lrpc::queue::bench {

using BodyPtr = std::shared_ptr<const Body>;

[[nodiscard]] inline BodyPtr make_body(std::uint32_t sequence) {
  return std::make_shared<const Body>(Body{.sequence = sequence});
}

/// Reference (a): what one writes by hand.
class BareQueue {
 public:
  void push(BodyPtr body) {
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(body));
    }
    ready_.notify_one();
  }

  [[nodiscard]] BodyPtr pop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return !items_.empty(); });
    BodyPtr body = std::move(items_.front());
    items_.pop_front();
    return body;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<BodyPtr> items_;
};

/// Reference (c).
class MoodyQueue {
 public:
  void push(BodyPtr body) { items_.enqueue(std::move(body)); }

  [[nodiscard]] BodyPtr pop() {
    BodyPtr body;
    items_.wait_dequeue(body);
    return body;
  }

  void push_bulk(BodyPtr* first, std::size_t count) { items_.enqueue_bulk(std::make_move_iterator(first), count); }
  [[nodiscard]] std::size_t pop_bulk(BodyPtr* first, std::size_t max) { return items_.wait_dequeue_bulk(first, max); }

 private:
  moodycamel::BlockingConcurrentQueue<BodyPtr> items_;
};

/// A hand-over by a condition variable and nothing else: the consumer sleeps until the number it waits for is posted.
class BareHandOver {
 public:
  void post(std::uint32_t number) {
    {
      const std::lock_guard lock(mutex_);
      posted_ = number;
    }
    changed_.notify_one();
  }
  void wait_for(std::uint32_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return posted_ >= number; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t posted_ = 0;
};

}  // namespace lrpc::queue::bench
