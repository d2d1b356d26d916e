// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Handlers: every form of answer, everything that they may throw (D14), settling inside.

namespace lrpc::queue::conformance {
namespace {

using Text = std::string;

/// Publishes one message to a handler and waits until the channel is empty. Without retries and with dead letters, so
/// that a failure shows there. Returns the dead letter, if any.
template <class Handler>
std::optional<DeadLetter<Text>> outcome(Context& ctx, Handler handler) {
  auto s = ctx.setup<Text>({.max_retries = 0, .retry_delay = Duration(0)});
  must(s.topic.pub("body"));
  must(s.channel.subscribe(std::move(handler)));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_TRUE(ctx.eventually([&] {
    const auto stats = must(s.channel.stats());
    return stats.acked + stats.nacked == 1;
  }));
  auto page = must(s.channel.dead_letters());
  EXPECT_LE(page.items.size(), 1U);
  // One that failed must not have ended the subscription.
  must(s.topic.pub("body"));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).delivered == 2; }));
  if (page.items.empty()) return std::nullopt;
  return std::move(page.items.front());
}

void successes(Context& ctx) {
  EXPECT_FALSE(outcome(ctx, [](Message<Text>&) {}).has_value());
  EXPECT_FALSE(outcome(ctx, [](const Message<Text>&) { return ProcessRsp{}; }).has_value());
  EXPECT_FALSE(outcome(ctx, [](Message<Text>&) -> Result<void> { return {}; }).has_value());
  EXPECT_FALSE(outcome(ctx, [](Message<Text>&) -> Result<ProcessRsp> { return ProcessRsp{}; }).has_value());
  // A reason or skip_attempts alone is no failure.
  EXPECT_FALSE(outcome(ctx, [](Message<Text>&) { return ProcessRsp{.skip_attempts = true, .reason = "fine"}; }));
}

void failures(Context& ctx) {
  const auto retry = outcome(ctx, [](Message<Text>&) { return ProcessRsp{.retry = true, .reason = "not now"}; });
  ASSERT_TRUE(retry.has_value());
  EXPECT_EQ(retry->reason, "max_retries");
  EXPECT_EQ(retry->error, "not now");
  const auto retry_after = outcome(ctx, [](Message<Text>&) { return ProcessRsp{.retry_after = Duration(0)}; });
  ASSERT_TRUE(retry_after.has_value());
  EXPECT_EQ(retry_after->reason, "max_retries");
  const auto error = outcome(ctx, [](Message<Text>&) -> Result<void> { return fail(ErrorCode::backend, "broken"); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->reason, "max_retries");
  EXPECT_NE(error->error.find("broken"), Text::npos) << error->error;
  const auto other =
      outcome(ctx, [](Message<Text>&) -> Result<ProcessRsp> { return fail(ErrorCode::unavailable, "no database"); });
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->error.find("no database"), Text::npos) << other->error;
}

void rejection(Context& ctx) {
  const auto letter =
      outcome(ctx, [](Message<Text>&) { return ProcessRsp{.dead_letter = true, .reason = "bad input"}; });
  ASSERT_TRUE(letter.has_value());
  EXPECT_EQ(letter->reason, "rejected");
  EXPECT_EQ(letter->error, "bad input");
  EXPECT_EQ(letter->attempts, 1);
  // Giving up wins over a retry.
  const auto both =
      outcome(ctx, [](Message<Text>&) -> Result<ProcessRsp> { return ProcessRsp{.retry = true, .dead_letter = true}; });
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(both->reason, "rejected");
}

struct Odd {};

void anything_thrown_is_contained(Context& ctx) {
  const auto thrown = [&](auto handler) {
    const auto letter = outcome(ctx, std::move(handler));
    EXPECT_TRUE(letter.has_value());
    if (!letter) return Text();
    EXPECT_EQ(letter->reason, "max_retries");
    EXPECT_FALSE(letter->error.empty());
    return letter->error;
  };
  const Text error = thrown([](Message<Text>&) { throw std::runtime_error("disk on fire"); });
  EXPECT_NE(error.find("disk on fire"), Text::npos) << error;
  thrown([](Message<Text>&) { throw 42; });
  thrown([](Message<Text>&) { throw Odd{}; });
  thrown([](Message<Text>&) { throw std::bad_alloc(); });
  thrown([](Message<Text>&) -> ProcessRsp { throw "text"; });
  thrown([](Message<Text>&) -> Result<void> { throw std::make_unique<int>(1); });
  thrown([](Message<Text>&) -> Result<ProcessRsp> { throw Error{.code = ErrorCode::backend, .message = "an Error"}; });
  const Text text = thrown([](Message<Text>&) { throw Text("a string"); });
  EXPECT_FALSE(text.empty());
}

