// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <set>
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// The publishing calls: what they return, what arrives, and that a refused call leaves nothing behind (D2, D3).

namespace lrpc::queue::conformance {
namespace {

using Ids = std::vector<std::string>;

void pub_returns_the_id(Context& ctx) {
  auto s = ctx.setup<std::string>();
  const std::string id = must(s.topic.pub("hello"));
  EXPECT_TRUE(MessageId::parse(id).has_value()) << id;
  const auto message = ctx.receive(s.channel);
  EXPECT_EQ(message.id(), id);
  EXPECT_EQ(message.body(), "hello");
  EXPECT_EQ(message.attempts(), 1);
  EXPECT_EQ(message.channel(), "work");
  EXPECT_EQ(message.key(), "");
  EXPECT_TRUE(message.headers().empty());
  expect_ok(s.channel.ack(message));
  ctx.expect_nothing(s.channel);
}

void pub_stamps_the_time(Context& ctx) {
  auto s = ctx.setup<int>();
  ctx.advance(std::chrono::hours(5));
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  EXPECT_EQ(message.timestamp(), ctx.now_s());
  EXPECT_EQ(message.enqueued_at(), TimePoint(std::chrono::milliseconds(ctx.now_ms())));
}

void pub_batch_keeps_order(Context& ctx) {
  auto s = ctx.setup<int>();
  const std::vector<int> list = {1, 2, 3};
  std::vector<Ids> ids;
  ids.push_back(must(s.topic.pub_batch(list, ctx.in_order())));
  ids.push_back(must(s.topic.pub_batch(std::span<const int>(list).first(2), ctx.in_order())));
  ids.push_back(must(s.topic.pub_batch(std::vector<int>{4, 5}, ctx.in_order())));
  ids.push_back(must(s.topic.pub_batch({6, 7, 8}, ctx.in_order())));
  Ids sent;
  for (const Ids& some : ids) sent.insert(sent.end(), some.begin(), some.end());
  std::vector<int> bodies;
  Ids received;
  for (std::size_t i = 0; i < 10; ++i) {
    const auto message = ctx.receive(s.channel);
    bodies.push_back(message.body());
    received.push_back(message.id());
    expect_ok(s.channel.ack(message));
  }
  EXPECT_EQ(bodies, (std::vector<int>{1, 2, 3, 1, 2, 4, 5, 6, 7, 8}));
  EXPECT_EQ(received, sent);
  EXPECT_EQ(std::set<std::string>(sent.begin(), sent.end()).size(), sent.size());
}

void empty_batch_succeeds(Context& ctx) {
  auto s = ctx.setup<int>();
  EXPECT_TRUE(must(s.topic.pub_batch(std::vector<int>{})).empty());
  EXPECT_TRUE(must(s.topic.pub_msg_batch(std::vector<Message<int>>{})).empty());
  ctx.expect_depth(s.channel, 0);
}

void batch_of_bool(Context& ctx) {
  auto s = ctx.setup<bool>();
  const std::vector<bool> list = {true, false, true};
  EXPECT_EQ(must(s.topic.pub_batch(list)).size(), 3U);
  ctx.expect_next(s.channel, list);
}

void pub_msg_keeps_what_was_set(Context& ctx) {
  auto s = ctx.setup<std::string>();
  auto message = Message<std::string>::with_id("order-4711", "paid");
  message.set_timestamp(1'700'000'000);
  message.set_key("customer 7");
  message.set_header("trace", "abc");
  message.set_header("empty", "");
  message.increment_attempts();
  message.increment_attempts();
  EXPECT_EQ(must(s.topic.pub_msg(message)), "order-4711");
  const auto got = ctx.receive(s.channel);
  EXPECT_EQ(got.id(), "order-4711");
  EXPECT_EQ(got.body(), "paid");
  EXPECT_EQ(got.timestamp(), 1'700'000'000);
  EXPECT_EQ(got.key(), "customer 7");
  EXPECT_EQ(got.headers(), (Headers{{"trace", "abc"}, {"empty", ""}}));
  EXPECT_EQ(got.attempts(), 1);
  EXPECT_EQ(got.channel(), "work");
}

void pub_msg_fills_in_id_and_timestamp(Context& ctx) {
  auto s = ctx.setup<int>();
  auto message = Message<int>::with_id("", 1);
  message.set_timestamp(0);
  const std::string id = must(s.topic.pub_msg(message));
  EXPECT_TRUE(MessageId::parse(id).has_value()) << id;
  const auto got = ctx.receive(s.channel);
  EXPECT_EQ(got.id(), id);
  EXPECT_GT(got.timestamp(), 1'600'000'000);
}

void pub_msg_batch_forms(Context& ctx) {
  auto s = ctx.setup<int>();
  const auto make = [](const char* id, int body) { return Message<int>::with_id(id, body); };
  const std::vector<Message<int>> list = {make("a", 1), make("b", 2)};
  EXPECT_EQ(must(s.topic.pub_msg_batch(list)), (Ids{"a", "b"}));
  EXPECT_EQ(must(s.topic.pub_msg_batch(std::span<const Message<int>>(list).last(1))), (Ids{"b"}));
  EXPECT_EQ(must(s.topic.pub_msg_batch({make("c", 3), make("d", 4)})), (Ids{"c", "d"}));
  ctx.expect_next(s.channel, std::vector<int>{1, 2, 2, 3, 4});
}

void same_id_twice_is_two_messages(Context& ctx) {
  auto s = ctx.setup<int>();
  const auto message = Message<int>::with_id("same", 1);
  must(s.topic.pub_msg(message));
  must(s.topic.pub_msg(message));
  must(s.topic.pub_msg_batch({message, message}));
  ctx.expect_depth(s.channel, 4);
  for (int i = 0; i < 4; ++i) {
    const auto got = ctx.receive(s.channel);
    EXPECT_EQ(got.id(), "same");
    expect_ok(s.channel.ack(got));
  }
  ctx.expect_nothing(s.channel);
}

void received_message_can_be_published_again(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.queue.topic<int>("forwarded"));
  auto target = must(other.get_or_add_channel("next"));
  must(s.topic.pub(5));
  auto first = ctx.receive(s.channel);
  expect_ok(s.channel.nack(first, {.delay = Duration(0)}));
  first = ctx.receive(s.channel);
  EXPECT_EQ(first.attempts(), 2);
  must(other.pub_msg(first));
  const auto second = ctx.receive(target);
  EXPECT_EQ(second.id(), first.id());
  EXPECT_EQ(second.attempts(), 1);
  EXPECT_EQ(second.channel(), "next");
  expect_ok(s.channel.ack(first));
  expect_ok(target.ack(second));
}

void changes_after_publish_stay_outside(Context& ctx) {
  auto s = ctx.setup<std::string>();
  auto message = Message<std::string>::with_id("m", "body");
  must(s.topic.pub_msg(message));
  message.set_header("late", "yes");
  message.set_key("late");
  message.set_expires_at(1);
  EXPECT_EQ(message.take_body(), "body");
  const auto got = ctx.receive(s.channel);
  EXPECT_TRUE(got.headers().empty());
  EXPECT_EQ(got.key(), "");
  EXPECT_EQ(got.body(), "body");
}

void options_win_over_the_message(Context& ctx) {
  auto s = ctx.setup<int>();
  Message<int> message(1);
  message.set_key("own");
  message.set_header("a", "own");
  message.set_header("b", "own");
  message.set_expires_at(0);
  must(s.topic.pub_msg(
      message, {.key = "option", .headers = {{"b", "option"}, {"c", "option"}}, .expires = std::chrono::minutes(1)}));
  const auto got = ctx.receive(s.channel);
  EXPECT_EQ(got.key(), "option");
  EXPECT_EQ(got.headers(), (Headers{{"a", "own"}, {"b", "option"}, {"c", "option"}}));
  EXPECT_NE(got.expires_at(), 0);
  expect_ok(s.channel.ack(got));
  // Without them the message's own stay.
  must(s.topic.pub_msg(message, {.headers = {{"c", "option"}}}));
  const auto plain = ctx.receive(s.channel);
  EXPECT_EQ(plain.key(), "own");
  EXPECT_EQ(plain.headers(), (Headers{{"a", "own"}, {"b", "own"}, {"c", "option"}}));
  EXPECT_EQ(plain.expires_at(), 0);
}

void options_apply_to_a_whole_batch(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, {.key = "k", .headers = {{"h", "v"}}}));
  for (int i = 0; i < 2; ++i) {
    const auto got = ctx.receive(s.channel);
    EXPECT_EQ(got.key(), "k");
    EXPECT_EQ(got.headers(), (Headers{{"h", "v"}}));
  }
}

void wrong_options_are_refused(Context& ctx) {
  auto s = ctx.setup<int>();
  const TimePoint at = TimePoint(std::chrono::hours(24) * 365 * 100);
  const std::vector<PubOptions> wrong = {
      {.delay = Duration(5), .deliver_at = at}, {.delay = Duration(-1)}, {.expires = Duration(-1)}};
  for (const PubOptions& options : wrong) {
    expect_error(s.topic.pub(1, options), ErrorCode::invalid_argument);
    expect_error(s.topic.pub_batch({1, 2}, options), ErrorCode::invalid_argument);
    expect_error(s.topic.pub_msg(Message<int>(1), options), ErrorCode::invalid_argument);
    expect_error(s.topic.pub_msg_batch({Message<int>(1)}, options), ErrorCode::invalid_argument);
  }
  ctx.expect_depth(s.channel, 0);
}

void published_is_stored(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  must(s.topic.pub_batch({2, 3}));
  ctx.expect_depth(s.channel, 3);
  expect_ok(s.topic.close());
  auto topic = must(s.queue.topic<int>("events"));
  auto channel = must(topic.get_channel("work"));
  ctx.expect_depth(channel, 3);
  ctx.expect_next(channel, std::vector<int>{1, 2, 3});
}

void batch_with_one_bad_body_stores_nothing(Context& ctx) {
  auto s = ctx.setup<std::string>({}, {.max_body_size = 10});
  auto second = must(s.topic.get_or_add_channel("second"));
  const auto failed = s.topic.pub_batch({"fits", "fits too", "much too long for this"});
  expect_error(failed, ErrorCode::body_too_large);
  EXPECT_TRUE(!failed && failed.error().accepted.empty());
  expect_error(s.topic.pub_msg_batch({Message<std::string>("fits"), Message<std::string>("much too long")}),
               ErrorCode::body_too_large);
  ctx.expect_depth(s.channel, 0);
  ctx.expect_depth(second, 0);
  must(s.topic.pub("after"));
  EXPECT_EQ(ctx.take(s.channel, 1), (std::vector<std::string>{"after"}));
}

void large_batch_arrives_whole(Context& ctx) {
  auto s = ctx.setup<int>();
  std::vector<int> list(5000);
  for (std::size_t i = 0; i < list.size(); ++i) list[i] = static_cast<int>(i);
  EXPECT_EQ(must(s.topic.pub_batch(list)).size(), list.size());
  ctx.expect_depth(s.channel, 5000);
  std::vector<int> got;
  while (got.size() < list.size()) {
    const auto messages = ctx.batch(s.channel, 512);
    for (const auto& m : messages) got.push_back(m.body());
    must(s.channel.ack(messages));
  }
  ctx.expect_bodies(got, list);
  ctx.expect_nothing(s.channel);
}

void topics_are_separate(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.queue.topic<int>("others"));
  auto same_name = must(other.get_or_add_channel("work"));
  must(s.topic.pub(1));
  must(other.pub(2));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  EXPECT_EQ(ctx.take(same_name, 1), std::vector<int>{2});
  ctx.expect_nothing(s.channel);
  ctx.expect_nothing(same_name);
  EXPECT_EQ(must(s.queue.topics()), (Ids{"events", "others"}));
}

constexpr TestCase kPublishTests[] = {
    {"API_pub_returns_the_id_and_the_message_arrives", "API_Pub D3 D6", {}, pub_returns_the_id},
    {"API_pub_stamps_timestamp_and_enqueued_at", "API_Pub D12", {Capability::manual_clock}, pub_stamps_the_time},
    {"API_pub_batch_returns_ids_in_order", "API_PubBatch D5", {}, pub_batch_keeps_order},
    {"API_empty_batch_succeeds_with_an_empty_list", "API_PubBatch", {}, empty_batch_succeeds},
    {"API_pub_batch_of_vector_bool", "API_PubBatch", {}, batch_of_bool},
    {"API_pub_msg_keeps_id_time_key_and_headers", "API_PubMsg", {}, pub_msg_keeps_what_was_set},
    {"API_pub_msg_fills_in_empty_id_and_zero_timestamp", "API_PubMsg", {}, pub_msg_fills_in_id_and_timestamp},
    {"API_pub_msg_batch_takes_all_forms", "API_PubMsgBatch", {}, pub_msg_batch_forms},
    {"API_same_id_published_twice_is_two_messages", "API_PubMsg", {}, same_id_twice_is_two_messages},
    {"API_received_message_can_be_published_again", "API_PubMsg D6", {}, received_message_can_be_published_again},
    {"API_changes_after_publish_do_not_reach_the_queue", "API_PubMsg", {}, changes_after_publish_stay_outside},
    {"API_pub_options_win_over_the_message", "API_PubOptions D12", {}, options_win_over_the_message},
    {"API_pub_options_apply_to_a_whole_batch", "API_PubOptions", {}, options_apply_to_a_whole_batch},
    {"API_wrong_pub_options_are_refused", "API_PubOptions D17", {}, wrong_options_are_refused},
    {"API_topics_are_separate_and_listed", "API_topics", {}, topics_are_separate},
    {"D3_what_pub_reported_is_stored", "D3 D1 D20", {}, published_is_stored},
    {"D2_batch_with_one_bad_body_stores_nothing", "D2 D15", {}, batch_with_one_bad_body_stores_nothing},
    {"D2_large_batch_arrives_whole_and_in_order", "D2 D5", {}, large_batch_arrives_whole},
};

}  // namespace

std::span<const TestCase> publish_tests() { return kPublishTests; }

}  // namespace lrpc::queue::conformance
