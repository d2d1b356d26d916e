// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <atomic>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Blocking calls: bounded, cancellable, woken by what they wait for and by nothing else (D21).

namespace lrpc::queue::conformance {
namespace {

void try_next_is_bounded(Context& ctx) {
  auto s = ctx.setup<int>();
  const Stopwatch watch;
  expect_error(s.channel.try_next(Duration(30)), ErrorCode::no_message);
  EXPECT_GE(watch.elapsed(), Duration(29));
  expect_error(s.channel.next_batch(3, Duration(30)), ErrorCode::no_message);
  EXPECT_GE(watch.elapsed(), Duration(58));
  EXPECT_LT(watch.elapsed(), ctx.patience());
}

void negative_timeout_does_not_wait(Context& ctx) {
  auto s = ctx.setup<int>();
  const Stopwatch watch;
  for (const Duration timeout : {Duration(-1), Duration::min()}) {
    const auto one = s.channel.try_next(timeout);
    EXPECT_TRUE(!one && (one.error().code == ErrorCode::no_message || one.error().code == ErrorCode::invalid_argument))
        << describe(one);
    const auto many = s.channel.next_batch(3, timeout);
    EXPECT_FALSE(many.has_value());
  }
  EXPECT_LT(watch.elapsed(), ctx.patience());
}

void longest_timeout_waits(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  const std::jthread waiting([&] {
    const auto message = s.channel.try_next(Duration::max());
    expect_ok(message);
    got.add(message ? message->body() : -1);
  });
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U) << "the largest time-out has overflowed";
  must(s.topic.pub(1));
  EXPECT_TRUE(got.wait_for(1));
}

void next_can_be_cancelled(Context& ctx) {
  Collector<ErrorCode> codes(ctx.patience());
  auto s = ctx.setup<int>();
  std::stop_source before;
  before.request_stop();
  expect_error(s.channel.next(before.get_token()), ErrorCode::cancelled);
  {
    std::jthread waiting([&](const std::stop_token& stop) {
      const auto result = s.channel.next(stop);
      codes.add(result ? ErrorCode::backend : result.error().code);
    });
    Context::wait_a_moment();
    EXPECT_EQ(codes.size(), 0U);
    waiting.request_stop();
    EXPECT_TRUE(codes.wait_for(1));
  }
  EXPECT_EQ(codes.items(), std::vector<ErrorCode>{ErrorCode::cancelled});
  // The channel works on, and the cancelled call took nothing with it.
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

void cancelled_calls_lose_nothing(Context& ctx) {
  constexpr int kMessages = 200;
  std::atomic<int> received = 0;
  std::atomic<int> wrong = 0;
  auto s = ctx.setup<int>();
  for (int i = 0; i < kMessages; ++i) {
    std::jthread waiting([&](const std::stop_token& stop) {
      const auto message = s.channel.next(stop);
      if (message) {
        ++received;
        expect_ok(s.channel.ack(*message));
      } else if (message.error().code != ErrorCode::cancelled) {
        ++wrong;
      }
    });
    if (i % 3 == 0) std::this_thread::yield();
    std::jthread publisher([&] { expect_ok(s.topic.pub(i)); });
    waiting.request_stop();
  }
  EXPECT_EQ(wrong, 0);
  ctx.expect_depth(s.channel, kMessages - received);
  EXPECT_EQ(ctx.take(s.channel, static_cast<std::size_t>(kMessages - received)).size(),
            static_cast<std::size_t>(kMessages - received));
}

void publish_wakes(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  const std::jthread consumer([&, stop = ctx.deadline()] {
    for (int i = 0; i < 200; ++i) {
      const auto message = i % 2 == 0 ? s.channel.next(stop) : s.channel.try_next(ctx.patience());
      expect_ok(message);
      if (!message) return;
      expect_ok(s.channel.ack(*message));
      got.add(message->body());
    }
  });
  // Ping-pong: each publish finds the consumer asleep or about to sleep.
  for (std::size_t i = 0; i < 200; ++i) {
    must(s.topic.pub(static_cast<int>(i)));
    ASSERT_TRUE(got.wait_for(i + 1)) << "a wake-up was lost";
  }
}

void batch_wakes_several(Context& ctx) {
  constexpr int kConsumers = 8;
  std::atomic<int> got = 0;
  auto s = ctx.setup<int>();
  std::vector<std::jthread> consumers;
  for (int i = 0; i < kConsumers; ++i) {
    consumers.emplace_back([&, stop = ctx.deadline()] {
      const auto message = s.channel.next(stop);
      expect_ok(message);
      if (message) ++got;
    });
  }
  Context::wait_a_moment();
  must(s.topic.pub_batch(std::vector<int>(kConsumers, 1)));
  EXPECT_TRUE(ctx.eventually([&] { return got == kConsumers; })) << got;
}

void nack_wakes(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const auto held = ctx.receive(s.channel);
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->attempts());
  });
  Context::wait_a_moment();
  expect_ok(s.channel.nack(held, {.delay = Duration(0)}));
  EXPECT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items(), std::vector<int>{2});
}

