// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Messages of one key in a subscription: one after another, in order, also around retries (D5, D8).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::seconds;
using Text = std::string;
using Texts = std::vector<std::string>;

void pub(Topic<Text>& topic, const Text& body, const Text& key) { must(topic.pub(body, {.key = key})); }

bool drained(Context& ctx, Channel<Text>& channel) {
  return ctx.eventually([&] { return channel.depth() == 0; });
}

void same_key_one_after_another(Context& ctx) {
  constexpr int kKeys = 5;
  constexpr int kEach = 60;
  std::atomic<int> overlaps = 0;
  std::atomic<int> disorder = 0;
  std::map<Text, std::atomic<int>> running;
  std::map<Text, int> last;
  std::mutex mutex;
  for (int k = 0; k < kKeys; ++k) running[std::to_string(k)] = 0;
  auto s = ctx.setup<int>({.max_in_flight = 16});
  for (int i = 1; i <= kEach; ++i) {
    for (int k = 0; k < kKeys; ++k) must(s.topic.pub(i, {.key = std::to_string(k)}));
  }
  must(s.channel.subscribe([&](Message<int>& m) {
    if (running[m.key()].fetch_add(1) != 0) ++overlaps;
    std::this_thread::yield();
    {
      const std::lock_guard lock(mutex);
      if (last[m.key()] + 1 != m.body()) ++disorder;
      last[m.key()] = m.body();
    }
    --running[m.key()];
  }));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_EQ(overlaps, 0);
  EXPECT_EQ(disorder, 0);
  const std::lock_guard lock(mutex);
  for (const auto& [key, body] : last) EXPECT_EQ(body, kEach) << key;
}

void other_keys_go_on(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.max_in_flight = 4});
  const OpenAtExit opener(gate);
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  pub(s.topic, "b1", "b");
  pub(s.topic, "none1", "");
  pub(s.topic, "none2", "");
  must(s.channel.subscribe([&](Message<Text>& m) {
    if (m.body() == "a1") gate.pass();
    handled.add(m.body());
  }));
  EXPECT_TRUE(handled.wait_for(3));
  EXPECT_EQ(handled.sorted(), (Texts{"b1", "none1", "none2"}));
  gate.open();
  EXPECT_TRUE(handled.wait_for(5));
  EXPECT_EQ(handled.items()[3], "a1");
  EXPECT_EQ(handled.items()[4], "a2");
  EXPECT_TRUE(drained(ctx, s.channel));
}

void empty_key_is_no_key(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 3});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch({1, 2, 3}));
  must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  EXPECT_TRUE(gate.wait_for_entered(3)) << "messages without a key have to run side by side";
}

void retry_holds_its_key(Context& ctx) {
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.retry_delay = seconds(10), .max_in_flight = 4});
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  pub(s.topic, "a3", "a");
  pub(s.topic, "b1", "b");
  must(s.channel.subscribe([&](Message<Text>& m) {
    handled.add(m.body() + "/" + std::to_string(m.attempts()));
    return ProcessRsp{.retry = m.body() == "a1" && m.attempts() < 3};
  }));
  // Its retry has been settled, so that the next step of the clock counts from there.
  const auto sent_back = [&](std::int64_t times) {
    return ctx.eventually([&] { return must(s.channel.stats()).nacked == times; });
  };
  EXPECT_TRUE(handled.wait_for(2));
  EXPECT_EQ(handled.sorted(), (Texts{"a1/1", "b1/1"}));
  pub(s.topic, "b2", "b");
  EXPECT_TRUE(handled.wait_for(3));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 3; }));
  EXPECT_TRUE(sent_back(1));
  Context::wait_a_moment();
  EXPECT_EQ(handled.size(), 3U) << "a message overtook the retry of its key";
  ctx.advance(seconds(10));
  EXPECT_TRUE(handled.wait_for(4));
  EXPECT_TRUE(sent_back(2));
  Context::wait_a_moment();
  EXPECT_EQ(handled.size(), 4U);
  ctx.advance(seconds(10));
  EXPECT_TRUE(handled.wait_for(7));
  const Texts all = handled.items();
  EXPECT_EQ(Texts(all.begin() + 3, all.end()), (Texts{"a1/2", "a1/3", "a2/1", "a3/1"}));
  EXPECT_TRUE(drained(ctx, s.channel));
}

