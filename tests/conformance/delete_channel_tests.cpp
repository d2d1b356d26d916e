// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// topic.delete_channel and what open handles then answer (D20).

namespace lrpc::queue::conformance {
namespace {

constexpr CapabilitySet kDelete = {Capability::delete_channel};

void expect_deleted(Channel<int>& channel, const Message<int>& message,
                    std::source_location at = std::source_location::current()) {
  constexpr ErrorCode kGone = ErrorCode::channel_not_found;
  expect_error(channel.next(), kGone, at);
  expect_error(channel.try_next(Duration(0)), kGone, at);
  expect_error(channel.next_batch(5, Duration(5)), kGone, at);
  expect_error(channel.ack(message), kGone, at);
  expect_error(channel.ack(message.id()), kGone, at);
  expect_error(channel.nack(message), kGone, at);
  expect_error(channel.touch(message), kGone, at);
  expect_error(channel.subscribe([](Message<int>&) {}), kGone, at);
  expect_error(channel.depth(), kGone, at);
  expect_error(channel.stats(), kGone, at);
  expect_error(channel.dead_letters(), kGone, at);
  expect_error(channel.requeue_dead(), kGone, at);
  expect_error(channel.purge_dead(), kGone, at);
  expect_error(channel.drop_all(), kGone, at);
  EXPECT_EQ(channel.name(), "work");
}

void open_handles_stay_dead(Context& ctx) {
  auto s = ctx.setup<int>();
  auto copy = must(s.topic.get_channel("work"));
  must(s.topic.pub_batch({1, 2}));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.topic.delete_channel("work"));
  expect_deleted(s.channel, message);
  expect_deleted(copy, message);
  expect_error(s.topic.get_channel("work"), ErrorCode::channel_not_found);
  EXPECT_TRUE(must(s.topic.channel_list()).empty());
  // A new channel of that name is another one.
  auto fresh = must(s.topic.get_or_add_channel("work"));
  expect_deleted(s.channel, message);
  ctx.expect_depth(fresh, 0);
  must(s.topic.pub(3));
  expect_error(fresh.ack(message), ErrorCode::message_not_found);
  EXPECT_EQ(ctx.take(fresh, 1), std::vector<int>{3});
  expect_deleted(s.channel, message);
  expect_ok(s.channel.close());
}

void unknown_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_error(s.topic.delete_channel("unknown"), ErrorCode::channel_not_found);
  expect_ok(s.topic.delete_channel("work"));
  expect_error(s.topic.delete_channel("work"), ErrorCode::channel_not_found);
}

void other_channels_go_on(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub(1));
  expect_ok(s.topic.delete_channel("work"));
  must(s.topic.pub(2));
  ctx.expect_next(other, std::vector<int>{1, 2});
  EXPECT_EQ(must(s.topic.channel_list()), std::vector<std::string>{"other"});
}

void full_channel_can_be_deleted(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_msg_size = 2});
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub_batch({1, 2}));
  ctx.expect_next(other, std::vector<int>{1, 2});
  expect_error(s.topic.pub(3), ErrorCode::queue_full);
  expect_ok(s.topic.delete_channel("work"));
  expect_ok(s.topic.pub(3));  // what nobody reads no longer holds up the others
  EXPECT_EQ(ctx.take(other, 1), std::vector<int>{3});
}

void subscription_ends(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>();
  auto subscription = must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  must(s.topic.pub(1));
  EXPECT_TRUE(handled.wait_for(1));
  expect_ok(s.topic.delete_channel("work"));
  expect_ok(subscription.wait(ctx.deadline()));
  must(s.topic.pub(2));
  Context::wait_a_moment();
  EXPECT_EQ(handled.size(), 1U);
  expect_ok(subscription.stop());
}

