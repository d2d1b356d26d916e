// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <set>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// A connection that goes and comes back (D22), for back ends that have one.

namespace lrpc::queue::conformance {
namespace {

constexpr CapabilitySet kCut = {Capability::disconnects};

void publish_fails_in_time_and_recovers(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  ctx.subject().set_connected(false);
  const Stopwatch watch;
  const auto failed = s.topic.pub(2, {.timeout = Duration(50)});
  EXPECT_LT(watch.elapsed(), ctx.patience());
  ctx.subject().set_connected(true);
  expect_error(failed, ErrorCode::unavailable);
  EXPECT_TRUE(!failed && failed.error().retryable);
  EXPECT_TRUE(ctx.eventually([&] { return s.topic.pub(3).has_value(); }));
  ctx.expect_next(s.channel, std::vector<int>{1, 3});  // unavailable means certainly not done
}

void batch_fails_whole(Context& ctx) {
  auto s = ctx.setup<int>();
  ctx.subject().set_connected(false);
  expect_error(s.topic.pub_batch({1, 2, 3}, {.timeout = Duration(50)}), ErrorCode::unavailable);
  ctx.subject().set_connected(true);
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void subscription_goes_on(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  must(s.topic.pub(1));
  EXPECT_TRUE(handled.wait_for(1));
  ctx.subject().set_connected(false);
  Context::wait_a_moment();
  ctx.subject().set_connected(true);
  EXPECT_TRUE(ctx.eventually([&] { return s.topic.pub(2).has_value(); }));
  EXPECT_TRUE(ctx.eventually([&] {
    const auto items = handled.items();
    return std::find(items.begin(), items.end(), 2) != items.end();
  })) << "the subscription did not come back by itself";
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void waiting_next_goes_on(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  const std::jthread waiting([&, stop = ctx.deadline()] {
    // A call may report the cut; asking again is enough.
    while (!stop.stop_requested()) {
      const auto message = s.channel.next(stop);
      if (message) return got.add(message->body());
      if (message.error().code != ErrorCode::unavailable) return expect_error(message, ErrorCode::unavailable);
      std::this_thread::yield();
    }
  });
  Context::wait_a_moment();
  ctx.subject().set_connected(false);
  Context::wait_a_moment();
  ctx.subject().set_connected(true);
  EXPECT_TRUE(ctx.eventually([&] { return s.topic.pub(1).has_value(); }));
  EXPECT_TRUE(got.wait_for(1));
}

void nothing_is_lost_over_cuts(Context& ctx) {
  constexpr int kMessages = 300;
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_retries = -1, .retry_delay = Duration(0), .max_in_flight = 4});
  must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  std::jthread cutting([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      ctx.subject().set_connected(false);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ctx.subject().set_connected(true);
    }
  });
  std::set<int> published;
  for (int i = 0; i < kMessages; ++i) {
    if (s.topic.pub(i)) published.insert(i);
  }
  cutting.request_stop();
  cutting.join();
  EXPECT_TRUE(ctx.eventually([&] {
    const auto items = handled.items();
    const std::set<int> seen(items.begin(), items.end());
    return std::includes(seen.begin(), seen.end(), published.begin(), published.end());
  }));
  EXPECT_FALSE(published.empty());
}

void ping_tells(Context& ctx) {
  auto q = ctx.open();
  expect_ok(q.ping());
  ctx.subject().set_connected(false);
  const auto cut = q.ping();
  ctx.subject().set_connected(true);
  expect_error(cut, ErrorCode::unavailable);
  EXPECT_TRUE(ctx.eventually([&] { return q.ping().has_value(); }));
}

constexpr TestCase kDisconnectTests[] = {
    {"D22_publish_fails_in_time_and_recovers", "D22 D3", kCut, publish_fails_in_time_and_recovers},
    {"D22_batch_fails_whole", "D22 D2", {Capability::disconnects, Capability::atomic_batch}, batch_fails_whole},
    {"D22_subscription_goes_on_by_itself", "D22", kCut, subscription_goes_on},
    {"D22_waiting_next_goes_on", "D22 D21", kCut, waiting_next_goes_on},
    {"D22_nothing_published_is_lost_over_cuts", "D22 D1", kCut, nothing_is_lost_over_cuts},
    {"D22_ping_tells", "D22 API_ping", kCut, ping_tells},
};

}  // namespace

std::span<const TestCase> disconnect_tests() { return kDisconnectTests; }

}  // namespace lrpc::queue::conformance
