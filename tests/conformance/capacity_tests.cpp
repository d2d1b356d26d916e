// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// max_body_size (D15), max_msg_size and overflow (D16).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::hours;

constexpr CapabilitySet kBounded = {Capability::bounded_depth};

void body_limit(Context& ctx) {
  auto s = ctx.setup<std::string>({}, {.max_body_size = 10});
  must(s.topic.pub(std::string(10, 'x')));
  must(s.topic.pub(""));
  const auto refused = s.topic.pub(std::string(11, 'x'));
  expect_error(refused, ErrorCode::body_too_large);
  if (!refused) {
    EXPECT_FALSE(refused.error().retryable);
    EXPECT_NE(refused.error().message.find("max_body_size"), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find("events"), std::string::npos) << refused.error().message;
  }
  expect_error(s.topic.pub_msg(Message<std::string>(std::string(11, 'x'))), ErrorCode::body_too_large);
  ctx.expect_depth(s.channel, 2);
}

void body_limit_counts_the_string_itself(Context& ctx) {
  auto s = ctx.setup<std::string>({}, {.max_body_size = 10});
  must(s.topic.pub(std::string(10, '"'), ctx.in_order()));     // 22 bytes of JSON
  must(s.topic.pub(std::string(10, '\x01'), ctx.in_order()));  // 62 bytes of JSON
  EXPECT_EQ(ctx.take(s.channel, 2).back(), std::string(10, '\x01'));
}

void body_limit_of_bytes(Context& ctx) {
  auto s = ctx.setup<Bytes>({}, {.max_body_size = 10});
  must(s.topic.pub(Bytes(10)));
  expect_error(s.topic.pub(Bytes(11)), ErrorCode::body_too_large);
  ctx.expect_depth(s.channel, 1);
}

void body_limit_of_trivial_types(Context& ctx) {
  auto s = ctx.setup<std::array<int, 4>>({}, {.max_body_size = 15});
  expect_error(s.topic.pub({1'000'000, 2'000'000, 3'000'000, 4'000'000}), ErrorCode::body_too_large);
  ctx.expect_depth(s.channel, 0);
}

void body_limit_of_encoded_bytes(Context& ctx) {
  auto s = ctx.setup<std::vector<int>>({}, {.max_body_size = 9});
  must(s.topic.pub({1, 2, 3, 4}));  // [1,2,3,4]
  expect_error(s.topic.pub({1, 2, 3, 4, 5}), ErrorCode::body_too_large);
  ctx.expect_depth(s.channel, 1);
}

void body_limit_default_and_inherited(Context& ctx) {
  auto q = ctx.open();
  auto topic = must(q.topic<std::string>("default"));
  must(topic.get_or_add_channel("work"));
  must(topic.pub(std::string(1 << 20, 'x')));
  expect_error(topic.pub(std::string((1 << 20) + 1, 'x')), ErrorCode::body_too_large);
  expect_ok(q.close());
  auto small = ctx.open({.max_body_size = 3});
  auto inherits = must(small.topic<std::string>("inherits"));
  auto own = must(small.topic<std::string>("own", {.max_body_size = 5}));
  auto none = must(small.topic<std::string>("none", {.max_body_size = 0}));
  expect_error(inherits.pub("four"), ErrorCode::body_too_large);
  expect_ok(own.pub("four"));
  expect_ok(none.pub(""));
  expect_error(none.pub("x"), ErrorCode::body_too_large);
}

void full_channel_refuses(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_msg_size = 3});
  for (int i = 1; i <= 3; ++i) must(s.topic.pub(i));
  const auto refused = s.topic.pub(4);
  expect_error(refused, ErrorCode::queue_full);
  if (!refused) {
    EXPECT_TRUE(refused.error().retryable);
    EXPECT_NE(refused.error().message.find("max_msg_size"), std::string::npos) << refused.error().message;
  }
  ctx.expect_depth(s.channel, 3);
  const auto first = ctx.receive(s.channel);
  expect_error(s.topic.pub(4), ErrorCode::queue_full);  // in flight counts
  expect_ok(s.channel.ack(first));
  expect_ok(s.topic.pub(4));
  expect_error(s.topic.pub(5), ErrorCode::queue_full);
  ctx.expect_next(s.channel, std::vector<int>{2, 3, 4});
}

void everything_unsettled_counts(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = hours(1)}, {.max_msg_size = 3});
  must(s.topic.pub_batch({1, 2, 3}));
  const auto held = ctx.receive(s.channel);
  expect_ok(s.channel.nack(ctx.receive(s.channel)));  // waits for its retry
  expect_error(s.topic.pub(4), ErrorCode::queue_full);
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{3});
  expect_ok(s.topic.pub(4));
  expect_error(s.topic.pub(5), ErrorCode::queue_full);
  expect_ok(s.channel.nack(held, {.dead_letter = true}));  // dead letters do not count
  expect_ok(s.topic.pub(5));
  expect_error(s.topic.pub(6), ErrorCode::queue_full);
}

