// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Wrong names, options and configurations: refused with a clear error, nothing lost (D23, sections 4 and 5).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::seconds;

std::vector<std::string> wrong_names() {
  return {"",
          " ",
          "a b",
          "a/b",
          "a:b",
          "-a",
          "a-",
          ".a",
          "a.",
          "a\n",
          "a\tb",
          "\xC3\xA9",
          "a\xFF",
          "{a}",
          "a*",
          "a,b",
          "a=b",
          "a\\b",
          "..",
          std::string("a\0b", 3),
          std::string(201, 'a'),
          std::string(100'000, 'a')};
}

std::vector<std::string> right_names() {
  return {"a", "_", "7", "A_b", "a.b-c", "a--b", "a..b", std::string(200, 'a'), "_._"};
}

void wrong_topic_names(Context& ctx) {
  auto q = ctx.open();
  for (const std::string& name : wrong_names()) {
    SCOPED_TRACE(name.substr(0, 30));
    expect_error(q.topic<int>(name), ErrorCode::invalid_argument);
  }
  EXPECT_TRUE(must(q.topics()).empty());
}

void wrong_channel_names(Context& ctx) {
  auto s = ctx.setup<int>();
  for (const std::string& name : wrong_names()) {
    SCOPED_TRACE(name.substr(0, 30));
    expect_error(s.topic.get_or_add_channel(name), ErrorCode::invalid_argument);
    expect_error(s.topic.get_channel(name), ErrorCode::invalid_argument);
    expect_error(s.topic.delete_channel(name), ErrorCode::invalid_argument);
  }
  EXPECT_EQ(must(s.topic.channel_list()), std::vector<std::string>{"work"});
}

void right_names_work(Context& ctx) {
  auto q = ctx.open();
  for (const std::string& name : right_names()) {
    SCOPED_TRACE(name.substr(0, 30));
    auto topic = must(q.topic<int>(name));
    auto channel = must(topic.get_or_add_channel(name));
    EXPECT_EQ(topic.name(), name);
    EXPECT_EQ(channel.name(), name);
    must(topic.pub(1));
    EXPECT_EQ(ctx.receive(channel).channel(), name);
  }
  EXPECT_EQ(must(q.topics()).size(), right_names().size());
}

struct Wrong {
  std::string key;  ///< The error has to name it.
  ChannelConfig channel;
};

std::vector<Wrong> wrong_channel_configs() {
  return {{"max_retries", {.max_retries = -2}},
          {"retry_delay", {.retry_delay = Duration(-1)}},
          {"message_ttl", {.message_ttl = Duration(-1)}},
          {"max_in_flight", {.max_in_flight = 0}},
          {"max_in_flight", {.max_in_flight = -5}},
          {"ack_timeout", {.ack_timeout = Duration(0)}},
          {"ack_timeout", {.ack_timeout = Duration(-1)}},
          {"multiplier", {.backoff = Backoff{.multiplier = 0.5}}},
          {"multiplier", {.backoff = Backoff{.multiplier = std::numeric_limits<double>::quiet_NaN()}}},
          {"max_delay", {.backoff = Backoff{.max_delay = Duration(-1)}}},
          {"handler_timeout", {.handler_timeout = Duration(-1)}},
          {"close_timeout", {.close_timeout = Duration(-1)}},
          {"dead_letter_limit", {.dead_letter_limit = -1}}};
}

template <class T>
void expect_names(const Result<T>& result, const std::string& key) {
  SCOPED_TRACE(key);
  expect_error(result, ErrorCode::invalid_config);
  EXPECT_TRUE(!result && result.error().message.find(key) != std::string::npos) << describe(result);
}

void wrong_channel_settings(Context& ctx) {
  auto s = ctx.setup<int>();
  for (const Wrong& wrong : wrong_channel_configs()) {
    expect_names(s.topic.get_or_add_channel("fresh", wrong.channel), wrong.key);
  }
  EXPECT_EQ(must(s.topic.channel_list()), std::vector<std::string>{"work"});
}

void wrong_topic_settings(Context& ctx) {
  auto q = ctx.open();
  for (const Wrong& wrong : wrong_channel_configs()) {
    const ChannelConfig& c = wrong.channel;
    const TopicConfig topic{.max_retries = c.max_retries,
                            .retry_delay = c.retry_delay,
                            .message_ttl = c.message_ttl,
                            .max_in_flight = c.max_in_flight,
                            .ack_timeout = c.ack_timeout,
                            .backoff = c.backoff,
                            .handler_timeout = c.handler_timeout,
                            .close_timeout = c.close_timeout,
                            .dead_letter_limit = c.dead_letter_limit};
    expect_names(q.topic<int>("fresh", topic), wrong.key);
  }
  expect_names(q.topic<int>("fresh", {.max_body_size = -1}), "max_body_size");
  expect_names(q.topic<int>("fresh", {.max_msg_size = -1}), "max_msg_size");
  expect_names(q.topic<int>("fresh", {.max_pending_publishes = -1}), "max_pending_publishes");
  EXPECT_TRUE(must(q.topics()).empty());
}

void wrong_queue_settings(Context& ctx) {
  for (const Wrong& wrong : wrong_channel_configs()) {
    const ChannelConfig& c = wrong.channel;
    Config config;
    config.max_retries = c.max_retries;
    config.retry_delay = c.retry_delay;
    config.message_ttl = c.message_ttl;
    config.max_in_flight = c.max_in_flight;
    config.ack_timeout = c.ack_timeout;
    config.backoff = c.backoff;
    config.handler_timeout = c.handler_timeout;
    config.close_timeout = c.close_timeout;
    config.dead_letter_limit = c.dead_letter_limit;
    expect_names(ctx.try_open(config), wrong.key);
  }
  expect_names(ctx.try_open({.max_body_size = -1}), "max_body_size");
  expect_names(ctx.try_open({.max_msg_size = -1}), "max_msg_size");
  expect_names(ctx.try_open({.max_pending_publishes = -1}), "max_pending_publishes");
}

void extreme_settings_work(Context& ctx) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  auto s = ctx.setup<int>({.max_retries = std::numeric_limits<int>::max(),
                           .retry_delay = Duration::max(),
                           .message_ttl = Duration::max(),
                           .ack_timeout = Duration::max(),
                           .backoff = Backoff{.multiplier = 1e308, .max_delay = Duration::max(), .jitter = true},
                           .handler_timeout = Duration::max(),
                           .dead_letter_limit = most},
                          {.message_ttl = Duration::max(), .max_body_size = most, .max_msg_size = most});
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.channel.touch(message, Duration::max()));
  expect_ok(s.channel.nack(message, {.delay = Duration(0)}));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));  // waits for ever
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 1);
}

