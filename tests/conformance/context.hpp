// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <source_location>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "waiting.hpp"

/// \file
/// What a test of the suite works with: the queue under test, its clock, and checks that say where they failed.

namespace lrpc::queue::conformance {

/// Thrown by `must` after it recorded a failure; ends the test.
struct Abort {};

/// One line about a result, for failure messages.
template <class T>
[[nodiscard]] std::string describe(const Result<T>& result) {
  if (result) return "success";
  return std::string(to_string(result.error().code)) + ": " + result.error().message;
}

/// The value of a call that has to succeed; ends the test otherwise. Only on the thread of the test.
template <class T>
T must(Result<T> result, std::source_location at = std::source_location::current()) {
  if (!result) {
    ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line())) << describe(result);
    throw Abort{};
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// The bodies `from` to `to`.
[[nodiscard]] std::vector<int> numbers(int from, int to);

/// Checks that a call succeeded.
template <class T>
void expect_ok(const Result<T>& result, std::source_location at = std::source_location::current()) {
  if (!result) ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line())) << describe(result);
}

/// Checks that a call failed with this code, and that its message says something.
template <class T>
void expect_error(const Result<T>& result, ErrorCode code, std::source_location at = std::source_location::current()) {
  if (result || result.error().code != code) {
    ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line()))
        << "expected " << to_string(code) << ", got " << describe(result);
  } else if (result.error().message.empty()) {
    ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line())) << to_string(code) << " without a message";
  }
}

/// A queue with one topic ("events") and one channel ("work").
template <class T>
struct Setup {
  Queue queue;
  Topic<T> topic;
  Channel<T> channel;
};

/// One run of one test.
class Context {
 public:
  explicit Context(const Subject& subject);

  [[nodiscard]] bool claims(Capability c) const { return subject_.claims.contains(c); }
  [[nodiscard]] const Subject& subject() const noexcept { return subject_; }

  /// A fresh, empty queue, on the manual clock where the back end follows one; its log lines go to `logs`.
  [[nodiscard]] Queue open(Config overlay = {});
  /// As open, but hands the error to the test.
  [[nodiscard]] Result<Queue> try_open(Config overlay);
  /// A fresh queue with topic "events" and channel "work".
  template <class T>
  [[nodiscard]] Setup<T> setup(const ChannelConfig& channel = {}, const TopicConfig& topic = {}, Config config = {}) {
    Queue queue = open(std::move(config));
    Topic<T> opened = must(queue.topic<T>("events", topic));
    Channel<T> work = must(opened.get_or_add_channel("work", channel));
    return Setup<T>{std::move(queue), std::move(opened), std::move(work)};
  }

  /// The time of messages; only in tests that need Capability::manual_clock.
  [[nodiscard]] ManualClock& clock() noexcept { return *clock_; }
  void advance(Duration by) { clock_->advance(by); }
  /// Passes `total` in small steps with a moment of real time after each, so that renewals due on the way happen.
  void advance_slowly(Duration total, Duration step);
  [[nodiscard]] std::int64_t now_ms() const { return clock_->now().wall_ms; }
  [[nodiscard]] std::int64_t now_s() const { return clock_->now().wall_s(); }
  /// Moves on to the start of the next whole second of the wall clock.
  void advance_to_whole_second();

  /// Real time that something expected may take at most.
  [[nodiscard]] Duration patience() const noexcept { return patience_; }
  /// Gives something that must not happen a moment of real time to happen.
  static void wait_a_moment();
  /// Whether `condition` becomes true within `patience`.
  [[nodiscard]] bool eventually(const std::function<bool()>& condition) const;
  /// A token that is triggered after `patience`: a bound for calls that have no time-out of their own.
  [[nodiscard]] std::stop_token deadline();

  /// The next message, which has to come.
  template <class T>
  [[nodiscard]] Message<T> receive(Channel<T>& channel, std::source_location at = std::source_location::current()) {
    return must(channel.try_next(patience_), at);
  }
  /// Receives and acks `count` messages one by one; their bodies in the order of delivery.
  template <class T>
  [[nodiscard]] std::vector<T> take(Channel<T>& channel, std::size_t count,
                                    std::source_location at = std::source_location::current()) {
    std::vector<T> bodies;
    for (std::size_t i = 0; i < count; ++i) {
      Message<T> message = receive(channel, at);
      must(channel.ack(message), at);
      bodies.push_back(message.body());
    }
    return bodies;
  }
  /// What next_batch gives of `most` messages that are there: in one call where all messages of a channel come in
  /// order, else in some, as a part of them may come a moment later.
  template <class T>
  std::vector<Message<T>> batch(Channel<T>& channel, std::size_t most,
                                std::source_location at = std::source_location::current()) {
    std::vector<Message<T>> list = must(channel.next_batch(most, patience()), at);
    while (!claims(Capability::total_order) && list.size() < most) {
      auto more = channel.next_batch(most - list.size(), std::chrono::seconds(1));
      if (!more) break;
      std::ranges::move(*more, std::back_inserter(list));
    }
    return list;
  }
  /// Options for messages whose order is what the test is about: of a key where only those of a key have one.
  [[nodiscard]] PubOptions in_order(PubOptions options = {}) const {
    if (!claims(Capability::total_order)) options.key = "in order";
    return options;
  }
  /// Checks that `got` are these bodies: in this order where messages come in the order of their publish, else in any.
  template <class T>
  void expect_bodies(std::vector<T> got, std::vector<T> expected,
                     std::source_location at = std::source_location::current()) {
    if (!claims(Capability::total_order)) {
      std::sort(got.begin(), got.end());  // of bool, too
      std::sort(expected.begin(), expected.end());
    }
    const testing::ScopedTrace here(at.file_name(), static_cast<int>(at.line()), "the bodies");
    EXPECT_EQ(got, expected);
  }
  /// Receives and acks as many and checks them likewise.
  template <class T>
  void expect_next(Channel<T>& channel, std::vector<T> bodies,
                   std::source_location at = std::source_location::current()) {
    std::vector<T> got = take(channel, bodies.size(), at);
    expect_bodies(std::move(got), std::move(bodies), at);
  }
  /// Checks that nothing is ready now.
  template <class T>
  void expect_nothing(Channel<T>& channel, std::source_location at = std::source_location::current()) {
    const auto result = channel.try_next(Duration(0));
    if (result) {
      ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line()))
          << "unexpected message " << result->id() << ", attempt " << result->attempts();
    } else {
      expect_error(result, ErrorCode::no_message, at);
    }
  }
  /// Checks that depth() comes to `depth`: at once where the back end claims it, else in time.
  template <class T>
  void expect_depth(Channel<T>& channel, std::int64_t depth,
                    std::source_location at = std::source_location::current()) {
    std::int64_t seen = -1;
    const auto reached = [&] { return (seen = must(channel.depth(), at)) == depth; };
    if (!(claims(Capability::exact_depth) ? reached() : eventually(reached))) {
      ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line())) << "depth " << seen << ", expected " << depth;
    }
  }

  /// Whether a log line contains `text`.
  [[nodiscard]] bool logged(std::string_view text) const { return logs_->contains(text); }

 private:
  struct Logs {
    std::mutex mutex;
    std::vector<std::string> lines;
    bool contains(std::string_view text);
  };

  const Subject& subject_;
  Duration patience_;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::shared_ptr<Logs> logs_ = std::make_shared<Logs>();
  std::vector<std::unique_ptr<Timer>> timers_;
};

}  // namespace lrpc::queue::conformance
