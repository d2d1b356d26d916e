// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Messages published before there is a channel, and what a later channel gets (D4).

namespace lrpc::queue::conformance {
namespace {

constexpr CapabilitySet kBacklog = {Capability::backlog};

Topic<int> open_topic(Queue& queue, const TopicConfig& config = {}) { return must(queue.topic<int>("events", config)); }

void first_channel_gets_it(Context& ctx) {
  auto q = ctx.open();
  auto topic = open_topic(q);
  const std::string id = must(topic.pub(1, {.key = "k", .headers = {{"h", "v"}}}));
  must(topic.pub_batch({2, 3}, {.key = ctx.claims(Capability::total_order) ? "" : "k"}));
  auto channel = must(topic.get_or_add_channel("first"));
  ctx.expect_depth(channel, 3);
  const auto message = ctx.receive(channel);
  EXPECT_EQ(message.id(), id);
  EXPECT_EQ(message.attempts(), 1);
  EXPECT_EQ(message.key(), "k");
  EXPECT_EQ(message.headers(), (Headers{{"h", "v"}}));
  EXPECT_EQ(message.channel(), "first");
  expect_ok(channel.ack(message));
  must(topic.pub(4));
  ctx.expect_next(channel, std::vector<int>{2, 3, 4});
  ctx.expect_nothing(channel);
}

void second_channel_does_not(Context& ctx) {
  auto q = ctx.open();
  auto topic = open_topic(q);
  must(topic.pub(1));
  auto first = must(topic.get_or_add_channel("first"));
  auto second = must(topic.get_or_add_channel("second"));
  must(topic.pub(2));
  ctx.expect_next(first, std::vector<int>{1, 2});
  EXPECT_EQ(ctx.take(second, 1), std::vector<int>{2});
  ctx.expect_nothing(second);
}

void later_channel_gets_what_follows(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}));
  auto later = must(s.topic.get_or_add_channel("later"));
  ctx.expect_depth(later, 0);
  must(s.topic.pub(3));
  EXPECT_EQ(ctx.take(later, 1), std::vector<int>{3});
  ctx.expect_next(s.channel, std::vector<int>{1, 2, 3});
}

void subscription_gets_it(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto q = ctx.open();
  auto topic = open_topic(q);
  for (int i = 0; i < 100; ++i) must(topic.pub(i, ctx.in_order()));
  auto channel = must(topic.get_or_add_channel("first", {.max_in_flight = 1}));
  must(channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  EXPECT_TRUE(handled.wait_for(100));
  const auto items = handled.items();
  EXPECT_TRUE(std::is_sorted(items.begin(), items.end()));
}

void survives_close_of_the_topic(Context& ctx) {
  auto q = ctx.open();
  auto topic = open_topic(q);
  must(topic.pub_batch({1, 2}));
  expect_ok(topic.close());
  auto again = open_topic(q);
  must(again.pub(3));
  auto channel = must(again.get_or_add_channel("first"));
  ctx.expect_next(channel, std::vector<int>{1, 2, 3});
}

void is_bounded(Context& ctx) {
  auto q = ctx.open();
  auto topic = open_topic(q, {.max_msg_size = 3});
  must(topic.pub_batch({1, 2}));
  expect_error(topic.pub_batch({3, 4}), ErrorCode::queue_full);
  must(topic.pub(3));
  expect_error(topic.pub(4), ErrorCode::queue_full);
  auto channel = must(topic.get_or_add_channel("first"));
  ctx.expect_depth(channel, 3);
  expect_error(topic.pub(4), ErrorCode::queue_full);
  ctx.expect_next(channel, std::vector<int>{1, 2, 3});
  expect_ok(topic.pub(4));
}

void drops_oldest_if_asked(Context& ctx) {
  auto q = ctx.open();
  auto topic = open_topic(q, {.max_msg_size = 2, .overflow = Overflow::drop_oldest});
  for (int i = 1; i <= 4; ++i) must(topic.pub(i));
  auto channel = must(topic.get_or_add_channel("first"));
  ctx.expect_next(channel, std::vector<int>{3, 4});
  ctx.expect_nothing(channel);
}

void get_channel_does_not_take_it(Context& ctx) {
  auto q = ctx.open();
  auto topic = open_topic(q);
  must(topic.pub(1));
  expect_error(topic.get_channel("first"), ErrorCode::channel_not_found);
  EXPECT_TRUE(must(topic.channel_list()).empty());
  auto channel = must(topic.get_or_add_channel("first"));
  EXPECT_EQ(ctx.take(channel, 1), std::vector<int>{1});
}

void collects_again_after_the_last_deletion(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.delete_channel("work"));
  must(s.topic.pub(1));
  must(s.topic.delete_channel("other"));
  must(s.topic.pub_batch({2, 3}));
  auto fresh = must(s.topic.get_or_add_channel("fresh"));
  ctx.expect_next(fresh, std::vector<int>{2, 3});
  ctx.expect_nothing(fresh);
}

