// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Many publishers and consumers at once: nothing lost, and nothing twice where nothing failed (D1).

namespace lrpc::queue::conformance {
namespace {

/// Counts each body, by channel.
class Tally {
 public:
  void add(const std::string& channel, int body) {
    const std::lock_guard lock(mutex_);
    ++counts_[channel][body];
    ++total_;
  }
  [[nodiscard]] int total() const {
    const std::lock_guard lock(mutex_);
    return total_;
  }
  /// Checks that `channel` got each of 0 .. count - 1 exactly once.
  void expect_each_once(const std::string& channel, int count) {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(counts_[channel].size(), static_cast<std::size_t>(count)) << channel << ": messages were lost";
    for (const auto& [body, times] : counts_[channel]) {
      ASSERT_EQ(times, 1) << channel << ": message " << body;
      ASSERT_TRUE(body >= 0 && body < count);
    }
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::map<int, int>> counts_;
  int total_ = 0;
};

void fifty_and_fifty(Context& ctx) {
  constexpr int kPublishers = 50;
  constexpr int kEach = 40;
  constexpr int kMessages = kPublishers * kEach;
  constexpr int kChannels = 5;
  Tally tally;
  auto q = ctx.open();
  auto topic = must(q.topic<int>("events"));
  std::vector<Channel<int>> channels;
  for (int c = 0; c < kChannels; ++c) {
    channels.push_back(must(topic.get_or_add_channel("channel_" + std::to_string(c), {.max_in_flight = 2})));
  }
  for (int i = 0; i < 50; ++i) {
    must(channels[static_cast<std::size_t>(i % kChannels)].subscribe(
        [&](Message<int>& m) { tally.add(m.channel(), m.body()); }));
  }
  {
    std::vector<std::jthread> publishers;
    for (int p = 0; p < kPublishers; ++p) {
      publishers.emplace_back([&, p] {
        for (int i = 0; i < kEach; i += 2) {
          const int body = p * kEach + i;
          if (i % 4 == 0) {
            expect_ok(topic.pub_batch({body, body + 1}));
          } else {
            expect_ok(topic.pub(body));
            expect_ok(topic.pub(body + 1));
          }
        }
      });
    }
  }
  EXPECT_TRUE(ctx.eventually([&] { return tally.total() >= kMessages * kChannels; })) << tally.total();
  for (auto& channel : channels) {
    EXPECT_TRUE(ctx.eventually([&] { return channel.depth() == 0; }));
    tally.expect_each_once(channel.name(), kMessages);
  }
}

void fifty_and_fifty_with_next(Context& ctx) {
  constexpr int kPublishers = 50;
  constexpr int kEach = 40;
  constexpr int kMessages = kPublishers * kEach;
  Tally tally;
  auto s = ctx.setup<int>();
  {
    std::vector<std::jthread> threads;
    for (int p = 0; p < kPublishers; ++p) {
      threads.emplace_back([&, p] {
        for (int i = 0; i < kEach; ++i) expect_ok(s.topic.pub(p * kEach + i));
      });
    }
    for (int c = 0; c < 50; ++c) {
      threads.emplace_back([&, c, stop = ctx.deadline()] {
        while (tally.total() < kMessages && !stop.stop_requested()) {
          if (c % 2 == 0) {
            const auto message = s.channel.try_next(Duration(5));
            if (!message) continue;
            tally.add("work", message->body());
            expect_ok(c % 4 == 0 ? s.channel.ack(*message) : s.channel.ack(message->id()));
          } else {
            const auto list = s.channel.next_batch(7, Duration(5));
            if (!list) continue;
            for (const auto& message : *list) tally.add("work", message.body());
            expect_ok(s.channel.ack(*list));
          }
        }
      });
    }
  }
  tally.expect_each_once("work", kMessages);
  ctx.expect_depth(s.channel, 0);
}

void nack_storm(Context& ctx) {
  constexpr int kMessages = 300;
  constexpr int kRounds = 5;
  std::atomic<int> acked = 0;
  std::atomic<int> wrong = 0;
  auto s = ctx.setup<int>({.max_retries = -1});
  std::vector<int> bodies(kMessages);
  for (int i = 0; i < kMessages; ++i) bodies[static_cast<std::size_t>(i)] = i;
  Tally tally;
  must(s.topic.pub_batch(bodies));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, stop = ctx.deadline()] {
        while (acked < kMessages && !stop.stop_requested()) {
          const auto message = s.channel.try_next(Duration(5));
          if (!message) continue;
          if (message->attempts() <= kRounds) {
            if (!s.channel.nack(*message, {.delay = Duration(0)})) ++wrong;
          } else {
            if (message->attempts() != kRounds + 1) ++wrong;
            tally.add("work", message->body());
            if (!s.channel.ack(*message)) ++wrong;
            ++acked;
          }
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  tally.expect_each_once("work", kMessages);
  ctx.expect_depth(s.channel, 0);
  EXPECT_EQ(must(s.channel.stats()).nacked, kMessages * kRounds);
}

void failing_handlers_storm(Context& ctx) {
  constexpr int kMessages = 300;
  std::atomic<int> calls = 0;
  Tally succeeded;
  auto s = ctx.setup<int>({.max_retries = 3, .retry_delay = Duration(0), .max_in_flight = 8});
  must(s.channel.subscribe([&](Message<int>& m) -> Result<ProcessRsp> {
    ++calls;
    if (m.body() % 5 == 4) throw m.body();                                         // for ever
    if (m.attempts() <= m.body() % 4) return fail(ErrorCode::backend, "not yet");  // 0 to 3 times
    succeeded.add("work", m.body());
    return ProcessRsp{};
  }));
  int bad = 0;
  int expected_calls = 0;
  for (int i = 0; i < kMessages; ++i) {
    must(s.topic.pub(i, {.key = i % 3 == 0 ? "key " + std::to_string(i % 7) : ""}));
    bad += i % 5 == 4 ? 1 : 0;
    expected_calls += i % 5 == 4 ? 4 : i % 4 + 1;
  }
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_EQ(must(s.channel.stats()).dead, bad);
  EXPECT_EQ(succeeded.total(), kMessages - bad);
  EXPECT_EQ(calls, expected_calls);
}

void closing_under_load(Context& ctx) {
  constexpr int kMessages = 600;
  Tally tally;
  std::atomic<bool> done = false;
  auto s = ctx.setup<int>({.max_in_flight = 4});
  const std::jthread publisher([&] {
    for (int i = 0; i < kMessages; ++i) expect_ok(s.topic.pub(i));
    done = true;
  });
  auto channel = s.channel;
  // The channel is closed and opened again and again while handlers and next work on it.
  for (int round = 0; round < 1000 && !(done && must(channel.depth()) == 0); ++round) {
    must(channel.subscribe([&](Message<int>& m) { tally.add("work", m.body()); }));
    for (int i = 0; i < 5; ++i) {
      const auto message = channel.try_next(Duration(1));
      if (message && i % 2 == 0) {
        tally.add("work", message->body());
        expect_ok(channel.ack(*message));
      }  // the others go back at the close
    }
    expect_ok(channel.close());
    channel = must(s.topic.get_or_add_channel("work", {.max_in_flight = 4}));
  }
  ctx.expect_depth(channel, 0);
  tally.expect_each_once("work", kMessages);
}

void everything_at_once(Context& ctx) {
  constexpr int kMessages = 400;
  std::atomic<bool> stop = false;
  Tally tally;
  auto s = ctx.setup<int>({.max_retries = -1, .retry_delay = Duration(0), .max_in_flight = 4});
  must(s.channel.subscribe([&](Message<int>& m) {
    if (m.attempts() == 1 && m.body() % 3 == 0) return ProcessRsp{.retry = true};
    tally.add("work", m.body());
    return ProcessRsp{};
  }));
  std::vector<std::jthread> threads;
  threads.emplace_back([&] {
    while (!stop) {
      expect_ok(s.channel.pause());
      expect_ok(s.channel.depth());
      expect_ok(s.channel.resume());
      std::this_thread::yield();
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      const auto message = s.channel.try_next(Duration(1));
      if (message) expect_ok(s.channel.nack(*message, {.delay = Duration(0)}));
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      expect_ok(s.channel.stats());
      expect_ok(s.channel.dead_letters());
      expect_ok(s.topic.get_or_add_channel("other_" + std::to_string(i % 3)));
      auto subscription = s.channel.subscribe([&](Message<int>& m) { tally.add("work", m.body()); });
      expect_ok(subscription);
      if (subscription) expect_ok(subscription->stop());
    }
  });
  for (int i = 0; i < kMessages; ++i) must(s.topic.pub(i));
  EXPECT_TRUE(ctx.eventually([&] { return tally.total() >= kMessages; })) << tally.total();
  stop = true;
  threads.clear();
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  tally.expect_each_once("work", kMessages);
}

void big_backlog(Context& ctx) {
  constexpr int kMessages = 50'000;
  auto s = ctx.setup<int>();
  std::vector<int> bodies(1000);
  for (int i = 0; i < kMessages; i += 1000) {
    for (int j = 0; j < 1000; ++j) bodies[static_cast<std::size_t>(j)] = i + j;
    must(s.topic.pub_batch(bodies));
  }
  ctx.expect_depth(s.channel, kMessages);
  std::vector<int> all(kMessages);
  std::iota(all.begin(), all.end(), 0);
  std::vector<int> got;
  while (got.size() < all.size()) {
    const auto list = ctx.batch(s.channel, 1000);
    for (const auto& message : list) got.push_back(message.body());
    must(s.channel.ack(list));
  }
  ctx.expect_bodies(std::move(got), std::move(all));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

constexpr TestCase kStressTests[] = {
    {"D1_fifty_publishers_and_fifty_subscribers", "D1 D2 D11", {}, fifty_and_fifty},
    {"D1_fifty_publishers_and_fifty_consumers_of_next", "D1 D10 API_Next", {}, fifty_and_fifty_with_next},
    {"D1_nack_storm_loses_nothing", "D1 D6 D8", {}, nack_storm},
    {"D1_storm_of_failing_handlers_loses_nothing", "D1 D7 D14", {Capability::dead_letters}, failing_handlers_storm},
    {"D1_closing_under_load_loses_nothing", "D1 D20", {}, closing_under_load},
    {"D1_everything_at_once", "D1 D21", {}, everything_at_once},
    {"D1_big_backlog_arrives_whole", "D1 D5", {}, big_backlog},
};

}  // namespace

std::span<const TestCase> stress_tests() { return kStressTests; }

}  // namespace lrpc::queue::conformance
