// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Dead letters: what they keep, listing, requeue, purge and their limit (D18).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

/// Gives up everything that is ready.
void give_up_all(Context& ctx, Channel<int>& channel, std::size_t count) {
  while (count > 0) {
    const auto list = ctx.batch(channel, count);
    must(channel.nack(list, {.reason = "given up", .dead_letter = true}));
    count -= list.size();
  }
}

std::vector<int> bodies(const DeadLetterPage<int>& page) {
  std::vector<int> result;
  for (const auto& letter : page.items) {
    EXPECT_TRUE(letter.message.has_value());
    if (letter.message) result.push_back(letter.message->body());
  }
  return result;
}

void keeps_the_original(Context& ctx) {
  auto s = ctx.setup<std::string>({.max_retries = 1});
  Message<std::string> original("body");
  original.set_key("key");
  original.set_header("h", "v");
  original.set_timestamp(1'700'000'000);
  original.set_expires_at(ctx.now_s() + 100'000);
  const std::int64_t published_ms = ctx.now_ms();
  must(s.topic.pub_msg(original));
  ctx.advance(seconds(5));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = Duration(0), .reason = "first"}));
  ctx.advance(seconds(5));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.reason = "second"}));
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  const auto& letter = page.items[0];
  EXPECT_EQ(letter.id, original.id());
  EXPECT_EQ(letter.reason, "max_retries");
  EXPECT_EQ(letter.error, "second");
  EXPECT_EQ(letter.attempts, 2);
  EXPECT_EQ(letter.first_at, TimePoint(std::chrono::milliseconds(published_ms)));
  EXPECT_EQ(letter.last_at, TimePoint(std::chrono::milliseconds(published_ms + 10'000)));
  ASSERT_TRUE(letter.message.has_value());
  EXPECT_EQ(letter.message->id(), original.id());
  EXPECT_EQ(letter.message->body(), "body");
  EXPECT_EQ(letter.message->key(), "key");
  EXPECT_EQ(letter.message->headers(), (Headers{{"h", "v"}}));
  EXPECT_EQ(letter.message->timestamp(), 1'700'000'000);
  EXPECT_EQ(letter.message->expires_at(), original.expires_at());
  EXPECT_EQ(letter.message->attempts(), 2);
  EXPECT_EQ(page.cursor, "");
}

void raw_bytes_where_encoded(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(42));
  give_up_all(ctx, s.channel, 1);
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  if (ctx.claims(Capability::typed_bodies)) {
    EXPECT_TRUE(page.items[0].raw.empty());
  } else {
    EXPECT_EQ(page.items[0].raw, (Bytes{std::byte{'4'}, std::byte{'2'}}));
  }
}

void empty_list(Context& ctx) {
  auto s = ctx.setup<int>();
  const auto page = must(s.channel.dead_letters());
  EXPECT_TRUE(page.items.empty());
  EXPECT_EQ(page.cursor, "");
  EXPECT_EQ(must(s.channel.requeue_dead()), 0);
  EXPECT_EQ(must(s.channel.purge_dead()), 0);
}

void paging(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch(numbers(1, 250), ctx.in_order()));
  give_up_all(ctx, s.channel, 250);
  const auto first = must(s.channel.dead_letters());
  EXPECT_EQ(bodies(first), numbers(1, 100)) << "the default limit is 100";
  ASSERT_NE(first.cursor, "");
  const auto second = must(s.channel.dead_letters(100, first.cursor));
  EXPECT_EQ(bodies(second), numbers(101, 200));
  ASSERT_NE(second.cursor, "");
  const auto third = must(s.channel.dead_letters(100, second.cursor));
  EXPECT_EQ(bodies(third), numbers(201, 250));
  EXPECT_EQ(third.cursor, "");
  EXPECT_EQ(bodies(must(s.channel.dead_letters(1'000'000))), numbers(1, 250));
  std::vector<int> one_by_one;
  std::string cursor;
  do {
    const auto page = must(s.channel.dead_letters(1, cursor));
    for (const int body : bodies(page)) one_by_one.push_back(body);
    cursor = page.cursor;
  } while (!cursor.empty() && one_by_one.size() < 300);
  EXPECT_EQ(one_by_one, numbers(1, 250));
}

void paging_while_letters_come_and_go(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch(numbers(1, 10), ctx.in_order()));
  give_up_all(ctx, s.channel, 10);
  const auto first = must(s.channel.dead_letters(4));
  ASSERT_NE(first.cursor, "");
  // What was on the first page goes, new ones come: the next page goes on where the first ended.
  std::vector<std::string> seen;
  for (const auto& letter : first.items) seen.push_back(letter.id);
  EXPECT_EQ(must(s.channel.requeue_dead(seen)), 4);
  ctx.expect_next(s.channel, numbers(1, 4));
  must(s.topic.pub(11, ctx.in_order()));
  give_up_all(ctx, s.channel, 1);
  EXPECT_EQ(bodies(must(s.channel.dead_letters(100, first.cursor))), numbers(5, 11));
}