void error_says_what_and_where(Context& ctx) {
  auto s = ctx.setup<int>();
  const auto names = [](const auto& result, const std::string& text) {
    EXPECT_TRUE(!result && result.error().message.find(text) != std::string::npos) << describe(result);
  };
  names(s.topic.get_channel("missing"), "missing");
  names(s.topic.delete_channel("missing"), "missing");
  names(s.channel.ack("some-id"), "some-id");
  names(s.channel.try_next(Duration(0)), "work");
  expect_ok(s.channel.close());
  names(s.channel.depth(), "work");
  expect_ok(s.topic.close());
  names(s.topic.pub(1), "events");
}

void error_codes_have_their_numbers(Context&) {
  EXPECT_EQ(static_cast<int>(ErrorCode::queue_closed), 20001);
  EXPECT_EQ(static_cast<int>(ErrorCode::topic_closed), 20002);
  EXPECT_EQ(static_cast<int>(ErrorCode::channel_closed), 20003);
  EXPECT_EQ(static_cast<int>(ErrorCode::channel_not_found), 20004);
  EXPECT_EQ(static_cast<int>(ErrorCode::no_message), 20005);
  EXPECT_EQ(static_cast<int>(ErrorCode::cancelled), 20018);
  EXPECT_EQ(to_string(ErrorCode::queue_full), "queue_full");
  EXPECT_EQ(to_string(static_cast<ErrorCode>(1)), "unknown");
}

void odd_keys_and_headers(Context& ctx) {
  auto s = ctx.setup<int>();
  Headers headers;
  headers[""] = "";
  headers["caf\xC3\xA9"] = "line\nbreak";
  headers["long"] = std::string(10'000, 'x');
  const std::string key = "key with \n \xC3\xA9 and " + std::string(1000, 'k');
  must(s.topic.pub(1, {.key = key, .headers = headers}));
  const auto message = ctx.receive(s.channel);
  EXPECT_EQ(message.key(), key);
  EXPECT_EQ(message.headers(), headers);
}

void thousands_of_channels(Context& ctx) {
  constexpr int kChannels = 2000;
  auto q = ctx.open();
  auto topic = must(q.topic<int>("events"));
  std::vector<Channel<int>> channels;
  channels.reserve(kChannels);
  for (int i = 0; i < kChannels; ++i) {
    channels.push_back(must(topic.get_or_add_channel("channel_" + std::to_string(i))));
  }
  EXPECT_EQ(must(topic.channel_list()).size(), static_cast<std::size_t>(kChannels));
  must(topic.pub_batch({1, 2}, ctx.in_order()));
  for (auto& channel : channels) ASSERT_EQ(must(channel.depth()), 2);
  for (auto& channel : channels) ASSERT_EQ(ctx.take(channel, 1).front(), 1);
  expect_ok(topic.close());
}

void queues_are_separate(Context& ctx) {
  {
    auto first = ctx.setup<int>();
    must(first.topic.pub(1));
  }
  auto second = ctx.setup<int>();
  ctx.expect_depth(second.channel, 0);
}

constexpr TestCase kInputTests[] = {
    {"D23_wrong_topic_names_are_refused", "D23 API_NewTopic", {}, wrong_topic_names},
    {"D23_wrong_channel_names_are_refused", "D23 API_GetOrAddChannel", {}, wrong_channel_names},
    {"D23_right_names_work", "D23", {Capability::longest_names}, right_names_work},
    {"API_wrong_channel_settings_name_their_key", "API_GetOrAddChannel", {}, wrong_channel_settings},
    {"API_wrong_topic_settings_name_their_key", "API_NewTopic", {}, wrong_topic_settings},
    {"API_wrong_queue_settings_name_their_key", "API_NewQueue", {}, wrong_queue_settings},
    {"API_extreme_settings_do_not_overflow",
     "API_NewQueue D8 D9 D12",
     {Capability::bounded_depth},
     extreme_settings_work},
    {"API_errors_say_what_and_where", "API_errors", {}, error_says_what_and_where},
    {"API_error_codes_have_their_numbers", "API_errors", {}, error_codes_have_their_numbers},
    {"API_odd_keys_and_headers_arrive_unchanged", "API_Message", {}, odd_keys_and_headers},
    {"API_thousands_of_channels", "API_GetOrAddChannel D1", {Capability::cheap_channels}, thousands_of_channels},
    {"API_open_gives_an_empty_queue", "API_NewQueue", {}, queues_are_separate},
};

}  // namespace

std::span<const TestCase> input_tests() { return kInputTests; }

}  // namespace lrpc::queue::conformance
