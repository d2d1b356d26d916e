// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Settling: every form of ack and nack, and what happens to deliveries that are not in flight here (D10).

namespace lrpc::queue::conformance {
namespace {

using Ids = std::vector<std::string>;

void ack_removes_the_message(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3, 4}));
  expect_ok(s.channel.ack(ctx.receive(s.channel)));
  expect_ok(s.channel.ack(ctx.receive(s.channel).id()));
  expect_ok(s.channel.ack(ctx.batch(s.channel, 2)));
  ctx.expect_depth(s.channel, 0);
  ctx.expect_nothing(s.channel);
}

void nack_brings_the_message_back(Context& ctx) {
  auto s = ctx.setup<int>();
  const NackOptions now{.delay = Duration(0)};
  must(s.topic.pub(1));
  expect_ok(s.channel.nack(ctx.receive(s.channel), now));
  expect_ok(s.channel.nack(ctx.receive(s.channel).id(), now));
  expect_ok(s.channel.nack(ctx.batch(s.channel, 1), now));
  const auto last = ctx.receive(s.channel);
  EXPECT_EQ(last.attempts(), 4);
  EXPECT_EQ(last.body(), 1);
  expect_ok(s.channel.ack(last));
  ctx.expect_depth(s.channel, 0);
}

void settling_twice(Context& ctx) {
  auto s = ctx.setup<int>();
  const NackOptions now{.delay = Duration(0)};
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.channel.ack(message));
  expect_error(s.channel.ack(message), ErrorCode::message_not_found);
  expect_error(s.channel.ack(message.id()), ErrorCode::message_not_found);
  expect_error(s.channel.nack(message, now), ErrorCode::message_not_found);
  expect_error(s.channel.nack(message.id(), now), ErrorCode::message_not_found);
  expect_error(s.channel.nack(message, {.dead_letter = true}), ErrorCode::message_not_found);
  expect_error(s.channel.touch(message), ErrorCode::message_not_found);
  expect_error(s.channel.touch(message.id()), ErrorCode::message_not_found);
  ctx.expect_depth(s.channel, 0);
  ctx.expect_nothing(s.channel);
  EXPECT_EQ(must(s.channel.stats()).dead, 0);
}

void old_delivery_cannot_settle_the_new_one(Context& ctx) {
  auto s = ctx.setup<int>();
  const NackOptions now{.delay = Duration(0)};
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  expect_ok(s.channel.nack(first, now));
  expect_error(s.channel.nack(first, now), ErrorCode::message_not_found);
  expect_error(s.channel.ack(first), ErrorCode::message_not_found);
  const auto second = ctx.receive(s.channel);
  EXPECT_EQ(second.id(), first.id());
  EXPECT_EQ(second.attempts(), 2);
  expect_error(s.channel.ack(first), ErrorCode::message_not_found);
  expect_error(s.channel.nack(first, now), ErrorCode::message_not_found);
  expect_error(s.channel.touch(first), ErrorCode::message_not_found);
  ctx.expect_depth(s.channel, 1);
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.ack(second));
  ctx.expect_depth(s.channel, 0);
}

void unknown_ids(Context& ctx) {
  auto s = ctx.setup<int>();
  const std::string ready = must(s.topic.pub(1));
  for (const std::string& id : {std::string("unknown"), std::string(), ready, generate_message_id()}) {
    expect_error(s.channel.ack(id), ErrorCode::message_not_found);
    expect_error(s.channel.nack(id), ErrorCode::message_not_found);
    expect_error(s.channel.touch(id), ErrorCode::message_not_found);
  }
  const Message<int> never_delivered(1);
  expect_error(s.channel.ack(never_delivered), ErrorCode::message_not_found);
  expect_error(s.channel.nack(never_delivered), ErrorCode::message_not_found);
  expect_error(s.channel.touch(never_delivered), ErrorCode::message_not_found);
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

void message_of_another_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub_batch({1, 2}));
  const auto here = ctx.receive(s.channel);
  const auto there = ctx.receive(other);
  expect_error(s.channel.ack(there), ErrorCode::message_not_found);
  expect_error(other.nack(here), ErrorCode::message_not_found);
  expect_error(other.touch(here), ErrorCode::message_not_found);
  ctx.expect_depth(s.channel, 2);
  ctx.expect_depth(other, 2);
  expect_ok(s.channel.ack(here));
  expect_ok(other.ack(there));
}