void throwing_handlers_do_not_stop_the_subscription(Context& ctx) {
  std::atomic<int> calls = 0;
  std::atomic<int> good = 0;
  auto s = ctx.setup<int>({.max_retries = 1, .retry_delay = Duration(0), .max_in_flight = 3});
  for (int i = 0; i < 60; ++i) must(s.topic.pub(i));
  must(s.channel.subscribe([&](Message<int>& m) {
    ++calls;
    if (m.body() % 3 == 0) throw m.body();
    if (m.body() % 3 == 1) throw std::logic_error("odd");
    ++good;
  }));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_EQ(good, 20);
  EXPECT_EQ(calls, 20 + 2 * 40);
  EXPECT_EQ(must(s.channel.stats()).dead, 40);
}

void handler_acks_itself(Context& ctx) {
  std::atomic<int> calls = 0;
  auto s = ctx.setup<Text>({.retry_delay = Duration(0)});
  must(s.topic.pub("by message"));
  must(s.topic.pub("by id"));
  must(s.topic.pub("throws"));
  must(s.channel.subscribe([&](Message<Text>& m) -> ProcessRsp {
    ++calls;
    expect_ok(m.body() == "by id" ? s.channel.ack(m.id()) : s.channel.ack(m));
    if (m.body() == "throws") throw std::runtime_error("after the ack");
    return {.retry = true};
  }));
  EXPECT_TRUE(ctx.eventually([&] { return calls == 3 && s.channel.depth() == 0; }));
  Context::wait_a_moment();
  EXPECT_EQ(calls, 3) << "the answer after an own ack has to be ignored";
  EXPECT_EQ(must(s.channel.stats()).acked, 3);
}

void handler_nacks_itself(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<Text>();
  must(s.topic.pub("body"));
  must(s.channel.subscribe([&](Message<Text>& m) {
    if (m.attempts() < 3) expect_ok(s.channel.nack(m, {.delay = Duration(0)}));
    attempts.add(m.attempts());
  }));
  EXPECT_TRUE(attempts.wait_for(3));
  EXPECT_EQ(attempts.sorted(), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void handler_rejects_itself(Context& ctx) {
  const auto s = ctx.setup<Text>();
  auto channel = s.channel;
  auto topic = s.topic;
  must(topic.pub("body"));
  must(channel.subscribe([channel](Message<Text>& m) mutable {
    expect_ok(channel.nack(m, {.reason = "own decision", .dead_letter = true}));
    return ProcessRsp{.retry = true};
  }));
  EXPECT_TRUE(ctx.eventually([&] { return must(channel.stats()).dead == 1; }));
  EXPECT_EQ(must(channel.dead_letters()).items.at(0).error, "own decision");
  ctx.expect_depth(channel, 0);
}

void handler_touches_itself(Context& ctx) {
  std::atomic<bool> done = false;
  auto s = ctx.setup<Text>();
  must(s.topic.pub("body"));
  must(s.channel.subscribe([&](Message<Text>& m) {
    expect_ok(s.channel.touch(m));
    expect_ok(s.channel.touch(m.id(), std::chrono::minutes(5)));
    done = true;
  }));
  EXPECT_TRUE(ctx.eventually([&] { return done && s.channel.depth() == 0; }));
}

void handler_changes_only_its_copy(Context& ctx) {
  Collector<Text> seen(ctx.patience());
  auto s = ctx.setup<Text>({.retry_delay = Duration(0)});
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub("body", {.headers = {{"h", "published"}}}));
  must(s.channel.subscribe([&](Message<Text>& m) {
    seen.add(m.body() + m.headers().at("h") + m.key() + std::to_string(m.headers().size()));
    m.set_header("h", "changed");
    m.set_header("more", "1");
    m.set_key("changed");
    m.set_expires_at(1);
    m.increment_attempts();
    static_cast<void>(m.take_body());
    return ProcessRsp{.retry = seen.size() < 3};
  }));
  EXPECT_TRUE(seen.wait_for(3));
  EXPECT_EQ(seen.items(), std::vector<Text>(3, "bodypublished1"));
  const auto copy = ctx.receive(other);
  EXPECT_EQ(copy.headers().at("h"), "published");
  EXPECT_EQ(copy.body(), "body");
}

void handler_object_is_shared(Context& ctx) {
  struct Counting {
    std::shared_ptr<std::atomic<int>> copies = std::make_shared<std::atomic<int>>(0);
    std::shared_ptr<std::atomic<int>> calls = std::make_shared<std::atomic<int>>(0);
    std::atomic<int> own = 0;
    Counting() = default;
    Counting(const Counting& other) : copies(other.copies), calls(other.calls) { ++*copies; }
    void operator()(const Message<int>& m) {
      static_cast<void>(m);
      *calls = ++own;
    }
  };
  const Counting handler;
  auto s = ctx.setup<int>({.max_in_flight = 4});
  must(s.channel.subscribe(handler));
  const int copies = *handler.copies;
  must(s.topic.pub_batch(std::vector<int>(100, 1)));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).acked == 100; }));
  EXPECT_EQ(*handler.copies, copies) << "the handler was copied for a message";
}

