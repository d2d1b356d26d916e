// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lrpc/queue.hpp>

#include "client.hpp"
#include "waiting.hpp"

/// \file
/// A server with clients that a test breaks as it likes, on a clock that the test moves.

namespace lrpc::queue::wire {

using conformance::Collector;
using conformance::Gate;
using conformance::OpenAtExit;
using conformance::Stopwatch;

/// Real time that something expected may take at most; generous, for sanitizers and busy machines.
inline constexpr Duration kPatience = std::chrono::seconds(10);
/// Real time to wait for something that must not happen.
inline constexpr Duration kMoment{20};
/// The lease of the tests' deliveries, by the test's clock.
inline constexpr Duration kLease = std::chrono::seconds(30);

/// The value of a call that has to succeed; ends the test otherwise.
template <class T>
T must(Result<T> result, std::source_location at = std::source_location::current()) {
  if (!result) {
    throw std::runtime_error("line " + std::to_string(at.line()) + ": " + std::string(to_string(result.error().code)) +
                             ": " + result.error().message);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// The code of a call that has to fail; empty when it succeeded.
template <class T>
std::string_view error_of(const Result<T>& result) {
  return result ? std::string_view{} : to_string(result.error().code);
}

/// Whether `condition` becomes true in time.
inline bool eventually(const std::function<bool()>& condition, Duration limit = kPatience) {
  for (const Stopwatch watch; watch.elapsed() < limit;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

/// The faults are the test's own: warnings about them say nothing.
inline void quiet(LogLevel /*level*/, std::string_view /*line*/) {}

/// One queue on the server, over a line of its own.
struct Client {
  std::shared_ptr<Link> link;
  Queue queue;
  Topic<std::string> topic;
  Channel<std::string> channel;

  /// The next message, which has to come.
  Message<std::string> receive(std::source_location at = std::source_location::current()) {
    return must(channel.try_next(kPatience), at);
  }
  /// The body of the next message, or the error: for threads, where an exception would end the process.
  std::string receive_text() {
    const auto message = channel.try_next(kPatience);
    return message ? message->body() : std::string(error_of(message));
  }
  /// Whether nothing is ready for this client now.
  bool nothing() { return error_of(channel.try_next(Duration(0))) == "no_message"; }
  std::int64_t depth() { return must(channel.depth()); }
};

class WireTest : public testing::Test {
 protected:
  /// The settings of a channel "work" whose deliveries last kLease.
  static ChannelConfig settings() { return ChannelConfig{.ack_timeout = kLease, .close_timeout = kPatience}; }

  /// A new client with topic "events" and channel `name`.
  Client connect(const ChannelConfig& config = settings(), const std::string& name = "work") {
    auto link = make_link(server_, ++seed_);
    Queue queue = must(Queue::open(Config{.backend_factory = wire_backend(link), .logger = quiet, .clock = clock_}));
    auto topic = must(queue.topic<std::string>("events"));
    auto channel = must(topic.get_or_add_channel(name, config));
    return {
        .link = std::move(link), .queue = std::move(queue), .topic = std::move(topic), .channel = std::move(channel)};
  }

  /// Passes `total` in steps of a sixth of a lease; at each step `client` gets the time to renew what it holds.
  void pass_with_renewals(const Client& client, Duration total) {
    constexpr Duration kStep = kLease / 6;
    std::uint64_t renewed = client.link->calls(Op::touch);
    int idle = 0;
    for (Duration passed{0}; passed < total; passed += kStep) {
      clock_->advance(kStep);
      // A holder renews well before the lease ends, not at every step: three steps without a renewal are half a lease.
      const bool now =
          eventually([&] { return client.link->calls(Op::touch) > renewed; }, idle >= 3 ? kPatience : kMoment);
      idle = now ? 0 : idle + 1;
      renewed = client.link->calls(Op::touch);
    }
  }

  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  const std::shared_ptr<WireServer> server_ = std::make_shared<WireServer>(clock_);

 private:
  std::uint64_t seed_ = 0;
};

}  // namespace lrpc::queue::wire