void span_settles_all_it_can(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3, 4}));
  const auto list = ctx.batch(s.channel, 4);
  ASSERT_EQ(list.size(), 4U);
  expect_ok(s.channel.ack(list[1]));
  const auto partly = s.channel.ack(list);
  expect_error(partly, ErrorCode::message_not_found);
  if (!partly) {
    EXPECT_EQ(partly.error().accepted, (Ids{list[0].id(), list[2].id(), list[3].id()}));
  }
  ctx.expect_depth(s.channel, 0);
  const auto again = s.channel.ack(list);
  expect_error(again, ErrorCode::message_not_found);
  EXPECT_TRUE(!again && again.error().accepted.empty());
}

void span_nacks_all_it_can(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  const auto list = ctx.batch(s.channel, 3);
  ASSERT_EQ(list.size(), 3U);
  expect_ok(s.channel.ack(list[0]));
  const auto partly = s.channel.nack(list, {.delay = Duration(0)});
  expect_error(partly, ErrorCode::message_not_found);
  if (!partly) {
    EXPECT_EQ(partly.error().accepted, (Ids{list[1].id(), list[2].id()}));
  }
  ctx.expect_next(s.channel, std::vector<int>{2, 3});
  ctx.expect_nothing(s.channel);
}

void span_with_the_same_message_twice(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}));
  const auto message = ctx.receive(s.channel);
  const std::vector<Message<int>> twice = {message, message};
  expect_error(s.channel.ack(twice), ErrorCode::message_not_found);
  ctx.expect_depth(s.channel, 1);
}

void empty_span_succeeds(Context& ctx) {
  auto s = ctx.setup<int>();
  const std::vector<Message<int>> none;
  expect_ok(s.channel.ack(none));
  expect_ok(s.channel.nack(none));
  expect_ok(s.channel.touch(none));
}

void ack_by_id_takes_the_newest_delivery(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_msg(Message<int>::with_id("same", 1)));
  must(s.topic.pub_msg(Message<int>::with_id("same", 2)));
  must(s.topic.pub_msg(Message<int>::with_id("same", 3)));
  const auto first = ctx.receive(s.channel);
  const auto second = ctx.receive(s.channel);
  const auto third = ctx.receive(s.channel);
  expect_ok(s.channel.ack("same"));
  expect_error(s.channel.ack(third), ErrorCode::message_not_found);
  expect_ok(s.channel.ack("same"));
  expect_error(s.channel.ack(second), ErrorCode::message_not_found);
  ctx.expect_depth(s.channel, 1);
  expect_ok(s.channel.ack(first));
  expect_error(s.channel.ack("same"), ErrorCode::message_not_found);
}

void ack_by_id_after_redelivery(Context& ctx) {
  auto s = ctx.setup<int>({.ack_timeout = std::chrono::seconds(10)});
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  ctx.advance(std::chrono::seconds(10));
  const auto second = ctx.receive(s.channel);
  EXPECT_EQ(second.attempts(), 2);
  expect_ok(s.channel.ack(first.id()));
  expect_error(s.channel.ack(second), ErrorCode::message_not_found);
  ctx.expect_depth(s.channel, 0);
}

void nack_to_dead_letter(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.channel.nack(message, {.reason = "no such customer", .dead_letter = true}));
  ctx.expect_depth(s.channel, 0);
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].reason, "rejected");
  EXPECT_EQ(page.items[0].error, "no such customer");
  EXPECT_EQ(page.items[0].attempts, 1);
  EXPECT_EQ(page.items[0].id, message.id());
}

void nack_reason_is_kept_to_the_end(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 1, .retry_delay = Duration(0)});
  must(s.topic.pub(1));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.reason = "first"}));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.reason = "second"}));
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].reason, "max_retries");
  EXPECT_EQ(page.items[0].error, "second");
}

