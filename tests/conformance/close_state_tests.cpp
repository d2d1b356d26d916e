// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// close() as a state: what calls answer afterwards, closing twice and concurrently, opening again (D20).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::seconds;

void expect_channel_closed(Channel<int>& channel, const Message<int>& message,
                           std::source_location at = std::source_location::current()) {
  constexpr ErrorCode kClosed = ErrorCode::channel_closed;
  expect_error(channel.next(), kClosed, at);
  expect_error(channel.try_next(Duration(0)), kClosed, at);
  expect_error(channel.try_next(seconds(1)), kClosed, at);
  expect_error(channel.next_batch(5, seconds(1)), kClosed, at);
  expect_error(channel.ack(message), kClosed, at);
  expect_error(channel.ack("id"), kClosed, at);
  expect_error(channel.ack(std::vector<Message<int>>{message}), kClosed, at);
  expect_error(channel.nack(message), kClosed, at);
  expect_error(channel.nack("id"), kClosed, at);
  expect_error(channel.touch(message), kClosed, at);
  expect_error(channel.touch("id"), kClosed, at);
  expect_error(channel.subscribe([](Message<int>&) {}), kClosed, at);
  expect_error(channel.depth(), kClosed, at);
  expect_error(channel.stats(), kClosed, at);
  expect_error(channel.pause(), kClosed, at);
  expect_error(channel.resume(), kClosed, at);
  expect_error(channel.dead_letters(), kClosed, at);
  expect_error(channel.requeue_dead(), kClosed, at);
  expect_error(channel.purge_dead(), kClosed, at);
  expect_error(channel.drop_all(), kClosed, at);
  expect_ok(channel.close(), at);
  EXPECT_EQ(channel.name(), "work");
}

template <class T>
void expect_one_of(const Result<T>& result, ErrorCode a, ErrorCode b,
                   std::source_location at = std::source_location::current()) {
  const bool fits = !result && (result.error().code == a || result.error().code == b);
  if (!fits) ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line())) << describe(result);
}

void expect_topic_closed(Topic<int>& topic, ErrorCode also = ErrorCode::topic_closed,
                         std::source_location at = std::source_location::current()) {
  constexpr ErrorCode kClosed = ErrorCode::topic_closed;
  expect_one_of(topic.pub(1), kClosed, also, at);
  expect_one_of(topic.pub(1, {.delay = seconds(1)}), kClosed, also, at);
  expect_one_of(topic.pub_batch({1, 2}), kClosed, also, at);
  expect_one_of(topic.pub_msg(Message<int>(1)), kClosed, also, at);
  expect_one_of(topic.pub_msg_batch({Message<int>(1)}), kClosed, also, at);
  expect_one_of(topic.pub_async(1, {}, [](const Result<std::string>&) { ADD_FAILURE() << "called after an error"; }),
                kClosed, also, at);
  expect_one_of(topic.get_or_add_channel("work"), kClosed, also, at);
  expect_one_of(topic.get_channel("work"), kClosed, also, at);
  expect_one_of(topic.channel_list(), kClosed, also, at);
  expect_one_of(topic.delete_channel("work"), kClosed, also, at);
  expect_ok(topic.close(), at);
  EXPECT_EQ(topic.name(), "events");
}

void closed_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.channel.close());
  expect_channel_closed(s.channel, message);
  EXPECT_EQ(message.body(), 1);
  // The topic and its other channels go on.
  expect_ok(s.topic.pub(2));
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub(3));
  EXPECT_EQ(ctx.take(other, 1), std::vector<int>{3});
}

void closed_topic(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.topic.close());
  expect_topic_closed(s.topic);
  expect_channel_closed(s.channel, message);
  auto other = must(s.queue.topic<int>("other"));
  expect_ok(other.pub(1));
}

void closed_queue(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.queue.close());
  expect_error(s.queue.topic<int>("events"), ErrorCode::queue_closed);
  expect_error(s.queue.topics(), ErrorCode::queue_closed);
  expect_error(s.queue.ping(), ErrorCode::queue_closed);
  expect_ok(s.queue.close());
  expect_topic_closed(s.topic, ErrorCode::queue_closed);
  expect_channel_closed(s.channel, message);
}

void last_queue_handle_closes(Context& ctx) {
  std::optional<Setup<int>> s(ctx.setup<int>());
  std::optional<Queue> copy(s->queue);
  auto topic = s->topic;
  auto channel = s->channel;
  s.reset();
  expect_ok(topic.pub(1));  // a copy is left
  const auto message = ctx.receive(channel);
  copy.reset();
  expect_topic_closed(topic, ErrorCode::queue_closed);
  expect_channel_closed(channel, message);
}

void last_handle_ends_subscriptions(Context& ctx) {
  Collector<int> handled(ctx.patience());
  std::optional<Subscription> subscription;
  {
    auto s = ctx.setup<int>();
    subscription = must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
    must(s.topic.pub(1));
    EXPECT_TRUE(handled.wait_for(1));
  }
  expect_ok(subscription->wait(ctx.deadline()));
}