void delayed_messages_count(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_msg_size = 2});
  must(s.topic.pub(1, {.delay = hours(1)}));
  must(s.topic.pub(2));
  expect_error(s.topic.pub(3), ErrorCode::queue_full);
  expect_error(s.topic.pub(3, {.delay = hours(1)}), ErrorCode::queue_full);
  ctx.expect_depth(s.channel, 2);
}

void one_full_channel_refuses_for_all(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_msg_size = 2});
  must(s.topic.pub(1));
  auto second = must(s.topic.get_or_add_channel("second"));
  auto third = must(s.topic.get_or_add_channel("a_third"));
  must(s.topic.pub(2));  // "work" is full now, the others hold one
  expect_error(s.topic.pub(3), ErrorCode::queue_full);
  expect_error(s.topic.pub_batch({3}), ErrorCode::queue_full);
  ctx.expect_depth(s.channel, 2);
  ctx.expect_depth(second, 1);
  ctx.expect_depth(third, 1);
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  expect_ok(s.topic.pub(4));
  ctx.expect_next(s.channel, std::vector<int>{2, 4});
  ctx.expect_next(second, std::vector<int>{2, 4});
  ctx.expect_next(third, std::vector<int>{2, 4});
}

void batch_that_does_not_fit(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_msg_size = 5});
  auto second = must(s.topic.get_or_add_channel("second"));
  must(s.topic.pub_batch({1, 2, 3}));
  EXPECT_EQ(ctx.take(second, 3).size(), 3U);
  const auto refused = s.topic.pub_batch({4, 5, 6});
  expect_error(refused, ErrorCode::queue_full);
  EXPECT_TRUE(!refused && refused.error().accepted.empty());
  expect_error(s.topic.pub_batch(std::vector<int>(6, 1)), ErrorCode::queue_full);
  ctx.expect_depth(s.channel, 3);
  ctx.expect_depth(second, 0);
  expect_ok(s.topic.pub_batch({4, 5}));
  ctx.expect_next(s.channel, std::vector<int>{1, 2, 3, 4, 5});
  ctx.expect_next(second, std::vector<int>{4, 5});
}

void retries_are_never_refused(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = -1}, {.max_msg_size = 2});
  must(s.topic.pub_batch({1, 2}));
  for (int round = 0; round < 5; ++round) {
    const auto message = ctx.receive(s.channel);
    expect_error(s.topic.pub(3), ErrorCode::queue_full);
    expect_ok(s.channel.nack(message, {.delay = Duration(0)}));
    ctx.expect_depth(s.channel, 2);
  }
}

void requeues_are_never_refused(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_msg_size = 2});
  must(s.topic.pub_batch({1, 2}));
  expect_ok(s.channel.nack(ctx.batch(s.channel, 2), {.dead_letter = true}));
  must(s.topic.pub_batch({3, 4}));
  EXPECT_EQ(must(s.channel.requeue_dead()), 2);
  ctx.expect_depth(s.channel, 4);
  expect_error(s.topic.pub(5), ErrorCode::queue_full);
  EXPECT_EQ(ctx.take(s.channel, 4).size(), 4U);
  expect_ok(s.topic.pub(5));
}

void limit_zero_refuses_everything(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_msg_size = 0});
  expect_error(s.topic.pub(1), ErrorCode::queue_full);
  ctx.expect_depth(s.channel, 0);
}

void limit_with_many_publishers(Context& ctx) {
  constexpr int kLimit = 100;
  std::atomic<int> accepted = 0;
  std::atomic<int> other = 0;
  auto s = ctx.setup<int>({}, {.max_msg_size = kLimit});
  auto second = must(s.topic.get_or_add_channel("second"));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; ++i) {
          const bool batch = (i + t) % 3 == 0;
          bool ok = false;
          if (batch) {
            const auto result = s.topic.pub_batch({i, i});
            ok = result.has_value();
            if (!result && result.error().code != ErrorCode::queue_full) ++other;
          } else {
            const auto result = s.topic.pub(i);
            ok = result.has_value();
            if (!result && result.error().code != ErrorCode::queue_full) ++other;
          }
          if (ok) accepted += batch ? 2 : 1;
        }
      });
    }
  }
  EXPECT_EQ(other, 0);
  EXPECT_EQ(accepted, kLimit);
  ctx.expect_depth(s.channel, kLimit);
  ctx.expect_depth(second, kLimit);
}

TopicConfig dropping(std::int64_t limit) { return {.max_msg_size = limit, .overflow = Overflow::drop_oldest}; }

