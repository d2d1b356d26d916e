// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// What close() does to messages, handlers and calls under way (D20).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::seconds;

/// Runs `close` while `blocked` calls of next wait; all have to return `code` at once.
template <class Close>
void expect_wakes(Context& ctx, Setup<int>& s, ErrorCode code, Close close) {
  Collector<ErrorCode> codes(ctx.patience());
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i, stop = ctx.deadline()] {
      const auto failed = [](const auto& result) { return result ? ErrorCode::backend : result.error().code; };
      switch (i) {
        case 0:
          return codes.add(failed(s.channel.next(stop)));
        case 1:
          return codes.add(failed(s.channel.try_next(2 * ctx.patience())));
        case 2:
          return codes.add(failed(s.channel.next_batch(5, 2 * ctx.patience())));
        default:
          return codes.add(failed(s.channel.next(stop)));
      }
    });
  }
  Context::wait_a_moment();
  EXPECT_EQ(codes.size(), 0U);
  const Stopwatch watch;
  close();
  EXPECT_TRUE(codes.wait_for(4));
  threads.clear();
  EXPECT_LT(watch.elapsed(), ctx.patience());
  EXPECT_EQ(codes.items(), std::vector<ErrorCode>(4, code));
}

void channel_close_wakes(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_wakes(ctx, s, ErrorCode::channel_closed, [&] { expect_ok(s.channel.close()); });
}

void topic_close_wakes(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_wakes(ctx, s, ErrorCode::channel_closed, [&] { expect_ok(s.topic.close()); });
}

void queue_close_wakes(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_wakes(ctx, s, ErrorCode::channel_closed, [&] { expect_ok(s.queue.close()); });
}

void deletion_wakes(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_wakes(ctx, s, ErrorCode::channel_not_found, [&] { expect_ok(s.topic.delete_channel("work")); });
}

void running_handlers_may_finish(Context& ctx) {
  Gate gate(ctx.patience());
  std::atomic<int> finished = 0;
  auto s = ctx.setup<int>({.max_in_flight = 3});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch({1, 2, 3}));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) {
    gate.pass();
    ++finished;
  }));
  EXPECT_TRUE(gate.wait_for_entered(3));
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(s.channel.close());
  EXPECT_EQ(finished, 3) << "close returned before the handlers";
  expect_ok(subscription.wait(ctx.deadline()));
  auto again = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(again, 0);  // their acks counted
}

void handler_settles_itself_during_close(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 3});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch({1, 2, 3}));
  must(s.channel.subscribe([&](Message<int>& m) {
    gate.pass();
    if (m.body() == 1) expect_ok(s.channel.ack(m));
    if (m.body() == 2) expect_ok(s.channel.nack(m.id(), {.delay = Duration(0)}));
    if (m.body() == 3) expect_ok(s.channel.touch(m));
  }));
  EXPECT_TRUE(gate.wait_for_entered(3));
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(s.channel.close());
  auto again = must(s.topic.get_or_add_channel("work"));
  const auto message = ctx.receive(again);
  EXPECT_EQ(message.body(), 2);
  EXPECT_EQ(message.attempts(), 2);
  ctx.expect_nothing(again);
}

void handler_failure_during_close_counts(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({.max_retries = 3, .retry_delay = Duration(0)});
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>&) {
    gate.pass();
    return ProcessRsp{.retry = true};
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(s.channel.close());
  EXPECT_EQ(gate.entered(), 1) << "a new delivery after close";
  auto again = must(s.topic.get_or_add_channel("work"));
  EXPECT_EQ(ctx.receive(again).attempts(), 2);
}

