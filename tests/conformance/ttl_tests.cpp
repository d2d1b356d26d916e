// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Which expiry a message gets at its publish (D12).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

/// The whole second, rounded up, that lies `after` from now.
std::int64_t second_after(Context& ctx, Duration after) { return (ctx.now_ms() + after.count() + 999) / 1000; }

std::int64_t expiry_of(Context& ctx, Topic<int>& topic, const PubOptions& options = {}) {
  auto channel = must(topic.get_or_add_channel("work"));
  must(topic.pub(1, options));
  const auto message = ctx.receive(channel);
  must(channel.ack(message));
  return message.expires_at();
}

void default_is_a_day(Context& ctx) {
  auto q = ctx.open();
  auto topic = must(q.topic<int>("events"));
  EXPECT_EQ(expiry_of(ctx, topic), second_after(ctx, hours(24)));
}

void topic_wins_over_queue(Context& ctx) {
  auto q = ctx.open({.message_ttl = hours(2)});
  auto from_queue = must(q.topic<int>("from_queue"));
  auto own = must(q.topic<int>("own", {.message_ttl = seconds(90)}));
  auto never = must(q.topic<int>("never", {.message_ttl = Duration(0)}));
  EXPECT_EQ(expiry_of(ctx, from_queue), second_after(ctx, hours(2)));
  EXPECT_EQ(expiry_of(ctx, own), second_after(ctx, seconds(90)));
  EXPECT_EQ(expiry_of(ctx, never), 0);
}

void rounding_up(Context& ctx) {
  auto q = ctx.open();
  auto topic = must(q.topic<int>("events", {.message_ttl = Duration(1500)}));
  ctx.advance_to_whole_second();
  EXPECT_EQ(expiry_of(ctx, topic), ctx.now_s() + 2);
  EXPECT_EQ(expiry_of(ctx, topic, {.expires = Duration(1000)}), ctx.now_s() + 1);
  ctx.advance(Duration(1));
  EXPECT_EQ(expiry_of(ctx, topic, {.expires = Duration(1000)}), ctx.now_s() + 2);
  EXPECT_EQ(expiry_of(ctx, topic, {.expires = Duration(1)}), ctx.now_s() + 1);
}

void options_win(Context& ctx) {
  auto s = ctx.setup<int>();
  Message<int> message(1);
  message.set_expires_at(ctx.now_s() + 50);
  must(s.topic.pub_msg(message, {.expires = seconds(20)}));
  EXPECT_EQ(ctx.receive(s.channel).expires_at(), second_after(ctx, seconds(20)));
  must(s.topic.pub_msg(message, {.expires = Duration(0)}));
  EXPECT_EQ(ctx.receive(s.channel).expires_at(), 0);
  must(s.topic.pub_msg(message));
  EXPECT_EQ(ctx.receive(s.channel).expires_at(), message.expires_at());
}

void own_expiry_wins_over_the_ttl(Context& ctx) {
  auto s = ctx.setup<int>({}, {.message_ttl = seconds(5)});
  Message<int> later(1);
  later.set_expires_at(ctx.now_s() + 1000);
  Message<int> never(2);
  never.set_expires_at(0);
  Message<int> never_by_duration(3);
  never_by_duration.set_expires(Duration(0));
  const Message<int> unset(4);
  must(s.topic.pub_msg_batch({later, never, never_by_duration, unset}));
  auto list = ctx.batch(s.channel, 4);
  ASSERT_EQ(list.size(), 4U);
  std::ranges::sort(list, {}, &Message<int>::body);
  EXPECT_EQ(list[0].expires_at(), later.expires_at());
  EXPECT_EQ(list[1].expires_at(), 0);
  EXPECT_EQ(list[2].expires_at(), 0);
  EXPECT_EQ(list[3].expires_at(), second_after(ctx, seconds(5)));
}