void drop_oldest_makes_room(Context& ctx) {
  auto s = ctx.setup<int>({}, dropping(3));
  for (int i = 1; i <= 5; ++i) must(s.topic.pub(i));
  ctx.expect_depth(s.channel, 3);
  must(s.topic.pub_batch({6, 7}));
  ctx.expect_depth(s.channel, 3);
  EXPECT_EQ(must(s.channel.stats()).dropped, 4);
  ctx.expect_next(s.channel, std::vector<int>{5, 6, 7});
  ctx.expect_nothing(s.channel);
}

void drop_oldest_drops_only_ready_messages(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = hours(1)}, dropping(3));
  must(s.topic.pub_batch({1, 2, 3}));
  const auto held = ctx.receive(s.channel);
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  must(s.topic.pub(4));  // drops 3
  expect_error(s.topic.pub_batch({5, 6}), ErrorCode::queue_full);
  EXPECT_EQ(must(s.channel.stats()).dropped, 1) << "a refused batch must not drop anything";
  const auto fourth = ctx.receive(s.channel);
  EXPECT_EQ(fourth.body(), 4);
  const auto refused = s.topic.pub(5);
  expect_error(refused, ErrorCode::queue_full);
  EXPECT_TRUE(!refused && refused.error().retryable);
  expect_ok(s.channel.ack(held));
  expect_ok(s.channel.ack(fourth));
  expect_ok(s.topic.pub(5));
}

void drop_oldest_with_a_batch_over_the_limit(Context& ctx) {
  auto s = ctx.setup<int>({}, dropping(3));
  must(s.topic.pub_batch({1, 2}));
  expect_error(s.topic.pub_batch({3, 4, 5, 6}), ErrorCode::queue_full);
  ctx.expect_next(s.channel, std::vector<int>{1, 2});
  must(s.topic.pub_batch({3, 4, 5}));
  ctx.expect_next(s.channel, std::vector<int>{3, 4, 5});
}

void drop_oldest_is_all_or_nothing(Context& ctx) {
  auto s = ctx.setup<int>({}, dropping(2));
  auto stuck = must(s.topic.get_or_add_channel("stuck"));
  must(s.topic.pub_batch({1, 2}));
  const auto held = ctx.batch(stuck, 2);  // nothing here may be dropped
  ASSERT_EQ(held.size(), 2U);
  expect_error(s.topic.pub(3), ErrorCode::queue_full);
  EXPECT_EQ(must(s.channel.stats()).dropped, 0);
  ctx.expect_next(s.channel, std::vector<int>{1, 2});
}

constexpr TestCase kCapacityTests[] = {
    {"D15_body_over_the_limit_is_refused", "D15", {}, body_limit},
    {"D15_limit_counts_the_string_not_its_json", "D15", {}, body_limit_counts_the_string_itself},
    {"D15_limit_of_bytes", "D15", {}, body_limit_of_bytes},
    {"D15_limit_of_trivially_copyable_types", "D15", {}, body_limit_of_trivial_types},
    {"D15_limit_of_encoded_bytes", "D15", {}, body_limit_of_encoded_bytes, Bodies::encoded_only},
    {"D15_limit_is_one_mebibyte_or_inherited", "D15", {}, body_limit_default_and_inherited},
    {"D16_full_channel_refuses", "D16", kBounded, full_channel_refuses},
    {"D16_everything_unsettled_counts", "D16", kBounded, everything_unsettled_counts},
    {"D16_delayed_messages_count",
     "D16 D17",
     {Capability::bounded_depth, Capability::delayed_publish},
     delayed_messages_count},
    {"D16_one_full_channel_refuses_for_all", "D16", kBounded, one_full_channel_refuses_for_all},
    {"D16_batch_that_does_not_fit_stores_nothing",
     "D16 D2",
     {Capability::bounded_depth, Capability::atomic_batch},
     batch_that_does_not_fit},
    {"D16_retries_are_never_refused", "D16 D1", kBounded, retries_are_never_refused},
    {"D16_requeues_are_never_refused",
     "D16 D18",
     {Capability::bounded_depth, Capability::dead_letters},
     requeues_are_never_refused},
    {"D16_limit_zero_refuses_everything", "D16", kBounded, limit_zero_refuses_everything},
    {"D16_limit_holds_with_many_publishers",
     "D16 D2",
     {Capability::bounded_depth, Capability::atomic_batch},
     limit_with_many_publishers},
    {"D16_drop_oldest_makes_room", "D16", kBounded, drop_oldest_makes_room},
    {"D16_drop_oldest_drops_only_ready_messages", "D16", kBounded, drop_oldest_drops_only_ready_messages},
    {"D16_drop_oldest_with_a_batch_over_the_limit",
     "D16 D2",
     {Capability::bounded_depth, Capability::atomic_batch},
     drop_oldest_with_a_batch_over_the_limit},
    {"D16_drop_oldest_is_all_or_nothing", "D16 D2", kBounded, drop_oldest_is_all_or_nothing},
};

}  // namespace

std::span<const TestCase> capacity_tests() { return kCapacityTests; }

}  // namespace lrpc::queue::conformance
