// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// pub_async and flush.

namespace lrpc::queue::conformance {
namespace {

using Id = Result<std::string>;

/// Holds up every publish until its gate opens.
class HoldingPublishes final : public Interceptor {
 public:
  explicit HoldingPublishes(Gate& gate) noexcept : gate_(gate) {}
  Result<void> publish(const PublishCall&, const std::function<Result<void>()>& next) override {
    gate_.pass();
    return next();
  }

 private:
  Gate& gate_;
};

void callback_gets_the_id(Context& ctx) {
  Collector<std::string> ids(ctx.patience());
  std::atomic<bool> on_caller = false;
  auto s = ctx.setup<int>();
  const auto caller = std::this_thread::get_id();
  must(s.topic.pub_async(7, {.key = "k", .headers = {{"h", "v"}}}, [&](Id id) {
    if (std::this_thread::get_id() == caller) on_caller = true;
    ids.add(id ? *id : describe(id));
  }));
  EXPECT_TRUE(ids.wait_for(1));
  const auto message = ctx.receive(s.channel);
  EXPECT_EQ(message.id(), ids.items().at(0));
  EXPECT_EQ(message.body(), 7);
  EXPECT_EQ(message.key(), "k");
  EXPECT_EQ(message.headers(), (Headers{{"h", "v"}}));
  EXPECT_FALSE(on_caller) << "the callback belongs on a thread of the library";
}

void flush_waits_for_all_callbacks(Context& ctx) {
  constexpr int kMessages = 2000;
  std::atomic<int> called = 0;
  auto s = ctx.setup<int>();
  for (int i = 0; i < kMessages; ++i) must(s.topic.pub_async(i, ctx.in_order(), [&](const Id&) { ++called; }));
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(called, kMessages);
  ctx.expect_depth(s.channel, kMessages);
  const auto bodies = ctx.take(s.channel, kMessages);
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(bodies[static_cast<std::size_t>(i)], i) << "order of one thread";
}

void flush_of_nothing(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_ok(s.topic.flush(Duration(0)));
  expect_ok(s.topic.flush(ctx.patience()));
}

void flush_times_out(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>();
  const OpenAtExit opener(gate);
  must(s.topic.pub_async(1, {}, [&](const Id&) { gate.pass(); }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  const Stopwatch watch;
  expect_error(s.topic.flush(Duration(10)), ErrorCode::timeout);
  EXPECT_LT(watch.elapsed(), ctx.patience());
  gate.open();
  expect_ok(s.topic.flush(ctx.patience()));
}

void errors_are_reported_once(Context& ctx) {
  std::atomic<int> reported = 0;
  auto s = ctx.setup<std::string>({}, {.max_body_size = 3});
  const auto publish = [&](const std::string& body, const PubOptions& options, ErrorCode code) {
    const auto taken = s.topic.pub_async(body, options, [&reported, code](const Id& id) {
      ++reported;
      expect_error(id, code);
    });
    if (taken) return;
    ++reported;
    expect_error(taken, code);
  };
  publish("four", {}, ErrorCode::body_too_large);
  publish("x", {.delay = Duration(-1)}, ErrorCode::invalid_argument);
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(reported, 2);
  ctx.expect_depth(s.channel, 0);
}

void full_channel_is_reported(Context& ctx) {
  std::atomic<int> good = 0;
  std::atomic<int> full = 0;
  auto s = ctx.setup<int>({}, {.max_msg_size = 5});
  for (int i = 0; i < 9; ++i) {
    must(s.topic.pub_async(i, {.timeout = Duration(50)}, [&](const Id& id) {
      ++(id ? good : full);
      if (!id) expect_error(id, ErrorCode::queue_full);
    }));
  }
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(good, 5);
  EXPECT_EQ(full, 4);
  ctx.expect_next(s.channel, std::vector<int>{0, 1, 2, 3, 4});
}

void pending_limit(Context& ctx) {
  constexpr int kLimit = 10;
  Gate gate(ctx.patience());
  std::atomic<int> called = 0;
  auto s = ctx.setup<int>({}, {.max_pending_publishes = kLimit},
                          {.interceptors = {std::make_shared<HoldingPublishes>(gate)}});
  const OpenAtExit opener(gate);
  for (int i = 0; i < kLimit; ++i) {
    must(s.topic.pub_async(i, {.timeout = ctx.patience()}, [&](const Id& id) {
      expect_ok(id);
      ++called;
    }));
  }
  const auto result = s.topic.pub_async(kLimit, {.timeout = Duration(10)}, [](const Id&) { ADD_FAILURE(); });
  expect_error(result, ErrorCode::queue_full);
  EXPECT_TRUE(!result && result.error().retryable);
  gate.open();
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(called, kLimit);
  ctx.expect_depth(s.channel, kLimit);
  expect_ok(s.topic.pub_async(1, {}, [](const Id&) {}));
  expect_ok(s.topic.flush(ctx.patience()));
}

void full_pending_list_waits_for_room(Context& ctx) {
  Gate gate(ctx.patience());
  std::atomic<int> called = 0;
  auto s =
      ctx.setup<int>({}, {.max_pending_publishes = 1}, {.interceptors = {std::make_shared<HoldingPublishes>(gate)}});
  const OpenAtExit opener(gate);
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  for (int i = 0; i < 50; ++i) {
    expect_ok(s.topic.pub_async(i, {.timeout = ctx.patience()}, [&](const Id&) { ++called; }));
  }
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(called, 50);
}

void callback_may_publish(Context& ctx) {
  std::atomic<int> called = 0;
  auto s = ctx.setup<int>();
  must(s.topic.pub_async(1, {}, [&](const Id&) {
    expect_ok(s.topic.pub(2));
    expect_ok(s.topic.pub_async(3, {}, [&](const Id&) { ++called; }));
    ++called;
  }));
  EXPECT_TRUE(ctx.eventually([&] { return called == 2; }));
  ctx.expect_next(s.channel, std::vector<int>{1, 2, 3});
}

void callback_may_own_things(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub_async(1, {}, [&, owned = std::make_unique<int>(5)](const Id&) { got.add(*owned); }));
  EXPECT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items(), std::vector<int>{5});
}

void throwing_callback_is_contained(Context& ctx) {
  std::atomic<int> called = 0;
  auto s = ctx.setup<int>();
  for (int i = 0; i < 10; ++i) {
    must(s.topic.pub_async(i, {}, [&](const Id&) {
      ++called;
      throw 42;
    }));
  }
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(called, 10);
  ctx.expect_depth(s.channel, 10);
}

void close_finishes_pending(Context& ctx) {
  constexpr int kMessages = 500;
  std::atomic<int> good = 0;
  std::atomic<int> closed = 0;
  std::atomic<int> wrong = 0;
  auto s = ctx.setup<int>();
  for (int i = 0; i < kMessages; ++i) {
    must(s.topic.pub_async(i, {}, [&](const Id& id) {
      if (id) {
        ++good;
      } else if (id.error().code == ErrorCode::topic_closed || id.error().code == ErrorCode::queue_closed) {
        ++closed;
      } else {
        ++wrong;
      }
    }));
  }
  expect_ok(s.topic.close());
  EXPECT_EQ(good + closed, kMessages) << "a publish was not finished or reported before close returned";
  EXPECT_EQ(wrong, 0);
  auto topic = must(s.queue.topic<int>("events"));
  auto channel = must(topic.get_channel("work"));
  ctx.expect_depth(channel, good);
}

void queue_close_finishes_pending(Context& ctx) {
  constexpr int kMessages = 200;
  std::atomic<int> called = 0;
  auto s = ctx.setup<int>();
  for (int i = 0; i < kMessages; ++i) must(s.topic.pub_async(i, {}, [&](const Id&) { ++called; }));
  expect_ok(s.queue.close());
  EXPECT_EQ(called, kMessages);
}

void close_in_a_callback(Context& ctx) {
  Collector<bool> closed(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub_async(1, {}, [&](const Id&) {
    const Stopwatch watch;
    static_cast<void>(s.topic.close());
    closed.add(watch.elapsed() < ctx.patience());
  }));
  EXPECT_TRUE(closed.wait_for(1)) << "close in a callback waits for itself";
  EXPECT_TRUE(closed.items().at(0));
  EXPECT_TRUE(ctx.eventually([&] { return !s.topic.pub(1).has_value(); }));
}

void many_threads(Context& ctx) {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::atomic<int> called = 0;
  auto s = ctx.setup<std::vector<int>>();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i)
          expect_ok(s.topic.pub_async({t, i}, ctx.in_order(), [&](const Id&) { ++called; }));
      });
    }
  }
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(called, kThreads * kEach);
  std::vector<int> next(kThreads, 0);
  for (const auto& body : ctx.take(s.channel, kThreads * kEach)) {
    ASSERT_EQ(body[1], next[static_cast<std::size_t>(body[0])]++) << "publisher " << body[0];
  }
}