void closed_channel_is_no_missing_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_ok(s.channel.close());
  must(s.topic.pub_batch({1, 2}));  // goes to the closed channel, which still exists
  auto other = must(s.topic.get_or_add_channel("other"));
  ctx.expect_depth(other, 0);
  auto again = must(s.topic.get_or_add_channel("work"));
  ctx.expect_next(again, std::vector<int>{1, 2});
}

void nothing_is_lost_while_channels_come(Context& ctx) {
  constexpr int kMessages = 500;
  auto q = ctx.open();
  auto topic = open_topic(q);
  std::jthread publisher([&] {
    for (int i = 0; i < kMessages; ++i) expect_ok(topic.pub(i, ctx.in_order()));
  });
  auto first = must(topic.get_or_add_channel("first"));
  std::vector<Channel<int>> later;
  for (int i = 0; i < 20; ++i) later.push_back(must(topic.get_or_add_channel("later_" + std::to_string(i))));
  publisher.join();
  const auto all = ctx.take(first, kMessages);
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i)], i);
  // A later channel gets everything from some message on, without a gap.
  for (auto& channel : later) {
    const auto count = static_cast<std::size_t>(must(channel.depth()));
    const auto list = ctx.take(channel, count);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(list[i], kMessages - static_cast<int>(count) + static_cast<int>(i)) << channel.name();
    }
  }
}

constexpr TestCase kBacklogTests[] = {
    {"D4_first_channel_gets_the_backlog", "D4 D5", kBacklog, first_channel_gets_it},
    {"D4_second_channel_does_not_get_the_backlog",
     "D4",
     {Capability::backlog, Capability::later_channels},
     second_channel_does_not},
    {"D4_later_channel_gets_what_is_published_from_then_on",
     "D4",
     {Capability::later_channels},
     later_channel_gets_what_follows},
    {"D4_subscription_gets_the_backlog_in_order", "D4 D5", kBacklog, subscription_gets_it},
    {"D4_backlog_survives_close_of_the_topic", "D4 D20", kBacklog, survives_close_of_the_topic},
    {"D4_backlog_is_bounded", "D4 D16", {Capability::backlog, Capability::bounded_depth}, is_bounded},
    {"D4_backlog_drops_oldest_if_asked",
     "D4 D16",
     {Capability::backlog, Capability::bounded_depth},
     drops_oldest_if_asked},
    {"D4_get_channel_does_not_take_the_backlog", "D4 API_GetChannel", kBacklog, get_channel_does_not_take_it},
    {"D4_backlog_again_after_the_last_channel_was_deleted",
     "D4 D20",
     {Capability::backlog, Capability::delete_channel, Capability::later_channels},
     collects_again_after_the_last_deletion},
    {"D4_closed_channel_still_gets_messages",
     "D4 D20 D1",
     {Capability::later_channels},
     closed_channel_is_no_missing_channel},
    {"D4_nothing_is_lost_while_channels_are_created", "D4 D1", kBacklog, nothing_is_lost_while_channels_come},
};

}  // namespace

std::span<const TestCase> backlog_tests() { return kBacklogTests; }

}  // namespace lrpc::queue::conformance