void held_messages_keep_their_leases(Context& ctx) {
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.retry_delay = seconds(50), .max_in_flight = 4, .ack_timeout = seconds(10)});
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  must(s.channel.subscribe([&](Message<Text>& m) {
    handled.add(m.body() + "/" + std::to_string(m.attempts()));
    return ProcessRsp{.retry = handled.size() == 1};
  }));
  EXPECT_TRUE(handled.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  ctx.advance_slowly(seconds(45), seconds(1));
  EXPECT_EQ(handled.size(), 1U);
  expect_error(s.channel.try_next(Duration(0)), ErrorCode::no_message);
  ctx.advance_slowly(seconds(5), seconds(1));
  EXPECT_TRUE(handled.wait_for(3));
  EXPECT_EQ(handled.items(), (Texts{"a1/1", "a1/2", "a2/1"}));
}

void held_retry_counts_as_in_flight(Context& ctx) {
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.retry_delay = seconds(10), .max_in_flight = 2});
  pub(s.topic, "a1", "a");
  must(s.channel.subscribe([&](Message<Text>& m) {
    handled.add(m.body());
    return ProcessRsp{.retry = m.attempts() == 1};
  }));
  EXPECT_TRUE(handled.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] {
    const auto stats = must(s.channel.stats());
    return stats.nacked == 1 && stats.in_flight == 1 && stats.delayed == 0;
  }));
  ctx.expect_depth(s.channel, 1);
  ctx.advance(seconds(10));
  EXPECT_TRUE(handled.wait_for(2));
  EXPECT_TRUE(drained(ctx, s.channel));
}

/// Runs a1 (answered by `first`) and a2 of one key; returns what was handled before any time passed.
void expect_hold(Context& ctx, const ChannelConfig& config, const ProcessRsp& first, bool held) {
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>(config);
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  must(s.channel.subscribe([&](Message<Text>& m) {
    handled.add(m.body());
    return m.body() == "a1" && m.attempts() == 1 ? first : ProcessRsp{};
  }));
  EXPECT_TRUE(handled.wait_for(1));
  if (held) {
    Context::wait_a_moment();
    EXPECT_EQ(handled.items(), Texts{"a1"});
  } else {
    EXPECT_TRUE(handled.wait_for(2));
    EXPECT_EQ(handled.items(), (Texts{"a1", "a2"}));
  }
  if (!first.retry_after) return;
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  ctx.advance_slowly(*first.retry_after, seconds(5));
  EXPECT_TRUE(handled.wait_for(3));
  EXPECT_EQ(handled.items(), held ? (Texts{"a1", "a1", "a2"}) : (Texts{"a1", "a2", "a1"}));
  EXPECT_TRUE(drained(ctx, s.channel));
}

void delay_up_to_a_minute_holds(Context& ctx) {
  expect_hold(ctx, {.max_in_flight = 2}, ProcessRsp{.retry_after = seconds(60)}, true);
}

void delay_over_a_minute_ends_the_hold(Context& ctx) {
  expect_hold(ctx, {.max_in_flight = 2}, ProcessRsp{.retry_after = seconds(61)}, false);
}

void dead_letter_ends_the_hold(Context& ctx) {
  expect_hold(ctx, {.max_in_flight = 2}, ProcessRsp{.dead_letter = true}, false);
  expect_hold(ctx, {.max_retries = 0, .max_in_flight = 2}, ProcessRsp{.retry = true}, false);
}

void handler_nack_holds_its_key(Context& ctx) {
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.max_in_flight = 2});
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  must(s.channel.subscribe([&](Message<Text>& m) {
    handled.add(m.body());
    if (m.attempts() == 1 && m.body() == "a1") expect_ok(s.channel.nack(m, {.delay = seconds(10)}));
  }));
  EXPECT_TRUE(handled.wait_for(1));
  Context::wait_a_moment();
  EXPECT_EQ(handled.size(), 1U);
  ctx.advance(seconds(10));
  EXPECT_TRUE(handled.wait_for(3));
  EXPECT_EQ(handled.items(), (Texts{"a1", "a1", "a2"}));
  EXPECT_TRUE(drained(ctx, s.channel));
}