void while_a_handler_runs(Context& ctx) {
  Gate gate(ctx.patience());
  std::atomic<int> finished = 0;
  auto s = ctx.setup<int>({.max_in_flight = 1});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch({1, 2, 3}));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) {
    gate.pass();
    ++finished;
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(s.topic.delete_channel("work"));
  expect_ok(subscription.wait(ctx.deadline()));
  EXPECT_TRUE(ctx.eventually([&] { return finished == 1; }));
  Context::wait_a_moment();
  EXPECT_EQ(finished, 1) << "a message of a deleted channel was handed out";
}

void from_a_handler(Context& ctx) {
  Collector<bool> deleted(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) {
    expect_ok(s.topic.delete_channel("work"));
    deleted.add(true);
  }));
  EXPECT_TRUE(deleted.wait_for(1)) << "deleting in a handler waits for itself";
  expect_ok(subscription.wait(ctx.deadline()));
}

void closed_channel_can_be_deleted(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  expect_ok(s.channel.close());
  expect_ok(s.topic.delete_channel("work"));
  expect_error(s.topic.get_channel("work"), ErrorCode::channel_not_found);
  auto fresh = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(fresh, 0);
}

void dead_letters_go_with_it(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.dead_letter = true}));
  expect_ok(s.topic.delete_channel("work"));
  auto fresh = must(s.topic.get_or_add_channel("work"));
  EXPECT_TRUE(must(fresh.dead_letters()).items.empty());
}

void delayed_messages_go_with_it(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = std::chrono::seconds(10)}));
  expect_ok(s.topic.delete_channel("work"));
  auto fresh = must(s.topic.get_or_add_channel("work"));
  ctx.advance(std::chrono::seconds(20));
  ctx.expect_nothing(fresh);
  ctx.expect_depth(fresh, 0);
}

void while_publishing(Context& ctx) {
  std::atomic<bool> stop = false;
  std::atomic<int> published = 0;
  auto s = ctx.setup<int>();
  auto keeper = must(s.topic.get_or_add_channel("keeper"));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        while (!stop) {
          expect_ok(s.topic.pub(1));
          ++published;
          std::this_thread::yield();
        }
      });
    }
    for (int i = 0; i < 30; ++i) {
      auto channel = must(s.topic.get_or_add_channel("temporary"));
      static_cast<void>(channel.try_next(Duration(1)));
      expect_ok(s.topic.delete_channel("temporary"));
    }
    stop = true;
  }
  ctx.expect_depth(keeper, published);
}

constexpr TestCase kDeleteChannelTests[] = {
    {"D20_open_handles_of_a_deleted_channel_stay_dead",
     "D20 API_delete_channel",
     {Capability::delete_channel, Capability::later_channels},
     open_handles_stay_dead},
    {"D20_deleting_an_unknown_channel", "D20 API_delete_channel", kDelete, unknown_channel},
    {"D20_other_channels_go_on_after_a_deletion", "D20 D1", kDelete, other_channels_go_on},
    {"D20_deletion_of_a_full_channel_frees_the_topic",
     "D20 D16",
     {Capability::delete_channel, Capability::bounded_depth},
     full_channel_can_be_deleted},
    {"D20_deletion_ends_subscriptions", "D20", kDelete, subscription_ends},
    {"D20_deletion_while_a_handler_runs", "D20", kDelete, while_a_handler_runs},
    {"D20_deletion_from_a_handler", "D20", kDelete, from_a_handler},
    {"D20_closed_channel_can_be_deleted",
     "D20",
     {Capability::delete_channel, Capability::later_channels},
     closed_channel_can_be_deleted},
    {"D20_dead_letters_go_with_the_channel",
     "D20 D18",
     {Capability::delete_channel, Capability::dead_letters},
     dead_letters_go_with_it},
    {"D20_delayed_messages_go_with_the_channel",
     "D20 D17",
     {Capability::delete_channel, Capability::delayed_publish, Capability::manual_clock, Capability::later_channels},
     delayed_messages_go_with_it},
    {"D20_deletion_while_publishing", "D20 D1", kDelete, while_publishing},
};

}  // namespace

std::span<const TestCase> delete_channel_tests() { return kDeleteChannelTests; }

}  // namespace lrpc::queue::conformance
