// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Message<T>: the manual's message functions, and whose body it is.

namespace lrpc::queue::conformance {
namespace {

std::int64_t machine_now_s() { return system_clock()->now().wall_s(); }

void new_message_has_id_and_time(Context&) {
  const std::int64_t before = machine_now_s();
  const Message<std::string> message("body");
  EXPECT_TRUE(MessageId::parse(message.id()).has_value()) << message.id();
  EXPECT_GE(message.timestamp(), before);
  EXPECT_LE(message.timestamp(), machine_now_s());
  EXPECT_EQ(message.body(), "body");
  EXPECT_EQ(message.attempts(), 0);
  EXPECT_EQ(message.channel(), "");
  EXPECT_EQ(message.expires_at(), 0);
  EXPECT_EQ(message.get_ttl(), -1);
  EXPECT_FALSE(message.is_expired());
}

void message_with_id(Context&) {
  EXPECT_EQ(Message<int>::with_id("mine", 1).id(), "mine");
  EXPECT_EQ(Message<int>::with_id("", 1).id(), "");
  const std::string odd = "odd \n\x01 \xC3\xA9 id";
  EXPECT_EQ(Message<int>::with_id(odd, 1).id(), odd);
  const std::string lower = "01arz3ndektsv4rrffq69g5fav";
  EXPECT_EQ(Message<int>::with_id(lower, 1).id(), lower) << "an id is kept as it was written";
}

void odd_ids_arrive_unchanged(Context& ctx) {
  auto s = ctx.setup<int>();
  const std::vector<std::string> ids = {"01arz3ndektsv4rrffq69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a", "\xC3\xA9 b",
                                        std::string(300, 'x')};
  for (const std::string& id : ids) EXPECT_EQ(must(s.topic.pub_msg(Message<int>::with_id(id, 1), ctx.in_order())), id);
  for (const std::string& id : ids) {
    EXPECT_EQ(ctx.receive(s.channel).id(), id);
    expect_ok(s.channel.ack(id));
  }
}

void generated_ids_increase(Context&) {
  std::string last = generate_message_id();
  for (int i = 0; i < 10'000; ++i) {
    std::string id = generate_message_id();
    ASSERT_EQ(id.size(), 26U);
    ASSERT_LT(last, id);
    last = std::move(id);
  }
  const auto parsed = MessageId::parse(last);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->to_string(), last);
  EXPECT_NEAR(static_cast<double>(parsed->unix_ms() / 1000), static_cast<double>(machine_now_s()), 2.0);
}

void expiry_functions(Context&) {
  Message<int> message(1);
  message.set_expires(std::chrono::seconds(30));
  EXPECT_GE(message.expires_at(), machine_now_s() + 29);
  EXPECT_LE(message.expires_at(), machine_now_s() + 31);
  EXPECT_GE(message.get_ttl(), 29);
  EXPECT_LE(message.get_ttl(), 31);
  EXPECT_FALSE(message.is_expired());
  for (const Duration none : {Duration(0), Duration(-1), Duration::min()}) {
    message.set_expires(none);
    EXPECT_EQ(message.expires_at(), 0);
    EXPECT_EQ(message.get_ttl(), -1);
  }
  message.set_expires_at(machine_now_s() - 1);
  EXPECT_EQ(message.get_ttl(), 0);
  EXPECT_TRUE(message.is_expired());
  message.set_expires_at(0);
  EXPECT_EQ(message.get_ttl(), -1);
  EXPECT_FALSE(message.is_expired());
}

void clone_is_independent(Context&) {
  auto original = Message<std::string>::with_id("id", "body");
  original.set_header("h", "original");
  original.set_key("k");
  original.increment_attempts();
  auto copy = original.clone();
  EXPECT_EQ(copy.id(), "id");
  EXPECT_EQ(copy.body(), "body");
  EXPECT_EQ(copy.headers(), original.headers());
  EXPECT_EQ(copy.key(), "k");
  EXPECT_EQ(copy.timestamp(), original.timestamp());
  EXPECT_EQ(copy.attempts(), 1);
  copy.set_header("h", "copy");
  copy.set_expires_at(7);
  copy.set_key("other");
  EXPECT_EQ(original.headers().at("h"), "original");
  EXPECT_EQ(original.expires_at(), 0);
  EXPECT_EQ(original.key(), "k");
  original.set_header("h", "changed");
  EXPECT_EQ(copy.headers().at("h"), "copy");
  EXPECT_EQ(copy.take_body(), "body");
  EXPECT_EQ(original.body(), "body") << "taking a shared body must copy it";
}

void copies_do_not_share_metadata(Context&) {
  Message<int> first(1);
  Message<int> second = first;
  second.set_header("only", "second");
  first.set_key("only first");
  EXPECT_TRUE(first.headers().empty());
  EXPECT_EQ(second.key(), "");
}

void attempt_counters(Context&) {
  Message<int> message(1);
  message.increment_attempts();
  message.increment_attempts();
  EXPECT_EQ(message.attempts(), 2);
  message.reset_attempts();
  EXPECT_EQ(message.attempts(), 0);
}

void take_body_moves_when_sole_owner(Context& ctx) {
  auto s = ctx.setup<std::string>();
  const std::string text(1000, 'x');
  must(s.topic.pub(text));
  auto message = ctx.receive(s.channel);
  expect_ok(s.channel.ack(message));
  const char* const stored = message.body().data();
  const std::string taken = message.take_body();
  EXPECT_EQ(taken, text);
  EXPECT_EQ(taken.data(), stored) << "the body of a settled message was copied";
}

void take_body_leaves_the_queue_alone(Context& ctx) {
  auto s = ctx.setup<std::string>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub("shared"));
  auto message = ctx.receive(s.channel);
  EXPECT_EQ(message.take_body(), "shared");
  expect_ok(s.channel.nack(message, {.delay = Duration(0)}));
  EXPECT_EQ(ctx.receive(s.channel).body(), "shared");
  EXPECT_EQ(ctx.receive(other).body(), "shared");
}