void own_nack_waits_for_the_handler(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<Text> begun(ctx.patience());
  std::atomic<int> beside{0};
  std::atomic<int> running{0};
  auto s = ctx.setup<Text>({.max_in_flight = 4});
  const OpenAtExit opener(gate);
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  must(s.channel.subscribe([&](Message<Text>& m) {
    if (running.fetch_add(1) != 0) ++beside;
    begun.add(m.body());
    if (m.attempts() == 1 && m.body() == "a1") {
      expect_ok(s.channel.nack(m, {.delay = Duration(0)}));
      gate.pass();  // the retry is due, but this handler still runs
    }
    --running;
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  Context::wait_a_moment();
  EXPECT_EQ(begun.items(), Texts{"a1"});
  gate.open();
  EXPECT_TRUE(begun.wait_for(3));
  EXPECT_EQ(begun.items(), (Texts{"a1", "a1", "a2"}));
  EXPECT_EQ(beside, 0);
  EXPECT_TRUE(drained(ctx, s.channel));
}

// Fetched, but waiting for its key: it counts as ready, so nobody can settle it by its id.
void unseen_is_not_in_flight(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.max_in_flight = 2});
  const OpenAtExit opener(gate);
  const Text first = must(s.topic.pub("a1", {.key = "a"}));
  const Text second = must(s.topic.pub("a2", {.key = "a"}));
  must(s.channel.subscribe([&](Message<Text>& m) {
    if (m.body() == "a1") gate.pass();
    handled.add(m.body());
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  Context::wait_a_moment();  // for the second to be fetched
  expect_error(s.channel.ack(second), ErrorCode::message_not_found);
  expect_error(s.channel.nack(second), ErrorCode::message_not_found);
  expect_error(s.channel.touch(second), ErrorCode::message_not_found);
  expect_ok(s.channel.touch(first));
  gate.open();
  EXPECT_TRUE(handled.wait_for(2));
  EXPECT_EQ(handled.items(), (Texts{"a1", "a2"}));
  EXPECT_TRUE(drained(ctx, s.channel));
}

void settled_by_id_while_held(Context& ctx) {
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.retry_delay = seconds(10), .max_in_flight = 2});
  const Text a1 = must(s.topic.pub("a1", {.key = "a"}));
  const Text b1 = must(s.topic.pub("b1", {.key = "b"}));
  pub(s.topic, "a2", "a");
  pub(s.topic, "b2", "b");
  must(s.channel.subscribe([&](Message<Text>& m) {
    handled.add(m.body());
    return ProcessRsp{.retry = m.attempts() == 1 && m.body().ends_with('1')};
  }));
  EXPECT_TRUE(handled.wait_for(2));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 2; }));
  expect_ok(s.channel.ack(a1));
  expect_ok(s.channel.nack(b1, {.dead_letter = true}));
  ctx.advance(seconds(10));
  EXPECT_TRUE(handled.wait_for(4));
  EXPECT_TRUE(drained(ctx, s.channel));
  auto all = handled.items();
  std::ranges::sort(all);
  EXPECT_EQ(all, (Texts{"a1", "a2", "b1", "b2"})) << "a settled message was handled again";
}

void handler_timeout_ends_the_hold(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<Text> handled(ctx.patience());
  auto s = ctx.setup<Text>({.retry_delay = seconds(1), .max_in_flight = 2, .handler_timeout = seconds(5)});
  const OpenAtExit opener(gate);
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  must(s.channel.subscribe([&](Message<Text>& m) {
    if (m.body() == "a1" && m.attempts() == 1) gate.pass();
    handled.add(m.body() + "/" + std::to_string(m.attempts()));
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  ctx.advance_slowly(seconds(5), seconds(1));
  EXPECT_TRUE(handled.wait_for(1)) << "the later message of the key is still held";
  EXPECT_EQ(handled.items(), Texts{"a2/1"});
  // The retry counts from when it is stored.
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  ctx.advance(seconds(1));
  EXPECT_TRUE(handled.wait_for(2));
  EXPECT_EQ(handled.items()[1], "a1/2");
  gate.open();
  EXPECT_TRUE(drained(ctx, s.channel));
}

void order_restarts_at_the_oldest_after_close(Context& ctx) {
  Collector<Text> before(ctx.patience());
  Collector<Text> after(ctx.patience());
  auto s = ctx.setup<Text>({.retry_delay = seconds(10), .max_in_flight = 4});
  for (const char* body : {"a1", "a2", "a3"}) pub(s.topic, body, "a");
  must(s.channel.subscribe([&](Message<Text>& m) {
    before.add(m.body());
    return ProcessRsp{.retry = true};
  }));
  EXPECT_TRUE(before.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  expect_ok(s.channel.close());
  auto channel = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(channel, 3);
  must(channel.subscribe([&](Message<Text>& m) { after.add(m.body() + "/" + std::to_string(m.attempts())); }));
  EXPECT_TRUE(after.wait_for(3));
  EXPECT_EQ(before.items(), Texts{"a1"});
  EXPECT_EQ(after.items(), (Texts{"a1/2", "a2/1", "a3/1"}));
}

void many_held_keys_do_not_stop_others(Context& ctx) {
  constexpr int kKeys = 300;
  std::atomic<int> retried = 0;
  std::atomic<int> done = 0;
  auto s = ctx.setup<int>({.retry_delay = seconds(10), .max_in_flight = 4});
  for (int k = 0; k < kKeys; ++k) must(s.topic.pub_batch({1, 2}, {.key = "key " + std::to_string(k)}));
  must(s.topic.pub(3));
  must(s.channel.subscribe([&](Message<int>& m) {
    const bool retry = m.body() == 1 && m.attempts() == 1;
    ++(retry ? retried : done);
    return ProcessRsp{.retry = retry};
  }));
  EXPECT_TRUE(ctx.eventually([&] { return retried == kKeys && done == 1; })) << retried << " " << done;
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == kKeys; }));
  ctx.advance(seconds(10));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_EQ(done, 2 * kKeys + 1);
}

void more_than_a_thousand_held(Context& ctx) {
  constexpr int kMessages = 1500;
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(10), .max_in_flight = 4});
  for (int i = 1; i <= kMessages; ++i) must(s.topic.pub(i, {.key = "a"}));
  for (int i = 1; i <= 5; ++i) must(s.topic.pub(-i, {.key = "b"}));
  must(s.channel.subscribe([&](Message<int>& m) {
    if (m.body() == 1 && m.attempts() == 1) return ProcessRsp{.retry = true};
    handled.add(m.body());
    return ProcessRsp{};
  }));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  Context::wait_a_moment();
  ctx.expect_depth(s.channel, kMessages + 5 - static_cast<std::int64_t>(handled.size()));
  ctx.advance(seconds(10));
  EXPECT_TRUE(handled.wait_for(kMessages + 5));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  int last = 0;
  for (const int body : handled.items()) {
    if (body < 0) continue;
    ASSERT_EQ(body, last + 1);
    last = body;
  }
}