void wrong_arguments(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  give_up_all(ctx, s.channel, 1);
  expect_error(s.channel.dead_letters(0), ErrorCode::invalid_argument);
  for (const char* cursor : {"no cursor", "-1", " ", "99999999999999999999999999"}) {
    expect_error(s.channel.dead_letters(10, cursor), ErrorCode::invalid_argument);
  }
}

void requeue_all(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 1});
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  for (int round = 0; round < 2; ++round) {
    const auto list = ctx.batch(s.channel, 3);
    ASSERT_EQ(list.size(), 3U);
    expect_ok(s.channel.nack(list, {.delay = Duration(0)}));
  }
  ctx.expect_depth(s.channel, 0);
  EXPECT_EQ(must(s.channel.requeue_dead()), 3);
  EXPECT_EQ(must(s.channel.stats()).dead, 0);
  ctx.expect_depth(s.channel, 3);
  const auto list = ctx.batch(s.channel, 3);
  ASSERT_EQ(list.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(list[i].body(), static_cast<int>(i) + 1);
    EXPECT_EQ(list[i].attempts(), 1) << "attempts start over";
  }
  // They start over in full: one more retry is allowed.
  expect_ok(s.channel.nack(list, {.delay = Duration(0)}));
  EXPECT_EQ(must(s.channel.stats()).dead, 0);
  ctx.expect_next(s.channel, std::vector<int>{1, 2, 3});
}

void requeue_some(Context& ctx) {
  auto s = ctx.setup<int>();
  const auto ids = must(s.topic.pub_batch({1, 2, 3, 4}, ctx.in_order()));
  give_up_all(ctx, s.channel, 4);
  const std::vector<std::string> wanted = {ids[2], "unknown", ids[0]};
  EXPECT_EQ(must(s.channel.requeue_dead(wanted)), 2);
  EXPECT_EQ(must(s.channel.requeue_dead(wanted)), 0);
  EXPECT_EQ(must(s.channel.requeue_dead(std::vector<std::string>{})), 0) << "no ids are not all ids";
  std::vector<int> back = ctx.take(s.channel, 2);
  std::sort(back.begin(), back.end());
  EXPECT_EQ(back, (std::vector<int>{1, 3}));
  EXPECT_EQ(bodies(must(s.channel.dead_letters())), (std::vector<int>{2, 4}));
}

void requeue_wakes_consumers(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  give_up_all(ctx, s.channel, 1);
  must(s.channel.subscribe([&](Message<int>& m) { got.add(m.attempts()); }));
  Context::wait_a_moment();
  EXPECT_EQ(must(s.channel.requeue_dead()), 1);
  EXPECT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items(), std::vector<int>{1});
}

void requeue_renews_a_passed_expiry(Context& ctx) {
  auto s = ctx.setup<int>({.dead_letter_expired = true}, {.message_ttl = seconds(100)});
  must(s.topic.pub(1, ctx.in_order({.expires = seconds(5)})));
  must(s.topic.pub(2, ctx.in_order({.expires = hours(1)})));
  must(s.topic.pub(3, ctx.in_order({.expires = Duration(0)})));
  const auto alive = ctx.batch(s.channel, 3);
  ASSERT_EQ(alive.size(), 3U);
  expect_ok(s.channel.nack(alive, {.dead_letter = true}));
  ctx.advance(seconds(10));
  const std::int64_t fresh = (ctx.now_ms() + 100'000 + 999) / 1000;
  EXPECT_EQ(must(s.channel.requeue_dead()), 3);
  const auto list = ctx.batch(s.channel, 3);
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0].body(), 1);
  EXPECT_EQ(list[0].expires_at(), fresh);
  EXPECT_EQ(list[0].enqueued_at(), TimePoint(std::chrono::milliseconds(ctx.now_ms())));
  EXPECT_EQ(list[1].expires_at(), alive[1].expires_at()) << "an expiry that has not passed stays";
  EXPECT_EQ(list[2].expires_at(), 0);
}

void requeue_restarts_the_cap(Context& ctx) {
  auto s = ctx.setup<int>({.message_ttl = seconds(10), .dead_letter_expired = true});
  must(s.topic.pub(1));
  ctx.advance(seconds(20));
  ctx.expect_nothing(s.channel);
  EXPECT_EQ(must(s.channel.requeue_dead()), 1);
  ctx.advance(seconds(5));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

void purge(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3}));
  give_up_all(ctx, s.channel, 3);
  must(s.topic.pub(4));
  EXPECT_EQ(must(s.channel.purge_dead()), 3);
  EXPECT_EQ(must(s.channel.purge_dead()), 0);
  EXPECT_TRUE(must(s.channel.dead_letters()).items.empty());
  EXPECT_EQ(must(s.channel.stats()).dead, 0);
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{4});
}