void prefetched_go_back_uncounted(Context& ctx) {
  Gate gate(ctx.patience());
  std::set<int> bodies;  // the handled one's, then the others'
  auto s = ctx.setup<int>({.max_in_flight = 1});
  const OpenAtExit opener(gate);
  for (int i = 1; i <= 10; ++i) must(s.topic.pub(i));
  must(s.channel.subscribe([&](Message<int>& m) {
    bodies.insert(m.body());
    gate.pass();
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(s.channel.close());
  EXPECT_EQ(gate.entered(), 1);
  auto again = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(again, 9);
  for (int i = 0; i < 9; ++i) {
    const auto message = ctx.receive(again);
    EXPECT_EQ(message.attempts(), 1);
    bodies.insert(message.body());
  }
  EXPECT_EQ(bodies, (std::set<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

/// Of one key, the first waits for its retry; the later ones were fetched, but no handler has seen them.
template <class Close>
void held_go_back_uncounted(Context& ctx, Close close) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(30), .max_in_flight = 4});
  must(s.topic.pub_batch({1, 2, 3}, {.key = "k"}));
  auto subscription = must(s.channel.subscribe([&](Message<int>& m) {
    handled.add(m.body());
    return ProcessRsp{.retry = true};
  }));
  EXPECT_TRUE(handled.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  Context::wait_a_moment();
  close(s, subscription);
  EXPECT_EQ(handled.items(), std::vector<int>{1});
  ctx.expect_depth(s.channel, 3);
  for (int i = 0; i < 3; ++i) {
    const auto message = ctx.receive(s.channel);
    EXPECT_EQ(message.attempts(), message.body() == 1 ? 2 : 1) << message.body();
  }
}

void held_messages_at_close(Context& ctx) {
  held_go_back_uncounted(ctx, [](Setup<int>& s, Subscription&) {
    expect_ok(s.channel.close());
    s.channel = must(s.topic.get_or_add_channel("work"));
  });
}

void held_messages_at_stop(Context& ctx) {
  held_go_back_uncounted(ctx, [](Setup<int>&, Subscription& subscription) { expect_ok(subscription.stop()); });
}

void next_goes_back_counted(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  const auto held = ctx.batch(s.channel, 2);
  ASSERT_EQ(held.size(), 2U);
  expect_ok(s.channel.close());
  auto again = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(again, 3);
  for (const auto& message : held) expect_error(again.ack(message), ErrorCode::message_not_found);
  for (int i = 0; i < 3; ++i) {
    const auto message = ctx.receive(again);
    EXPECT_EQ(message.attempts(), message.body() == 3 ? 1 : 2) << message.body();
  }
  ctx.expect_nothing(again);
}

void giving_back_never_dead_letters(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 0});
  must(s.topic.pub(1));
  for (int attempt = 1; attempt <= 4; ++attempt) {
    EXPECT_EQ(ctx.receive(s.channel).attempts(), attempt);
    expect_ok(s.channel.close());
    s.channel = must(s.topic.get_or_add_channel("work", {.max_retries = 0}));
  }
  EXPECT_EQ(must(s.channel.stats()).dead, 0);
  const auto last = ctx.receive(s.channel);
  EXPECT_EQ(last.attempts(), 5);
  expect_ok(s.channel.nack(last, {.delay = Duration(0)}));  // the limit is checked at the next failure
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

void waiting_retries_stay(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = seconds(10)});
  must(s.topic.pub(1));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  expect_ok(s.channel.close());
  auto again = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(again, 1);
  ctx.expect_nothing(again);
  ctx.advance(seconds(10));
  EXPECT_EQ(ctx.receive(again).attempts(), 2);
}

void stuck_handler(Context& ctx) {
  Gate gate(ctx.patience());
  std::atomic<bool> finished = false;
  auto s = ctx.setup<int>({.close_timeout = Duration(20)});
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) {
    gate.pass();
    finished = true;
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  const Stopwatch watch;
  expect_error(s.channel.close(), ErrorCode::timeout);
  EXPECT_GE(watch.elapsed(), Duration(19));
  EXPECT_LT(watch.elapsed(), ctx.patience());
  auto again = must(s.topic.get_or_add_channel("work"));
  const auto message = ctx.receive(again);  // handed out again at once
  EXPECT_EQ(message.attempts(), 2);
  gate.open();
  EXPECT_TRUE(ctx.eventually([&] { return finished.load(); }));
  Context::wait_a_moment();
  ctx.expect_depth(again, 1);  // the late success did not ack anything
  expect_ok(again.ack(message));
  ctx.expect_depth(again, 0);
}

void stuck_handler_of_a_queue(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({}, {}, {.close_timeout = Duration(20)});
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  const Stopwatch watch;
  expect_error(s.queue.close(), ErrorCode::timeout);
  EXPECT_LT(watch.elapsed(), ctx.patience());
  expect_ok(s.queue.close());
}

template <class Close>
void close_in_a_handler(Context& ctx, Setup<int>& s, Close close) {
  Collector<bool> closed(ctx.patience());
  must(s.topic.pub(1));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) {
    const Stopwatch watch;
    expect_ok(close());
    closed.add(watch.elapsed() < ctx.patience());
  }));
  EXPECT_TRUE(closed.wait_for(1)) << "close in a handler waits for itself";
  EXPECT_TRUE(closed.items().at(0));
  expect_ok(subscription.wait(ctx.deadline()));
  expect_error(s.channel.depth(), ErrorCode::channel_closed);
}

