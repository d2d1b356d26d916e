// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Who gets which message, and in what order (D1, D5), through next, try_next and next_batch.

namespace lrpc::queue::conformance {
namespace {

void fan_out(Context& ctx) {
  auto s = ctx.setup<int>();
  std::vector<Channel<int>> channels = {s.channel};
  for (const char* name : {"b", "c", "d", "e"}) channels.push_back(must(s.topic.get_or_add_channel(name)));
  for (int i = 1; i <= 50; ++i) must(s.topic.pub(i));
  must(s.topic.pub_batch(numbers(51, 100)));
  for (auto& channel : channels) {
    ctx.expect_depth(channel, 100);
    ctx.expect_next(channel, numbers(1, 100));
    ctx.expect_depth(channel, 0);
    ctx.expect_nothing(channel);
  }
}

void channels_settle_independently(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 0});
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  const auto a1 = ctx.receive(s.channel);
  const auto a2 = ctx.receive(s.channel);
  const auto a3 = ctx.receive(s.channel);
  expect_ok(s.channel.ack(a1));
  expect_ok(s.channel.nack(a2));
  expect_ok(s.channel.nack(a3, {.dead_letter = true}));
  ctx.expect_depth(s.channel, 0);
  ctx.expect_depth(other, 3);
  EXPECT_EQ(must(other.stats()).dead, 0);
  for (int i = 1; i <= 3; ++i) {
    const auto message = ctx.receive(other);
    EXPECT_EQ(message.body(), i);
    EXPECT_EQ(message.attempts(), 1);
    expect_ok(other.ack(message));
  }
}

void consumers_compete(Context& ctx) {
  auto s = ctx.setup<int>();
  auto same = must(s.topic.get_or_add_channel("work"));
  must(s.topic.pub_batch({1, 2, 3, 4}, ctx.in_order()));
  std::vector<int> got;
  for (int i = 0; i < 2; ++i) {
    got.push_back(ctx.take(s.channel, 1).front());
    got.push_back(ctx.take(same, 1).front());
  }
  EXPECT_EQ(got, numbers(1, 4));
  ctx.expect_nothing(s.channel);
  ctx.expect_nothing(same);
}

void publish_order_is_kept(Context& ctx) {
  auto s = ctx.setup<int>();
  int sent = 0;
  std::vector<int> got;
  // Publishes and receives alternate, so that the order survives a queue that runs empty and fills again.
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < round; ++i) must(s.topic.pub(++sent, ctx.in_order()));
    must(s.topic.pub_batch({sent + 1, sent + 2, sent + 3}, ctx.in_order()));
    sent += 3;
    for (const int body : ctx.take(s.channel, 5 < sent - static_cast<int>(got.size()) ? 5U : 1U)) got.push_back(body);
  }
  for (const int body : ctx.take(s.channel, static_cast<std::size_t>(sent) - got.size())) got.push_back(body);
  EXPECT_EQ(got, numbers(1, sent));
}

void order_of_each_publisher(Context& ctx) {
  constexpr int kPublishers = 4;
  constexpr int kEach = 200;
  auto s = ctx.setup<std::vector<int>>();
  std::vector<std::jthread> threads;
  for (int p = 0; p < kPublishers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < kEach;) {
        if (i % 10 == 0) {
          expect_ok(s.topic.pub_batch(std::vector<std::vector<int>>{{p, i}, {p, i + 1}}, ctx.in_order()));
          i += 2;
        } else {
          expect_ok(s.topic.pub({p, i}, ctx.in_order()));
          ++i;
        }
      }
    });
  }
  std::map<int, int> next_of;
  for (int i = 0; i < kPublishers * kEach; ++i) {
    const auto message = ctx.receive(s.channel);
    ASSERT_EQ(message.body().size(), 2U);
    ASSERT_EQ(message.body()[1], next_of[message.body()[0]]++) << "publisher " << message.body()[0];
    must(s.channel.ack(message));
  }
  ctx.expect_nothing(s.channel);
}