constexpr TestCase kAsyncTests[] = {
    {"API_pub_async_callback_gets_the_id", "API_pub_async", {}, callback_gets_the_id},
    {"API_flush_waits_for_all_callbacks", "API_pub_async D5", {}, flush_waits_for_all_callbacks},
    {"API_flush_of_nothing_succeeds", "API_pub_async", {}, flush_of_nothing},
    {"API_flush_times_out", "API_pub_async D21", {}, flush_times_out},
    {"API_pub_async_reports_an_error_once", "API_pub_async D15", {}, errors_are_reported_once},
    {"D16_pub_async_reports_a_full_channel",
     "D16 API_pub_async",
     {Capability::bounded_depth},
     full_channel_is_reported},
    {"API_pub_async_is_bounded", "API_pub_async D21", {}, pending_limit},
    {"API_pub_async_waits_for_room", "API_pub_async", {}, full_pending_list_waits_for_room},
    {"API_pub_async_callback_may_publish", "API_pub_async", {}, callback_may_publish},
    {"API_pub_async_callback_may_be_move_only", "API_pub_async", {}, callback_may_own_things},
    {"API_pub_async_throwing_callback_is_contained", "API_pub_async", {}, throwing_callback_is_contained},
    {"D20_close_finishes_or_reports_pending_publishes", "D20 API_pub_async", {}, close_finishes_pending},
    {"D20_queue_close_finishes_or_reports_pending_publishes", "D20 API_pub_async", {}, queue_close_finishes_pending},
    {"D20_close_in_a_publish_callback", "D20 API_pub_async", {}, close_in_a_callback},
    {"D5_pub_async_keeps_the_order_of_each_thread", "D5 API_pub_async", {}, many_threads},
};

}  // namespace

std::span<const TestCase> async_tests() { return kAsyncTests; }

}  // namespace lrpc::queue::conformance
