// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client_fixture.hpp"

namespace lrpc::queue::kafka::test {

/// Threads that publish one record after the other to partition 0 of a topic, each of its own value, and what they were
/// told of each.
class Tally {
 public:
  Tally(Producer& producer, std::string topic, int threads, std::chrono::milliseconds timeout)
      : producer_(producer), topic_(std::move(topic)), timeout_(timeout) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { publish(); });
  }
  void stop() {
    stop_ = true;
    threads_.clear();
  }
  /// How many were told as stored so far.
  [[nodiscard]] std::size_t stored() const {
    const std::lock_guard lock(mutex_);
    return certain_.size();
  }
  /// After stop: what is found must be all that is certain, nothing twice, and nothing that was told as not stored.
  void check(const std::vector<RawRecord>& records) {
    std::vector<std::string> found;
    for (const RawRecord& record : records) found.push_back(record.value.value_or("none"));
    std::ranges::sort(found);
    std::ranges::sort(certain_);
    std::ranges::sort(open_);
    EXPECT_EQ(std::ranges::adjacent_find(found), found.end()) << "stored twice";
    std::vector<std::string> lost;
    std::ranges::set_difference(certain_, found, std::back_inserter(lost));
    EXPECT_THAT(lost, ::testing::IsEmpty());
    std::vector<std::string> possible;
    std::ranges::set_union(certain_, open_, std::back_inserter(possible));
    std::vector<std::string> unexplained;
    std::ranges::set_difference(found, possible, std::back_inserter(unexplained));
    EXPECT_THAT(unexplained, ::testing::IsEmpty()) << "told as not stored";
  }

 private:
  void publish() {
    while (!stop_) {
      const std::string value = std::to_string(++number_);
      const Produced done = produce(producer_, {.topic = topic_, .value = bytes(value)}, in(timeout_));
      const std::lock_guard lock(mutex_);
      if (!done.error) certain_.push_back(value);
      if (done.error && done.error->code == ErrorCode::outcome_unknown) open_.push_back(value);
    }
  }

  Producer& producer_;
  const std::string topic_;
  const std::chrono::milliseconds timeout_;
  std::atomic<bool> stop_{false};
  std::atomic<int> number_{0};
  mutable std::mutex mutex_;
  std::vector<std::string> certain_;
  std::vector<std::string> open_;
  std::vector<std::jthread> threads_;
};

}  // namespace lrpc::queue::kafka::test