void ttl_counts_from_the_due_time(Context& ctx) {
  auto s = ctx.setup<int>({}, {.message_ttl = seconds(10)});
  const std::int64_t expected = second_after(ctx, hours(1) + seconds(10));
  must(s.topic.pub(1, {.delay = hours(1)}));
  must(s.topic.pub(2, {.deliver_at = TimePoint(std::chrono::milliseconds(ctx.now_ms()) + hours(1))}));
  ctx.advance(hours(1));
  const auto list = ctx.batch(s.channel, 2);
  ASSERT_EQ(list.size(), 2U);
  for (const auto& message : list) EXPECT_EQ(message.expires_at(), expected);
}

void requested_expiry_counts_from_the_publish(Context& ctx) {
  auto s = ctx.setup<int>();
  const std::int64_t expected = second_after(ctx, seconds(100));
  must(s.topic.pub(1, {.delay = seconds(50), .expires = seconds(100)}));
  ctx.advance(seconds(50));
  EXPECT_EQ(ctx.receive(s.channel).expires_at(), expected);
}

void expiry_is_the_same_in_all_channels(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub(1, {.expires = seconds(77)}));
  EXPECT_EQ(ctx.receive(s.channel).expires_at(), ctx.receive(other).expires_at());
}

void very_long_times(Context& ctx) {
  auto s = ctx.setup<int>({}, {.message_ttl = hours(24 * 365 * 99)});
  must(s.topic.pub(1));
  must(s.topic.pub(2, {.expires = hours(24 * 365 * 250)}));
  ctx.expect_next(s.channel, std::vector<int>{1, 2});
}

/// Lets a minute pass when a message is given up for its age: a back end may take as long to note that.
class SlowGivingUp final : public Observer {
 public:
  explicit SlowGivingUp(ManualClock& clock) : clock_(clock) {}
  void settled(std::string_view, std::string_view, Outcome outcome, std::size_t) override {
    if (outcome == Outcome::expired && expired_++ == 0) clock_.advance(std::chrono::minutes(1));
  }
  [[nodiscard]] int expired() const { return expired_; }

 private:
  ManualClock& clock_;
  std::atomic<int> expired_ = 0;
};

void expiry_while_others_are_given_up(Context& ctx) {
  auto observer = std::make_shared<SlowGivingUp>(ctx.clock());
  auto s = ctx.setup<int>({}, {}, {.observer = observer});
  must(s.topic.pub(1, ctx.in_order({.expires = seconds(5)})));
  must(s.topic.pub(2, ctx.in_order({.expires = seconds(30)})));
  ctx.advance(seconds(10));
  expect_error(s.channel.next_batch(10, Duration(0)), ErrorCode::no_message);
  EXPECT_EQ(observer->expired(), 2);
}

constexpr TestCase kTtlTests[] = {
    {"D12_default_ttl_is_a_day", "D12", kTimed, default_is_a_day},
    {"D12_ttl_of_the_topic_wins_over_the_queue", "D12", kTimed, topic_wins_over_queue},
    {"D12_expiry_is_rounded_up_to_whole_seconds", "D12", kTimed, rounding_up},
    {"D12_expiry_option_wins_over_the_message", "D12 API_PubOptions", kTimed, options_win},
    {"D12_expiry_of_the_message_wins_over_the_ttl", "D12 API_SetExpires", kTimed, own_expiry_wins_over_the_ttl},
    {"D12_ttl_counts_from_the_due_time",
     "D12 D17",
     {Capability::manual_clock, Capability::delayed_publish},
     ttl_counts_from_the_due_time},
    {"D12_requested_expiry_counts_from_the_publish",
     "D12 D17",
     {Capability::manual_clock, Capability::delayed_publish},
     requested_expiry_counts_from_the_publish},
    {"D12_expiry_is_the_same_in_all_channels", "D12", kTimed, expiry_is_the_same_in_all_channels},
    {"D12_expiry_while_others_are_given_up", "D12", kTimed, expiry_while_others_are_given_up},
    {"D12_very_long_times_do_not_overflow", "D12", {}, very_long_times},
};

}  // namespace

std::span<const TestCase> ttl_tests() { return kTtlTests; }

}  // namespace lrpc::queue::conformance