void limit_lets_the_oldest_go(Context& ctx) {
  auto s = ctx.setup<int>({.dead_letter_limit = 3});
  must(s.topic.pub_batch({1, 2, 3, 4, 5}, ctx.in_order()));
  give_up_all(ctx, s.channel, 5);
  EXPECT_EQ(bodies(must(s.channel.dead_letters())), (std::vector<int>{3, 4, 5}));
  const auto stats = must(s.channel.stats());
  EXPECT_EQ(stats.dead, 3);
  EXPECT_EQ(stats.dropped, 2);
  EXPECT_EQ(must(s.channel.requeue_dead()), 3);
}

void limit_zero_keeps_none(Context& ctx) {
  auto s = ctx.setup<int>({.dead_letter_limit = 0});
  must(s.topic.pub(1));
  give_up_all(ctx, s.channel, 1);
  EXPECT_TRUE(must(s.channel.dead_letters()).items.empty());
  EXPECT_EQ(must(s.channel.stats()).dropped, 1);
  ctx.expect_depth(s.channel, 0);
}

void switched_off(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 0, .dead_letter = false});
  must(s.topic.pub_batch({1, 2}));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.dead_letter = true}));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
  const auto stats = must(s.channel.stats());
  EXPECT_EQ(stats.dead, 0);
  EXPECT_EQ(stats.dropped, 2);
}

void kept_per_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  give_up_all(ctx, s.channel, 2);
  EXPECT_TRUE(must(other.dead_letters()).items.empty());
  give_up_all(ctx, other, 1);
  EXPECT_EQ(must(other.purge_dead()), 1);
  EXPECT_EQ(bodies(must(s.channel.dead_letters())), (std::vector<int>{1, 2}));
  EXPECT_EQ(must(s.channel.requeue_dead()), 2);
  ctx.expect_depth(other, 1);
}

void survive_close(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  give_up_all(ctx, s.channel, 2);
  expect_ok(s.topic.close());
  auto topic = must(s.queue.topic<int>("events"));
  auto channel = must(topic.get_channel("work"));
  EXPECT_EQ(bodies(must(channel.dead_letters())), (std::vector<int>{1, 2}));
  EXPECT_EQ(must(channel.requeue_dead()), 2);
  ctx.expect_next(channel, std::vector<int>{1, 2});
}

void same_id_twice(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_msg_batch({Message<int>::with_id("same", 1), Message<int>::with_id("same", 2)}));
  give_up_all(ctx, s.channel, 2);
  EXPECT_EQ(must(s.channel.dead_letters()).items.size(), 2U);
  EXPECT_EQ(must(s.channel.requeue_dead(std::vector<std::string>{"same"})), 2);
  ctx.expect_next(s.channel, std::vector<int>{1, 2});
}

constexpr TestCase kDeadLetterTests[] = {
    {"D18_dead_letter_keeps_the_original", "D18 D7", kTimedLetters, keeps_the_original},
    {"D18_dead_letter_has_raw_bytes_where_bodies_are_encoded", "D18 API_dead_letters", kLetters,
     raw_bytes_where_encoded},
    {"D18_empty_list", "D18 API_dead_letters", kLetters, empty_list},
    {"D18_paging_by_cursor", "D18 API_dead_letters", kLetters, paging},
    {"D18_paging_while_letters_come_and_go", "D18 API_dead_letters", kLetters, paging_while_letters_come_and_go},
    {"D18_wrong_arguments_are_refused", "D18 API_dead_letters", kLetters, wrong_arguments},
    {"D18_requeue_all_starts_over", "D18 D6 API_dead_letters", kLetters, requeue_all},
    {"D18_requeue_some_by_id", "D18 API_dead_letters", kLetters, requeue_some},
    {"D18_requeue_wakes_consumers", "D18 D21", kLetters, requeue_wakes_consumers},
    {"D18_requeue_renews_a_passed_expiry", "D18 D12", kTimedLetters, requeue_renews_a_passed_expiry},
    {"D18_requeue_restarts_the_ttl_of_the_channel", "D18 D12", kTimedLetters, requeue_restarts_the_cap},
    {"D18_purge", "D18 API_dead_letters", kLetters, purge},
    {"D18_limit_lets_the_oldest_go", "D18", kLetters, limit_lets_the_oldest_go},
    {"D18_limit_zero_keeps_none", "D18", kLetters, limit_zero_keeps_none},
    {"D18_switched_off_drops_and_counts", "D18", {}, switched_off},
    {"D18_dead_letters_are_kept_per_channel", "D18", kLetters, kept_per_channel},
    {"D18_dead_letters_survive_close", "D18 D20", kLetters, survive_close},
    {"D18_same_id_twice", "D18", kLetters, same_id_twice},
};

}  // namespace

std::span<const TestCase> dead_letter_tests() { return kDeadLetterTests; }

}  // namespace lrpc::queue::conformance