std::int64_t switches() {
  rusage usage{};
  EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_nvcsw + usage.ru_nivcsw;
}

void idle_consumers_do_not_poll(Context& ctx) {
  auto s = ctx.setup<int>({.max_in_flight = 2});
  std::vector<Channel<int>> channels;
  for (int i = 0; i < 20; ++i) {
    channels.push_back(must(s.topic.get_or_add_channel("idle_" + std::to_string(i))));
    must(channels.back().subscribe([](Message<int>&) {}));
  }
  std::vector<std::jthread> waiting;
  for (int i = 0; i < 10; ++i) {
    waiting.emplace_back([&](const std::stop_token& stop) { static_cast<void>(s.channel.next(stop)); });
  }
  Context::wait_a_moment();
  const auto quiet = [] {
    const std::int64_t before = switches();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    // Thirty consumers that look every 10 ms would make 600. A sanitizer's own thread makes a few.
    return switches() - before < 150;
  };
  EXPECT_TRUE(ctx.eventually(quiet)) << "once the consumers have begun to wait";
}

void many_handles_on_many_threads(Context& ctx) {
  constexpr int kThreads = 8;
  std::atomic<int> sum = 0;
  auto q = ctx.open();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) {
          auto topic = q.topic<int>("topic_" + std::to_string(i % 3));
          expect_ok(topic);
          if (!topic) return;
          auto channel = topic->get_or_add_channel("channel_" + std::to_string((i + t) % 4));
          expect_ok(channel);
          expect_ok(topic->channel_list());
          if (channel && channel->depth() == 0) ++sum;
        }
      });
    }
  }
  EXPECT_EQ(sum, kThreads * 20);
  EXPECT_EQ(must(q.topics()).size(), 3U);
}

constexpr TestCase kBlockingTests[] = {
    {"D21_try_next_and_next_batch_are_bounded", "D21 API_TryNext", {}, try_next_is_bounded},
    {"D21_negative_timeout_does_not_wait", "D21 API_TryNext", {}, negative_timeout_does_not_wait},
    {"D21_largest_timeout_waits", "D21 API_TryNext", {}, longest_timeout_waits},
    {"D21_next_can_be_cancelled", "D21 API_Next", {}, next_can_be_cancelled},
    {"D21_cancelled_calls_lose_nothing", "D21 D1", {}, cancelled_calls_lose_nothing},
    {"D21_publish_wakes_a_waiting_next", "D21", {}, publish_wakes},
    {"D21_batch_wakes_several", "D21", {}, batch_wakes_several},
    {"D21_nack_wakes_a_waiting_next", "D21", {}, nack_wakes},
    // In-process back ends only: a network client has threads of its own.
    {"D21_idle_consumers_do_not_poll", "D21", {Capability::manual_clock}, idle_consumers_do_not_poll},
    {"D23_handles_are_opened_from_many_threads", "D23", {}, many_handles_on_many_threads},
};

}  // namespace

std::span<const TestCase> blocking_tests() { return kBlockingTests; }

}  // namespace lrpc::queue::conformance