void channel_close_in_a_handler(Context& ctx) {
  auto s = ctx.setup<int>();
  close_in_a_handler(ctx, s, [&] { return s.channel.close(); });
  auto again = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(again, 0);  // its ack counted
}

void topic_close_in_a_handler(Context& ctx) {
  auto s = ctx.setup<int>();
  close_in_a_handler(ctx, s, [&] { return s.topic.close(); });
  auto topic = must(s.queue.topic<int>("events"));
  auto again = must(topic.get_channel("work"));
  ctx.expect_depth(again, 0);
}

void queue_close_in_a_handler(Context& ctx) {
  auto s = ctx.setup<int>();
  close_in_a_handler(ctx, s, [&] { return s.queue.close(); });
  expect_error(s.queue.topics(), ErrorCode::queue_closed);
}

void close_in_many_handlers(Context& ctx) {
  Gate all(ctx.patience());
  std::atomic<int> finished = 0;
  auto s = ctx.setup<int>({.max_in_flight = 4});
  const OpenAtExit opener(all);
  must(s.topic.pub_batch({1, 2, 3, 4}));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) {
    all.pass();
    static_cast<void>(s.channel.close());  // each waits for the others at most until they are in close, too
    ++finished;
  }));
  EXPECT_TRUE(all.wait_for_entered(4));
  all.open();
  EXPECT_TRUE(ctx.eventually([&] { return finished == 4; })) << "handlers that close wait for each other";
  expect_ok(subscription.wait(ctx.deadline()));
}

void close_while_publishing(Context& ctx) {
  std::atomic<int> accepted = 0;
  std::atomic<int> wrong = 0;
  auto s = ctx.setup<int>();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t, stop = ctx.deadline()] {
      while (!stop.stop_requested()) {
        ErrorCode code = ErrorCode::topic_closed;
        if (t % 2 == 0) {
          const auto result = s.topic.pub(1);
          if (result) {
            ++accepted;
            continue;
          }
          code = result.error().code;
        } else {
          const auto result = s.topic.pub_batch({1, 2, 3});
          if (result) {
            accepted += 3;
            continue;
          }
          code = result.error().code;
        }
        if (code != ErrorCode::topic_closed && code != ErrorCode::queue_closed) ++wrong;
        return;
      }
    });
  }
  EXPECT_TRUE(ctx.eventually([&] { return accepted > 50; }));
  expect_ok(s.topic.close());
  const int at_close = accepted;
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(accepted, at_close);
  auto topic = must(s.queue.topic<int>("events"));
  auto channel = must(topic.get_channel("work"));
  ctx.expect_depth(channel, accepted);
}