void next_ignores_keys(Context& ctx) {
  auto s = ctx.setup<Text>();
  pub(s.topic, "a1", "a");
  pub(s.topic, "a2", "a");
  EXPECT_EQ(ctx.receive(s.channel).body(), "a1");
  EXPECT_EQ(ctx.receive(s.channel).body(), "a2");
}

constexpr TestCase kKeyOrderTests[] = {
    {"D5_same_key_is_handled_one_after_another", "D5", {}, same_key_one_after_another},
    {"D5_other_keys_go_on_while_one_is_busy", "D5 D11", {}, other_keys_go_on},
    {"D5_messages_without_key_run_side_by_side", "D5 D11", {}, empty_key_is_no_key},
    {"D5_order_of_a_key_restarts_at_the_oldest_after_close", "D5 D8 D20", {}, order_restarts_at_the_oldest_after_close},
    {"D5_next_hands_out_keyed_messages_freely", "D5", {}, next_ignores_keys},
    {"D8_retry_holds_the_later_messages_of_its_key", "D8 D5", kTimed, retry_holds_its_key},
    {"D8_held_messages_keep_their_leases", "D8 D9", kTimed, held_messages_keep_their_leases},
    {"D8_held_retry_counts_as_in_flight", "D8 D19", kTimed, held_retry_counts_as_in_flight},
    {"D8_explicit_delay_up_to_a_minute_holds_the_key", "D8", kTimed, delay_up_to_a_minute_holds},
    {"D8_explicit_delay_over_a_minute_ends_the_hold", "D8", kTimed, delay_over_a_minute_ends_the_hold},
    {"D8_dead_letter_ends_the_hold", "D8 D18", {}, dead_letter_ends_the_hold},
    {"D8_nack_inside_a_handler_holds_its_key", "D8 API_Handler", kTimed, handler_nack_holds_its_key},
    {"D8_retry_does_not_run_beside_the_handler_that_nacked", "D8 D5 API_Handler", {}, own_nack_waits_for_the_handler},
    {"D10_message_that_no_handler_has_seen_is_not_in_flight", "D10 D5 API_Ack", {}, unseen_is_not_in_flight},
    {"D8_settled_by_id_while_held_is_not_handled_again", "D8 D1 API_Ack", kTimed, settled_by_id_while_held},
    {"D8_handler_timeout_ends_the_hold", "D8 D9", kTimed, handler_timeout_ends_the_hold},
    {"D8_more_than_a_thousand_held_messages_lose_nothing", "D8 D5 D1", kTimed, more_than_a_thousand_held},
    {"D8_many_held_keys_do_not_stop_others", "D8", kTimed, many_held_keys_do_not_stop_others},
};

}  // namespace

std::span<const TestCase> key_order_tests() { return kKeyOrderTests; }

}  // namespace lrpc::queue::conformance