void handler_publishes_and_reads(Context& ctx) {
  std::atomic<int> handled = 0;
  auto s = ctx.setup<int>({.max_in_flight = 2});
  auto results = must(s.queue.topic<int>("results"));
  auto done = must(results.get_or_add_channel("done"));
  must(s.channel.subscribe([&](Message<int>& m) {
    expect_ok(results.pub(m.body() * 2));
    if (m.body() < 50) expect_ok(s.topic.pub(m.body() + 1));
    expect_ok(s.channel.depth());
    expect_ok(s.channel.stats());
    ++handled;
  }));
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.take(done, 50).size(), 50U);
  EXPECT_TRUE(ctx.eventually([&] { return handled == 50 && s.channel.depth() == 0; }));
}

void negative_retry_after_loses_nothing(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = Duration(0)});
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    attempts.add(m.attempts());
    return m.attempts() == 1 ? ProcessRsp{.retry_after = Duration(-5)} : ProcessRsp{};
  }));
  EXPECT_TRUE(attempts.wait_for(2));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

constexpr TestCase kHandlerTests[] = {
    {"API_handler_success_in_every_form_acks", "API_Handler API_Subscribe", kLetters, successes},
    {"D14_handler_failure_in_every_form_is_a_retry_that_counts", "D14 API_Handler API_ProcessRsp", kLetters, failures},
    {"API_handler_can_reject_with_a_reason", "API_ProcessRsp D18", kLetters, rejection},
    {"D14_anything_thrown_is_contained", "D14", kLetters, anything_thrown_is_contained},
    {"D14_throwing_handlers_do_not_stop_the_subscription", "D14 D7", kLetters,
     throwing_handlers_do_not_stop_the_subscription},
    {"API_handler_that_acked_itself_is_not_asked", "API_Handler D10", {}, handler_acks_itself},
    {"API_handler_that_nacked_itself_is_not_asked", "API_Handler D10", {}, handler_nacks_itself},
    {"API_handler_that_rejected_itself_is_not_asked", "API_Handler D18", kLetters, handler_rejects_itself},
    {"API_handler_may_touch_its_delivery", "API_Handler API_touch", {}, handler_touches_itself},
    {"API_handler_changes_only_its_own_message", "API_Message D8", {}, handler_changes_only_its_copy},
    {"API_handler_object_is_shared_by_all_calls", "API_Subscribe", {}, handler_object_is_shared},
    {"API_handler_may_call_the_queue", "API_Subscribe", {}, handler_publishes_and_reads},
    {"D14_negative_retry_after_loses_nothing", "D14 D1", {}, negative_retry_after_loses_nothing},
};

}  // namespace

std::span<const TestCase> handler_tests() { return kHandlerTests; }

}  // namespace lrpc::queue::conformance