void close_while_consuming(Context& ctx) {
  constexpr int kMessages = 400;
  std::atomic<int> handled = 0;
  std::atomic<int> acked = 0;
  auto s = ctx.setup<int>({.max_in_flight = 4});
  must(s.topic.pub_batch(std::vector<int>(kMessages, 1)));
  must(s.channel.subscribe([&](Message<int>&) { ++handled; }));
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, stop = ctx.deadline()] {
      while (const auto message = s.channel.next(stop)) {
        if (s.channel.ack(*message)) ++acked;
      }
    });
  }
  EXPECT_TRUE(ctx.eventually([&] { return handled + acked > 20; }));
  expect_ok(s.channel.close());
  threads.clear();
  auto again = must(s.topic.get_or_add_channel("work"));
  ctx.expect_depth(again, kMessages - handled - acked);
}

void close_with_a_full_output(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 2, .close_timeout = Duration(20)}, {.max_msg_size = 50});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch(std::vector<int>(50, 1)));
  must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  EXPECT_TRUE(gate.wait_for_entered(2));
  expect_error(s.topic.pub(1), ErrorCode::queue_full);
  const Stopwatch watch;
  expect_error(s.topic.close(), ErrorCode::timeout);
  EXPECT_LT(watch.elapsed(), ctx.patience());
  auto topic = must(s.queue.topic<int>("events"));
  auto channel = must(topic.get_channel("work"));
  ctx.expect_depth(channel, 50);
}

constexpr TestCase kCloseDeliveryTests[] = {
    {"D20_channel_close_wakes_blocked_calls", "D20 D21 API_Next", {}, channel_close_wakes},
    {"D20_topic_close_wakes_blocked_calls", "D20 D21", {}, topic_close_wakes},
    {"D20_queue_close_wakes_blocked_calls", "D20 D21", {}, queue_close_wakes},
    {"D20_deletion_wakes_blocked_calls", "D20 D21", {Capability::delete_channel}, deletion_wakes},
    {"D20_running_handlers_may_finish_and_their_acks_count", "D20", {}, running_handlers_may_finish},
    {"D20_handler_may_settle_itself_during_close", "D20 API_Handler", {}, handler_settles_itself_during_close},
    {"D20_handler_failure_during_close_counts", "D20 D6", {}, handler_failure_during_close_counts},
    {"D20_prefetched_messages_go_back_uncounted", "D20 D6", {}, prefetched_go_back_uncounted},
    {"D20_held_messages_of_a_key_go_back_at_close", "D20 D6 D8", {}, held_messages_at_close},
    {"D20_held_messages_of_a_key_go_back_at_stop", "D20 D6 D8", {}, held_messages_at_stop},
    {"D20_messages_of_next_go_back_counted", "D20 D6 D10", {}, next_goes_back_counted},
    {"D20_giving_back_never_dead_letters", "D20 D7", {}, giving_back_never_dead_letters},
    {"D20_waiting_retries_stay_where_they_are", "D20 D8", kTimed, waiting_retries_stay},
    {"D20_stuck_handler_makes_close_time_out", "D20 D21", {}, stuck_handler},
    {"D20_stuck_handler_makes_queue_close_time_out", "D20 D21", {}, stuck_handler_of_a_queue},
    {"D20_channel_close_in_a_handler", "D20", {}, channel_close_in_a_handler},
    {"D20_topic_close_in_a_handler", "D20", {}, topic_close_in_a_handler},
    {"D20_queue_close_in_a_handler", "D20", {}, queue_close_in_a_handler},
    {"D20_close_in_many_handlers_at_once", "D20", {}, close_in_many_handlers},
    {"D20_close_while_publishing_loses_nothing", "D20 D3", {}, close_while_publishing},
    {"D20_close_while_consuming_loses_nothing", "D20 D1", {}, close_while_consuming},
    {"D20_close_while_output_is_blocked", "D20 D16", {Capability::bounded_depth}, close_with_a_full_output},
};

}  // namespace

std::span<const TestCase> close_delivery_tests() { return kCloseDeliveryTests; }

}  // namespace lrpc::queue::conformance