void bodies_are_shared_between_channels(Context& ctx) {
  auto s = ctx.setup<std::string>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub("shared"));
  const auto a = ctx.receive(s.channel);
  const auto b = ctx.receive(other);
  EXPECT_EQ(&a.body(), &b.body());
}

void metadata_changes_stay_with_the_message(Context& ctx) {
  auto s = ctx.setup<std::string>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub("x", {.headers = {{"h", "published"}}}));
  auto message = ctx.receive(s.channel);
  message.set_header("h", "changed");
  message.set_header("new", "1");
  message.set_key("changed");
  message.set_expires_at(1);
  message.reset_attempts();
  expect_ok(s.channel.nack(message.id(), {.delay = Duration(0)}));
  for (const auto& again : {ctx.receive(s.channel), ctx.receive(other)}) {
    EXPECT_EQ(again.headers(), (Headers{{"h", "published"}}));
    EXPECT_EQ(again.key(), "");
    EXPECT_NE(again.expires_at(), 1);
  }
}

void nack_of_a_changed_message_counts_its_attempt(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 1});
  must(s.topic.pub(1));
  auto first = ctx.receive(s.channel);
  expect_ok(s.channel.nack(first, {.delay = Duration(0)}));
  auto second = ctx.receive(s.channel);
  EXPECT_EQ(second.attempts(), 2);
  expect_ok(s.channel.nack(second, {.delay = Duration(0)}));
  ctx.expect_nothing(s.channel);
}

void messages_outlive_the_queue(Context& ctx) {
  std::optional<Message<std::string>> kept;
  {
    auto s = ctx.setup<std::string>();
    must(s.topic.pub("still here", {.headers = {{"h", "v"}}}));
    kept = ctx.receive(s.channel);
  }
  EXPECT_EQ(kept->body(), "still here");
  EXPECT_EQ(kept->channel(), "work");
  EXPECT_EQ(kept->headers().at("h"), "v");
  EXPECT_EQ(kept->take_body(), "still here");
}

void move_only_bodies(Context& ctx) {
  auto s = ctx.setup<std::unique_ptr<int>>();
  must(s.topic.pub(std::make_unique<int>(1), ctx.in_order()));
  std::vector<std::unique_ptr<int>> list;
  list.push_back(std::make_unique<int>(2));
  list.push_back(std::make_unique<int>(3));
  must(s.topic.pub_batch(std::move(list), ctx.in_order()));
  for (int i = 1; i <= 3; ++i) {
    const auto message = ctx.receive(s.channel);
    ASSERT_NE(message.body(), nullptr);
    EXPECT_EQ(*message.body(), i);
    expect_ok(s.channel.ack(message));
  }
}

constexpr TestCase kMessageTests[] = {
    {"API_message_constructor_fills_id_and_timestamp", "API_NewMessage", {}, new_message_has_id_and_time},
    {"API_message_with_id_keeps_any_text", "API_NewMessageWithID", {}, message_with_id},
    {"API_any_id_arrives_as_written", "API_NewMessageWithID API_Ack", {}, odd_ids_arrive_unchanged},
    {"API_generate_message_id_is_a_monotonic_ulid", "API_NewMessage", {}, generated_ids_increase},
    {"API_message_expiry_functions", "API_SetExpires D12", {}, expiry_functions},
    {"API_message_clone_is_independent", "API_Clone", {}, clone_is_independent},
    {"API_message_copies_do_not_share_metadata", "API_Message", {}, copies_do_not_share_metadata},
    {"API_message_attempt_counters", "API_ResetAttempts", {}, attempt_counters},
    {"API_take_body_moves_when_sole_owner", "API_Message", {Capability::typed_bodies}, take_body_moves_when_sole_owner},
    {"API_take_body_leaves_the_queue_alone", "API_Message", {}, take_body_leaves_the_queue_alone},
    {"API_bodies_are_shared_between_channels",
     "API_Message",
     {Capability::typed_bodies},
     bodies_are_shared_between_channels},
    {"API_metadata_changes_do_not_change_the_queue", "API_Message", {}, metadata_changes_stay_with_the_message},
    {"D7_nack_by_message_counts_towards_max_retries", "D7 API_Nack", {}, nack_of_a_changed_message_counts_its_attempt},
    {"D20_messages_stay_usable_after_the_queue_is_gone", "D20 API_Message", {}, messages_outlive_the_queue},
    {"API_move_only_bodies", "API_Message API_NewTopic", {Capability::typed_bodies}, move_only_bodies},
};

}  // namespace

std::span<const TestCase> message_tests() { return kMessageTests; }

}  // namespace lrpc::queue::conformance