void acks_in_any_order(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch(numbers(1, 100)));
  auto held = ctx.batch(s.channel, 100);
  ASSERT_EQ(held.size(), 100U);
  for (std::size_t i = 0; i < 100; ++i) expect_ok(s.channel.ack(held[(i * 37) % 100]));
  ctx.expect_depth(s.channel, 0);
  must(s.topic.pub(101));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{101});
}

void next_batch_takes_what_is_ready(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch(numbers(1, 7), ctx.in_order()));
  const Stopwatch watch;
  auto first = ctx.batch(s.channel, 5);
  ASSERT_EQ(first.size(), 5U);
  auto rest = ctx.batch(s.channel, 5);
  ASSERT_EQ(rest.size(), 2U) << "next_batch has to return as soon as one is there";
  EXPECT_LT(watch.elapsed(), ctx.patience());
  std::vector<int> bodies;
  for (const auto& m : first) bodies.push_back(m.body());
  for (const auto& m : rest) bodies.push_back(m.body());
  EXPECT_EQ(bodies, numbers(1, 7));
  EXPECT_EQ(first[0].attempts(), 1);
  EXPECT_EQ(first[0].channel(), "work");
  expect_ok(s.channel.ack(first));
  expect_ok(s.channel.ack(rest));
  ctx.expect_depth(s.channel, 0);
}

void next_batch_without_messages(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_error(s.channel.next_batch(5, Duration(0)), ErrorCode::no_message);
  expect_error(s.channel.next_batch(5, Duration(5)), ErrorCode::no_message);
  expect_error(s.channel.next_batch(0, Duration(0)), ErrorCode::invalid_argument);
  must(s.topic.pub(1));
  expect_error(s.channel.next_batch(0, Duration(0)), ErrorCode::invalid_argument);
  EXPECT_EQ(ctx.batch(s.channel, 1'000'000'000).size(), 1U);
}

void try_next_zero_takes_only_what_is_ready(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_error(s.channel.try_next(Duration(0)), ErrorCode::no_message);
  must(s.topic.pub(1));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.try_next(Duration(0)).has_value(); }));
  expect_error(s.channel.try_next(Duration(0)), ErrorCode::no_message);
}

void next_returns_a_ready_message(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  EXPECT_EQ(must(s.channel.next(ctx.deadline())).body(), 1);
  EXPECT_EQ(must(s.channel.next(ctx.deadline())).body(), 2);
}

void in_flight_is_not_handed_out_again(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}));
  const auto first = ctx.receive(s.channel);
  const auto second = ctx.receive(s.channel);
  EXPECT_NE(first.id(), second.id());
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.ack(second));
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.ack(first));
}

void get_or_add_channel_returns_the_open_one(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 0});
  auto again = must(s.topic.get_or_add_channel("work", {.max_retries = 7}));
  auto got = must(s.topic.get_channel("work"));
  must(s.topic.pub(1));
  const auto message = ctx.receive(again);
  // All handles share one view: what one received another may settle, by the configuration that came first.
  expect_ok(got.nack(message, {.delay = Duration(0)}));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(again, 0);
  EXPECT_TRUE(ctx.logged("work")) << "a differing configuration has to be logged";
}

void equal_configuration_is_not_logged(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 2});
  must(s.topic.get_or_add_channel("work", {.max_retries = 2}));
  EXPECT_FALSE(ctx.logged("work"));
}

void get_channel_finds_only_existing(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_error(s.topic.get_channel("missing"), ErrorCode::channel_not_found);
  EXPECT_EQ(must(s.topic.channel_list()), std::vector<std::string>{"work"});
  must(s.topic.get_or_add_channel("b"));
  must(s.topic.get_or_add_channel("a"));
  EXPECT_EQ(must(s.topic.channel_list()), (std::vector<std::string>{"a", "b", "work"}));
  EXPECT_EQ(must(s.topic.get_channel("b")).name(), "b");
  auto empty = must(s.queue.topic<int>("empty"));
  EXPECT_TRUE(must(empty.channel_list()).empty());
}