void wrong_settle_options(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_error(s.channel.nack(message, {.delay = Duration(-1)}), ErrorCode::invalid_argument);
  for (const Duration lease : {Duration(0), Duration(-1)}) {
    expect_error(s.channel.touch(message, lease), ErrorCode::invalid_argument);
    expect_error(s.channel.touch(message.id(), lease), ErrorCode::invalid_argument);
    expect_error(s.channel.touch(std::vector<Message<int>>{message}, lease), ErrorCode::invalid_argument);
  }
  expect_ok(s.channel.ack(message));
}

void any_handle_and_thread_may_settle(Context& ctx) {
  auto s = ctx.setup<int>();
  auto copy = must(s.topic.get_channel("work"));
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  const auto list = ctx.batch(s.channel, 2);
  ASSERT_EQ(list.size(), 2U);
  std::jthread([&] { expect_ok(copy.ack(list[0])); }).join();
  std::jthread([&] { expect_ok(copy.nack(list[1].id(), {.delay = Duration(0)})); }).join();
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{2});
}

void one_of_many_acks_wins(Context& ctx) {
  constexpr int kMessages = 200;
  constexpr int kThreads = 4;
  std::atomic<int> won = 0;
  std::atomic<int> wrong = 0;
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch(std::vector<int>(kMessages, 1)));
  const auto list = ctx.batch(s.channel, kMessages);
  ASSERT_EQ(list.size(), static_cast<std::size_t>(kMessages));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (const auto& m : list) {
          const auto result = t % 2 == 0 ? s.channel.ack(m) : s.channel.ack(m.id());
          if (result) {
            ++won;
          } else if (result.error().code != ErrorCode::message_not_found) {
            ++wrong;
          }
        }
      });
    }
  }
  EXPECT_EQ(won, kMessages);
  EXPECT_EQ(wrong, 0);
  ctx.expect_depth(s.channel, 0);
}

constexpr TestCase kSettleTests[] = {
    {"API_ack_in_every_form_removes_the_message", "API_Ack D10", {}, ack_removes_the_message},
    {"API_nack_in_every_form_brings_the_message_back", "API_Nack D1 D6", {}, nack_brings_the_message_back},
    {"D10_settling_twice_gives_message_not_found", "D10", {}, settling_twice},
    {"D10_old_delivery_cannot_settle_the_new_one", "D10", {}, old_delivery_cannot_settle_the_new_one},
    {"D10_unknown_ids_give_message_not_found", "D10", {}, unknown_ids},
    {"D10_message_of_another_channel_is_not_found", "D10", {}, message_of_another_channel},
    {"D10_span_acks_all_it_can_and_lists_them", "D10 API_Ack", {}, span_settles_all_it_can},
    {"D10_span_nacks_all_it_can_and_lists_them", "D10 API_Nack", {}, span_nacks_all_it_can},
    {"D10_span_with_the_same_message_twice", "D10", {}, span_with_the_same_message_twice},
    {"D10_empty_span_succeeds", "D10", {}, empty_span_succeeds},
    {"D10_ack_by_id_takes_the_newest_delivery", "D10 API_Ack", {}, ack_by_id_takes_the_newest_delivery},
    {"D10_ack_by_id_after_lease_loss_takes_the_new_delivery",
     "D10 D9",
     {Capability::manual_clock, Capability::lease_expiry},
     ack_by_id_after_redelivery},
    {"API_nack_with_dead_letter_gives_up_now", "API_Nack D18", {Capability::dead_letters}, nack_to_dead_letter},
    {"D18_last_nack_reason_becomes_the_error",
     "D18 API_Nack",
     {Capability::dead_letters},
     nack_reason_is_kept_to_the_end},
    {"API_wrong_settle_options_are_refused", "API_Nack API_touch", {}, wrong_settle_options},
    {"D10_any_handle_and_thread_may_settle", "D10", {}, any_handle_and_thread_may_settle},
    {"D10_one_of_many_concurrent_acks_wins", "D10", {}, one_of_many_acks_wins},
};

}  // namespace

std::span<const TestCase> settle_tests() { return kSettleTests; }

}  // namespace lrpc::queue::conformance
