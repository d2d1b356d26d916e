// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "context.hpp"
#include "registry.hpp"

/// Bodies on their way through codecs, and messages that cannot be decoded (D13).

namespace lrpc::queue::conformance {

/// A type with a codec of its own; the text says what the codec does.
struct Note {
  std::string text;
};

/// A type without a codec.
struct Opaque {
  std::shared_ptr<int> value;
};

/// A struct that nlohmann::json converts.
struct Order {
  int number = 0;
  std::string customer;
  std::vector<double> prices;
  friend bool operator==(const Order&, const Order&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, number, customer, prices)

}  // namespace lrpc::queue::conformance

template <>
struct lrpc::queue::codec<lrpc::queue::conformance::Note> {
  using Note = lrpc::queue::conformance::Note;
  static Result<Bytes> encode(const Note& note) {
    if (note.text == "refuse to encode") return fail(ErrorCode::codec, "refused to encode");
    if (note.text == "throw in encode") throw std::runtime_error("thrown in encode");
    Bytes bytes(note.text.size());
    if (!bytes.empty()) std::memcpy(bytes.data(), note.text.data(), bytes.size());
    return bytes;
  }
  static Result<Note> decode(std::span<const std::byte> bytes) {
    Note note{std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
    if (note.text == "refuse to decode") return fail(ErrorCode::codec, "refused to decode");
    if (note.text == "throw in decode") throw 42;
    return note;
  }
};

namespace lrpc::queue::conformance {
namespace {

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

template <class T>
void expect_round_trip(Context& ctx, Queue& queue, const std::string& name, const std::vector<T>& bodies) {
  auto topic = must(queue.topic<T>(name));
  auto channel = must(topic.get_or_add_channel("work"));
  for (const T& body : bodies) must(topic.pub(body, ctx.in_order()));
  EXPECT_TRUE(ctx.take(channel, bodies.size()) == bodies) << name;
}

void kinds_of_bodies(Context& ctx) {
  auto q = ctx.open();
  expect_round_trip<int>(ctx, q, "int", {0, -1, 2'147'483'647});
  expect_round_trip<double>(ctx, q, "double", {0.1, -1e300});
  expect_round_trip<bool>(ctx, q, "bool", {true, false});
  expect_round_trip<std::string>(ctx, q, "string",
                                 {"", "text", "\xC3\xA9 \"quoted\" \n \\", std::string("nul \0 inside", 12)});
  expect_round_trip<Bytes>(ctx, q, "bytes", {Bytes{}, bytes_of(std::string("\xFF\x00\xC3", 3))});
  expect_round_trip<std::vector<std::string>>(ctx, q, "list", {{}, {"a", "b"}});
  expect_round_trip<nlohmann::json>(ctx, q, "json", {nullptr, {{"a", {1, 2, 3}}, {"b", nullptr}}});
  expect_round_trip<Order>(ctx, q, "order", {Order{}, Order{4711, "ACME", {1.5, 2.25}}});
  auto topic = must(q.topic<Note>("note"));
  auto channel = must(topic.get_or_add_channel("work"));
  must(topic.pub(Note{"own codec"}));
  EXPECT_EQ(ctx.receive(channel).body().text, "own codec");
}

void type_without_codec_is_handed_over(Context& ctx) {
  auto s = ctx.setup<Opaque>();
  const auto value = std::make_shared<int>(7);
  must(s.topic.pub(Opaque{value}));
  EXPECT_EQ(ctx.receive(s.channel).body().value, value) << "the body was copied through bytes";
}

void type_without_codec_is_refused(Context& ctx) {
  auto q = ctx.open();
  expect_error(q.topic<Opaque>("events"), ErrorCode::codec);
  EXPECT_TRUE(q.topic<int>("events").has_value());
}

void one_type_per_topic(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  expect_error(s.queue.topic<std::string>("events"), ErrorCode::invalid_argument);
  expect_ok(s.topic.close());
  expect_error(s.queue.topic<std::string>("events"), ErrorCode::invalid_argument);
  auto again = must(s.queue.topic<int>("events"));
  auto channel = must(again.get_channel("work"));
  EXPECT_EQ(ctx.take(channel, 1), std::vector<int>{1});
}

void failing_encode_stores_nothing(Context& ctx) {
  auto s = ctx.setup<Note>();
  for (const char* text : {"refuse to encode", "throw in encode"}) {
    expect_error(s.topic.pub(Note{text}), ErrorCode::codec);
    expect_error(s.topic.pub_batch({Note{"good"}, Note{text}, Note{"good"}}), ErrorCode::codec);
    expect_error(s.topic.pub_msg(Message<Note>(Note{text})), ErrorCode::codec);
  }
  ctx.expect_depth(s.channel, 0);
  must(s.topic.pub(Note{"good"}));
  EXPECT_EQ(ctx.receive(s.channel).body().text, "good");
}

void string_that_is_not_utf8(Context& ctx) {
  auto s = ctx.setup<std::string>();
  expect_error(s.topic.pub("\xFF\xFE"), ErrorCode::codec);
  expect_error(s.topic.pub_batch({"good", "\xC3"}), ErrorCode::codec);
  ctx.expect_depth(s.channel, 0);
}

/// Publishes `texts` as strings, then opens the same topic for ints, on which they cannot be decoded.
Setup<int> with_undecodable(Context& ctx, const std::vector<std::string>& texts, const ChannelConfig& config = {}) {
  Queue queue = ctx.open();
  {
    auto topic = must(queue.topic<std::string>("events"));
    must(topic.get_or_add_channel("work"));
    must(topic.pub_batch(texts, ctx.in_order({.headers = {{"from", "strings"}}})));
    must(topic.close());
  }
  auto topic = must(queue.topic<int>("events"));
  auto channel = must(topic.get_or_add_channel("work", config));
  return {std::move(queue), std::move(topic), std::move(channel)};
}

void next_skips_undecodable(Context& ctx) {
  auto s = with_undecodable(ctx, {"no number", "nor this"});
  must(s.topic.pub(7, ctx.in_order()));
  const auto message = ctx.receive(s.channel);
  EXPECT_EQ(message.body(), 7);
  expect_ok(s.channel.ack(message));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 2U);
  const auto& letter = page.items[0];
  EXPECT_EQ(letter.reason, "undecodable");
  EXPECT_FALSE(letter.message.has_value());
  EXPECT_EQ(letter.raw, bytes_of("\"no number\""));
  EXPECT_FALSE(letter.error.empty());
  EXPECT_TRUE(MessageId::parse(letter.id).has_value());
}

void next_batch_skips_undecodable(Context& ctx) {
  auto s = with_undecodable(ctx, {"a", "b", "c"});
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  std::vector<int> bodies;
  while (bodies.size() < 2) {
    for (const auto& m : ctx.batch(s.channel, 10)) bodies.push_back(m.body());
  }
  EXPECT_EQ(bodies, (std::vector<int>{1, 2}));
  EXPECT_EQ(must(s.channel.stats()).dead, 3);
  ctx.expect_depth(s.channel, 2);
}

void only_undecodable_gives_no_message(Context& ctx) {
  auto s = with_undecodable(ctx, std::vector<std::string>(50, "x"));
  expect_error(s.channel.try_next(Duration(10)), ErrorCode::no_message);
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_EQ(must(s.channel.stats()).dead, 50);
}

void subscription_goes_on_after_undecodable(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = with_undecodable(ctx, std::vector<std::string>(30, "x"), {.max_in_flight = 2});
  for (int i = 1; i <= 5; ++i) must(s.topic.pub(i));
  must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  EXPECT_TRUE(handled.wait_for(5));
  EXPECT_EQ(handled.sorted(), (std::vector<int>{1, 2, 3, 4, 5}));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_EQ(must(s.channel.stats()).dead, 30);
}

void undecodable_without_dead_letters(Context& ctx) {
  auto s = with_undecodable(ctx, {"a", "b"}, {.dead_letter = false});
  must(s.topic.pub(1, ctx.in_order()));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  ctx.expect_nothing(s.channel);  // it has met all of them
  ctx.expect_depth(s.channel, 0);
  const auto stats = must(s.channel.stats());
  EXPECT_EQ(stats.dead, 0);
  EXPECT_EQ(stats.dropped, 2);
}

void failing_decode(Context& ctx) {
  auto s = ctx.setup<Note>();
  must(s.topic.pub_batch({Note{"refuse to decode"}, Note{"throw in decode"}, Note{"good"}}, ctx.in_order()));
  EXPECT_EQ(ctx.receive(s.channel).body().text, "good");
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 2U);
  EXPECT_EQ(page.items[0].reason, "undecodable");
  EXPECT_NE(page.items[0].error.find("refused to decode"), std::string::npos) << page.items[0].error;
  EXPECT_EQ(page.items[0].raw, bytes_of("refuse to decode"));
  EXPECT_EQ(page.items[1].reason, "undecodable");
  EXPECT_EQ(page.items[1].raw, bytes_of("throw in decode"));
}

void undecodable_can_be_requeued(Context& ctx) {
  auto s = with_undecodable(ctx, {"for a program that reads strings"});
  ctx.expect_nothing(s.channel);
  EXPECT_EQ(must(s.channel.requeue_dead()), 1);
  expect_ok(s.topic.close());
  auto topic = must(s.queue.topic<std::string>("events"));
  auto channel = must(topic.get_channel("work"));
  const auto message = ctx.receive(channel);
  EXPECT_EQ(message.body(), "for a program that reads strings");
  EXPECT_EQ(message.headers().at("from"), "strings");
  EXPECT_EQ(message.attempts(), 1);
}

constexpr Bodies kEncoded = Bodies::encoded_only;

constexpr TestCase kCodecTests[] = {
    {"API_bodies_of_every_kind_arrive_unchanged", "API_codec API_NewTopic", {}, kinds_of_bodies},
    {"API_type_without_codec_is_handed_over",
     "API_codec API_NewTopic",
     {Capability::typed_bodies},
     type_without_codec_is_handed_over},
    {"API_type_without_codec_is_refused", "API_codec API_NewTopic", {}, type_without_codec_is_refused, kEncoded},
    {"API_topic_has_one_type", "API_NewTopic", {Capability::typed_bodies}, one_type_per_topic},
    {"D2_failing_encode_stores_nothing", "D2 API_codec", {}, failing_encode_stores_nothing, kEncoded},
    {"API_string_that_is_not_utf8_is_refused", "API_codec", {}, string_that_is_not_utf8, kEncoded},
    {"D13_next_skips_undecodable_messages", "D13 D18", kLetters, next_skips_undecodable, kEncoded},
    {"D13_next_batch_skips_undecodable_messages", "D13", kLetters, next_batch_skips_undecodable, kEncoded},
    {"D13_only_undecodable_messages_give_no_message", "D13", kLetters, only_undecodable_gives_no_message, kEncoded},
    {"D13_subscription_goes_on_after_undecodable_messages", "D13", kLetters, subscription_goes_on_after_undecodable,
     kEncoded},
    {"D13_undecodable_messages_without_dead_letters", "D13 D18", {}, undecodable_without_dead_letters, kEncoded},
    {"D13_codec_that_fails_to_decode", "D13", kLetters, failing_decode, kEncoded},
    {"D13_undecodable_message_can_be_requeued", "D13 D18", kLetters, undecodable_can_be_requeued, kEncoded},
};

}  // namespace

std::span<const TestCase> codec_tests() { return kCodecTests; }

}  // namespace lrpc::queue::conformance