void explicit_configuration_replaces_an_implicit_one(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_retries = 3});
  expect_ok(s.channel.close());
  auto implicit = must(s.topic.get_channel("work"));  // inherits max_retries 3
  auto named = must(s.topic.get_or_add_channel("work", {.max_retries = 0}));
  must(s.topic.pub(1));
  expect_ok(implicit.nack(ctx.receive(implicit), {.delay = Duration(0)}));
  ctx.expect_nothing(named);
  ctx.expect_depth(named, 0);
}

/// Settings that the back end applies itself have to reach it, too.
void explicit_lease_replaces_an_implicit_one(Context& ctx) {
  using std::chrono::seconds;
  auto s = ctx.setup<int>({.ack_timeout = seconds(10)});
  expect_ok(s.channel.close());
  auto implicit = must(s.topic.get_channel("work"));
  must(s.topic.get_or_add_channel("work", {.ack_timeout = seconds(5)}));
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.receive(implicit).attempts(), 1);
  ctx.advance(seconds(5));
  EXPECT_EQ(ctx.receive(implicit).attempts(), 2);
  expect_ok(implicit.close());
  auto reopened = must(s.topic.get_or_add_channel("work", {.ack_timeout = seconds(2)}));
  EXPECT_EQ(ctx.receive(reopened).attempts(), 3);
  ctx.advance(seconds(2));
  EXPECT_EQ(ctx.receive(reopened).attempts(), 4);
}

void explicit_dead_letter_limit_replaces_an_implicit_one(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_ok(s.channel.close());
  auto implicit = must(s.topic.get_channel("work"));
  must(s.topic.get_or_add_channel("work", {.dead_letter_limit = 1}));
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  for (int i = 0; i < 3; ++i) expect_ok(implicit.nack(ctx.receive(implicit), {.dead_letter = true}));
  const auto page = must(implicit.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].message->body(), 3);
}

constexpr TestCase kDeliveryTests[] = {
    {"D1_fan_out_every_channel_gets_every_message", "D1 D5", {}, fan_out},
    {"D1_channels_settle_independently", "D1 D10", {}, channels_settle_independently},
    {"D1_consumers_of_one_channel_compete", "D1", {}, consumers_compete},
    {"D1_in_flight_is_not_handed_out_again", "D1 D9", {}, in_flight_is_not_handed_out_again},
    {"D5_publish_order_is_kept", "D5", {}, publish_order_is_kept},
    {"D5_order_of_each_publisher_is_kept", "D5 D1", {}, order_of_each_publisher},
    {"D10_acks_in_any_order", "D10 API_Ack", {}, acks_in_any_order},
    {"API_next_batch_returns_what_is_ready", "API_TryNext D5", {}, next_batch_takes_what_is_ready},
    {"API_next_batch_is_never_empty", "API_TryNext", {}, next_batch_without_messages},
    {"API_try_next_zero_takes_only_what_is_ready", "API_TryNext", {}, try_next_zero_takes_only_what_is_ready},
    {"API_next_returns_a_ready_message", "API_Next", {}, next_returns_a_ready_message},
    {"D23_get_or_add_channel_returns_the_open_one",
     "D23 API_GetOrAddChannel",
     {},
     get_or_add_channel_returns_the_open_one},
    {"D23_equal_configuration_is_not_logged", "D23", {}, equal_configuration_is_not_logged},
    {"API_get_channel_and_channel_list", "API_GetChannel API_ChannelList", {}, get_channel_finds_only_existing},
    {"API_explicit_configuration_replaces_that_of_get_channel",
     "API_GetChannel D23",
     {},
     explicit_configuration_replaces_an_implicit_one},
    {"API_explicit_lease_replaces_that_of_get_channel",
     "API_GetChannel D9 D20 D23",
     {Capability::manual_clock, Capability::lease_expiry},
     explicit_lease_replaces_an_implicit_one},
    {"API_explicit_dead_letter_limit_replaces_that_of_get_channel",
     "API_GetChannel D18 D23",
     {Capability::dead_letters},
     explicit_dead_letter_limit_replaces_an_implicit_one},
};

}  // namespace

std::span<const TestCase> delivery_tests() { return kDeliveryTests; }

}  // namespace lrpc::queue::conformance