void dropping_other_handles_closes_nothing(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto q = ctx.open();
  {
    auto topic = must(q.topic<int>("events"));
    auto channel = must(topic.get_or_add_channel("work"));
    must(channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  }
  auto topic = must(q.topic<int>("events"));
  must(topic.pub(1));
  EXPECT_TRUE(handled.wait_for(1));
}

void copies_share_their_state(Context& ctx) {
  auto s = ctx.setup<int>();
  auto queue = s.queue;
  auto topic = s.topic;
  auto channel = s.channel;
  expect_ok(channel.close());
  expect_error(s.channel.depth(), ErrorCode::channel_closed);
  expect_ok(topic.close());
  expect_error(s.topic.pub(1), ErrorCode::topic_closed);
  expect_ok(queue.close());
  expect_error(s.queue.topics(), ErrorCode::queue_closed);
}

void concurrent_closes(Context& ctx) {
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> failed = 0;
    auto s = ctx.setup<int>();
    must(s.channel.subscribe([](Message<int>&) {}));
    must(s.topic.pub_batch({1, 2, 3}));
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        const auto result = t % 3 == 0 ? s.channel.close() : t % 3 == 1 ? s.topic.close() : s.queue.close();
        if (!result) ++failed;
      });
    }
    threads.clear();
    EXPECT_EQ(failed, 0);
    expect_error(s.channel.depth(), ErrorCode::channel_closed);
  }
}

void second_close_waits_for_the_first(Context& ctx) {
  Gate gate(ctx.patience());
  std::atomic<bool> finished = false;
  auto s = ctx.setup<int>();
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>&) {
    gate.pass();
    finished = true;
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  std::jthread first([&] { expect_ok(s.channel.close()); });
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(s.channel.close());
  first.join();
  EXPECT_TRUE(finished);
}

void reopened_channel_has_the_new_configuration(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 5});
  must(s.topic.pub(1));
  expect_ok(s.channel.close());
  auto again = must(s.topic.get_or_add_channel("work", {.max_retries = 0}));
  expect_ok(again.nack(ctx.receive(again), {.delay = Duration(0)}));
  ctx.expect_nothing(again);
  ctx.expect_depth(again, 0);
  // The handle from before the close stays closed.
  expect_error(s.channel.depth(), ErrorCode::channel_closed);
}

void reopened_topic_has_the_new_configuration(Context& ctx) {
  auto s = ctx.setup<std::string>({}, {.max_body_size = 3});
  expect_error(s.topic.pub("four"), ErrorCode::body_too_large);
  auto same = must(s.queue.topic<std::string>("events", {.max_body_size = 100}));
  expect_error(same.pub("four"), ErrorCode::body_too_large);  // an open topic keeps its configuration
  expect_ok(s.topic.close());
  auto again = must(s.queue.topic<std::string>("events", {.max_body_size = 100}));
  expect_ok(again.pub("four"));
  expect_error(s.topic.pub("x"), ErrorCode::topic_closed);
}

void open_and_close_many_times(Context& ctx) {
  auto s = ctx.setup<int>();
  for (int i = 0; i < 50; ++i) {
    must(s.topic.pub(i));
    must(s.topic.close());
    s.topic = must(s.queue.topic<int>("events"));
    s.channel = must(s.topic.get_or_add_channel("work"));
    if (i % 10 == 0) must(s.channel.subscribe([](Message<int>&) { return ProcessRsp{.retry = true}; }));
  }
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 50; }));
}

void channels_remain_registered(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.get_or_add_channel("other"));
  expect_ok(s.channel.close());
  EXPECT_EQ(must(s.topic.channel_list()), (std::vector<std::string>{"other", "work"}));
  expect_ok(s.topic.close());
  EXPECT_EQ(must(s.queue.topics()), std::vector<std::string>{"events"});
  auto topic = must(s.queue.topic<int>("events"));
  EXPECT_EQ(must(topic.channel_list()), (std::vector<std::string>{"other", "work"}));
}

constexpr TestCase kCloseStateTests[] = {
    {"D20_calls_on_a_closed_channel", "D20 API_Close", {Capability::later_channels}, closed_channel},
    {"D20_calls_on_a_closed_topic", "D20 API_Close", {}, closed_topic},
    {"D20_calls_on_a_closed_queue", "D20 API_Close", {}, closed_queue},
    {"D20_last_queue_handle_closes", "D20", {}, last_queue_handle_closes},
    {"D20_last_queue_handle_ends_subscriptions", "D20", {}, last_handle_ends_subscriptions},
    {"D20_dropping_other_handles_closes_nothing", "D20", {}, dropping_other_handles_closes_nothing},
    {"D20_copies_of_handles_share_their_state", "D20", {}, copies_share_their_state},
    {"D20_concurrent_closes_succeed", "D20", {}, concurrent_closes},
    {"D20_second_close_waits_for_the_first", "D20", {}, second_close_waits_for_the_first},
    {"D20_reopened_channel_has_the_new_configuration", "D20 D23", {}, reopened_channel_has_the_new_configuration},
    {"D20_reopened_topic_has_the_new_configuration", "D20 D23", {}, reopened_topic_has_the_new_configuration},
    {"D20_open_and_close_many_times_loses_nothing", "D20 D1", {}, open_and_close_many_times},
    {"D20_closed_channels_and_topics_stay_registered", "D20 API_topics", {}, channels_remain_registered},
};

}  // namespace

std::span<const TestCase> close_state_tests() { return kCloseStateTests; }

}  // namespace lrpc::queue::conformance
