// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Interceptors, the observer and the logger.

namespace lrpc::queue::conformance {
namespace {

using Text = std::string;

/// An interceptor made of two functions.
class Functions final : public Interceptor {
 public:
  std::function<Result<void>(const PublishCall&, const std::function<Result<void>()>&)> on_publish;
  std::function<Result<ProcessRsp>(const HandleCall&, const std::function<Result<ProcessRsp>()>&)> on_handle;

  Result<void> publish(const PublishCall& call, const std::function<Result<void>()>& next) override {
    return on_publish ? on_publish(call, next) : next();
  }
  Result<ProcessRsp> handle(const HandleCall& call, const std::function<Result<ProcessRsp>()>& next) override {
    return on_handle ? on_handle(call, next) : next();
  }
};

void interceptors_nest(Context& ctx) {
  Collector<Text> trace(ctx.patience());
  std::vector<std::shared_ptr<Interceptor>> list;
  for (const char* name : {"outer", "inner"}) {
    auto one = std::make_shared<Functions>();
    one->on_publish = [&trace, name](const PublishCall& call, const auto& next) {
      trace.add(Text(name) + " publish " + Text(call.topic));
      auto result = next();
      trace.add(Text(name) + " published");
      return result;
    };
    one->on_handle = [&trace, name](const HandleCall& call, const auto& next) {
      trace.add(Text(name) + " handle " + Text(call.topic) + "/" + Text(call.channel));
      auto result = next();
      trace.add(Text(name) + " handled");
      return result;
    };
    list.push_back(std::move(one));
  }
  auto s = ctx.setup<Text>({}, {}, {.interceptors = list});
  must(s.topic.pub("body"));
  EXPECT_EQ(trace.items(),
            (std::vector<Text>{"outer publish events", "inner publish events", "inner published", "outer published"}));
  must(s.channel.subscribe([&](Message<Text>&) { trace.add("handler"); }));
  EXPECT_TRUE(trace.wait_for(9));
  const auto all = trace.items();
  EXPECT_EQ(std::vector<Text>(all.begin() + 4, all.end()),
            (std::vector<Text>{"outer handle events/work", "inner handle events/work", "handler", "inner handled",
                               "outer handled"}));
}

void publish_call_shows_the_messages(Context& ctx) {
  Collector<Text> seen(ctx.patience());
  auto one = std::make_shared<Functions>();
  one->on_publish = [&](const PublishCall& call, const auto& next) {
    for (MessageView& view : call.messages) {
      const Text* const body = view.template body<Text>();
      seen.add((body != nullptr ? *body : "?") + "/" + view.key() + "/" + view.headers().at("h") + "/" +
               std::to_string(view.attempts()));
      EXPECT_EQ(view.template body<int>(), nullptr);
      EXPECT_TRUE(MessageId::parse(view.id()).has_value());
    }
    seen.add(std::to_string(call.messages.size()));
    return next();
  };
  auto s = ctx.setup<Text>({}, {}, {.interceptors = {one}});
  must(s.topic.pub_batch({"a", "b"}, {.key = "k", .headers = {{"h", "v"}}}));
  EXPECT_EQ(seen.items(), (std::vector<Text>{"a/k/v/0", "b/k/v/0", "2"}));
  must(s.topic.pub_async("c", {.headers = {{"h", "w"}}}, [](const Result<Text>&) {}));
  expect_ok(s.topic.flush(ctx.patience()));
  EXPECT_EQ(seen.items().at(3), "c//w/0");
}

void publish_interceptor_sets_headers(Context& ctx) {
  auto one = std::make_shared<Functions>();
  one->on_publish = [](const PublishCall& call, const auto& next) {
    for (MessageView& view : call.messages) view.set_header("trace", "t-" + view.headers().at("n"));
    return next();
  };
  auto s = ctx.setup<int>({}, {}, {.interceptors = {one}});
  auto other = must(s.topic.get_or_add_channel("other"));
  Message<int> original(1);
  original.set_header("n", "1");
  must(s.topic.pub_msg(original));
  EXPECT_EQ(ctx.receive(s.channel).headers(), (Headers{{"n", "1"}, {"trace", "t-1"}}));
  EXPECT_EQ(ctx.receive(other).headers(), (Headers{{"n", "1"}, {"trace", "t-1"}}));
  EXPECT_EQ(original.headers(), (Headers{{"n", "1"}})) << "the caller's message was changed";
}

void publish_interceptor_refuses(Context& ctx) {
  auto one = std::make_shared<Functions>();
  one->on_publish = [](const PublishCall& call, const auto& next) -> Result<void> {
    const int* const body = call.messages.front().template body<int>();
    if (body != nullptr && *body == 13) return fail(ErrorCode::permission, "thirteen is not allowed");
    if (body != nullptr && *body == 14) throw std::runtime_error("fourteen exploded");
    if (body != nullptr && *body == 15) throw 15;
    return next();
  };
  auto s = ctx.setup<int>({}, {}, {.interceptors = {one}});
  const auto refused = s.topic.pub(13);
  expect_error(refused, ErrorCode::permission);
  EXPECT_TRUE(!refused && refused.error().message.find("thirteen is not allowed") != Text::npos);
  expect_error(s.topic.pub_batch({13, 1}), ErrorCode::permission);
  const auto thrown = s.topic.pub(14);
  EXPECT_TRUE(!thrown && thrown.error().message.find("fourteen exploded") != Text::npos) << describe(thrown);
  EXPECT_FALSE(s.topic.pub(15).has_value());
  ctx.expect_depth(s.channel, 0);
  expect_ok(s.topic.pub(1));
}

void publish_interceptor_tries_again(Context& ctx) {
  auto one = std::make_shared<Functions>();
  one->on_publish = [](const PublishCall& call, const auto& next) {
    Result<void> first = next();
    EXPECT_NE(call.messages.front().template body<int>(), nullptr) << "the message is gone after the first try";
    return first ? next() : first;
  };
  auto s = ctx.setup<int>({}, {}, {.interceptors = {one}});
  const auto id = must(s.topic.pub(7, {.key = "k", .headers = {{"h", "v"}}}));
  for (int i = 0; i < 2; ++i) {
    const auto message = ctx.receive(s.channel);
    EXPECT_EQ(message.body(), 7);
    EXPECT_EQ(message.id(), id);
    EXPECT_EQ(message.key(), "k");
    EXPECT_EQ(message.headers(), (Headers{{"h", "v"}}));
    expect_ok(s.channel.ack(message));
  }
  ctx.expect_nothing(s.channel);
}

void handle_interceptor_changes_the_message(Context& ctx) {
  Collector<Text> seen(ctx.patience());
  auto one = std::make_shared<Functions>();
  one->on_handle = [](const HandleCall& call, const auto& next) {
    EXPECT_TRUE(call.message.headers().empty()) << "the queue has to keep the original";
    EXPECT_NE(call.message.template body<int>(), nullptr);
    call.message.set_header("span", std::to_string(call.message.attempts()));
    return next();
  };
  auto s = ctx.setup<int>({.retry_delay = Duration(0)}, {}, {.interceptors = {one}});
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    seen.add(m.headers().contains("span") ? m.headers().at("span") : "none");
    return ProcessRsp{.retry = m.attempts() < 3};
  }));
  EXPECT_TRUE(seen.wait_for(3));
  EXPECT_EQ(seen.items(), (std::vector<Text>{"1", "2", "3"}));
}

void handle_interceptor_decides(Context& ctx) {
  std::atomic<int> handled = 0;
  auto one = std::make_shared<Functions>();
  one->on_handle = [](const HandleCall& call, const auto& next) -> Result<ProcessRsp> {
    switch (*call.message.template body<int>()) {
      case 1:
        return ProcessRsp{.dead_letter = true, .reason = "by the interceptor"};
      case 2:
        throw std::runtime_error("interceptor exploded");
      case 3: {
        auto answer = next();  // the handler fails, the interceptor forgives
        EXPECT_FALSE(answer.has_value() && !answer->retry);
        return ProcessRsp{};
      }
      case 4:
        return fail(ErrorCode::backend, "refused");
      default:
        return next();
    }
  };
  auto s = ctx.setup<int>({.max_retries = 0}, {}, {.interceptors = {one}});
  must(s.topic.pub_batch({1, 2, 3, 4, 5}));
  must(s.channel.subscribe([&](Message<int>& m) {
    ++handled;
    if (m.body() == 3) throw std::runtime_error("handler exploded");
  }));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).dead == 3 && s.channel.depth() == 0; }));
  EXPECT_EQ(handled, 2);
  std::map<int, std::pair<Text, Text>> letters;
  for (const auto& letter : must(s.channel.dead_letters()).items) {
    letters[letter.message->body()] = {letter.reason, letter.error};
  }
  EXPECT_EQ(letters[1], (std::pair<Text, Text>("rejected", "by the interceptor")));
  EXPECT_EQ(letters[2].first, "max_retries");
  EXPECT_NE(letters[2].second.find("interceptor exploded"), Text::npos);
  EXPECT_EQ(letters[4].first, "max_retries");
}

void interceptors_do_not_see_next(Context& ctx) {
  std::atomic<int> calls = 0;
  auto one = std::make_shared<Functions>();
  one->on_handle = [&](const HandleCall&, const auto& next) {
    ++calls;
    return next();
  };
  auto s = ctx.setup<int>({}, {}, {.interceptors = {one}});
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  EXPECT_EQ(calls, 0);
}

/// Adds up what it is told.
class Figures final : public Observer {
 public:
  void published(std::string_view topic, std::size_t messages, const Error* error,
                 std::chrono::nanoseconds took) override {
    EXPECT_GE(took.count(), 0);
    add(Text(topic) + (error == nullptr ? " published" : " failed " + Text(to_string(error->code))), messages);
  }
  void delivered(std::string_view topic, std::string_view channel, std::size_t messages) override {
    add(Text(topic) + "/" + Text(channel) + " delivered", messages);
  }
  void handled(std::string_view topic, std::string_view channel, bool success, std::chrono::nanoseconds took) override {
    EXPECT_GE(took.count(), 0);
    add(Text(topic) + "/" + Text(channel) + (success ? " succeeded" : " failed"), 1);
  }
  void settled(std::string_view topic, std::string_view channel, Outcome outcome, std::size_t messages) override {
    add(Text(topic) + "/" + Text(channel) + " " + Text(to_string(outcome)), messages);
  }
  std::map<Text, std::size_t> all() {
    const std::lock_guard lock(mutex_);
    return figures_;
  }

 private:
  void add(const Text& what, std::size_t count) {
    const std::lock_guard lock(mutex_);
    figures_[what] += count;
  }
  std::mutex mutex_;
  std::map<Text, std::size_t> figures_;
};

void observer_of_next(Context& ctx) {
  auto figures = std::make_shared<Figures>();
  auto s = ctx.setup<Text>({.max_retries = 1}, {.max_body_size = 10}, {.observer = figures});
  must(s.topic.pub_batch({"a", "b", "c"}));
  must(s.topic.pub("d"));
  expect_error(s.topic.pub("much too long"), ErrorCode::body_too_large);
  expect_ok(s.channel.ack(ctx.batch(s.channel, 2)));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.dead_letter = true}));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = Duration(0)}));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = Duration(0)}));
  EXPECT_EQ(figures->all(), (std::map<Text, std::size_t>{{"events published", 4},
                                                         {"events failed body_too_large", 1},
                                                         {"events/work delivered", 5},
                                                         {"events/work acked", 2},
                                                         {"events/work retried", 1},
                                                         {"events/work dead_lettered", 2}}));
}

void observer_of_a_subscription(Context& ctx) {
  auto figures = std::make_shared<Figures>();
  auto s =
      ctx.setup<int>({.max_retries = 1, .retry_delay = Duration(0), .dead_letter = false}, {}, {.observer = figures});
  must(s.topic.pub_batch({1, 2, 3}));
  must(s.channel.subscribe([](Message<int>& m) {
    if (m.body() == 2) throw 2;
  }));
  const std::map<Text, std::size_t> expected = {
      {"events published", 3},  {"events/work delivered", 4}, {"events/work succeeded", 2}, {"events/work failed", 2},
      {"events/work acked", 2}, {"events/work retried", 1},   {"events/work dropped", 1}};
  EXPECT_TRUE(ctx.eventually([&] { return figures->all() == expected; }));
  EXPECT_EQ(figures->all(), expected);
}

void observer_of_expiry(Context& ctx) {
  auto figures = std::make_shared<Figures>();
  auto s = ctx.setup<int>({}, {}, {.observer = figures});
  must(s.topic.pub_batch({1, 2}, {.expires = std::chrono::seconds(5)}));
  ctx.advance(std::chrono::seconds(10));
  ctx.expect_nothing(s.channel);
  EXPECT_EQ(figures->all()["events/work expired"], 2U);
  EXPECT_EQ(figures->all()["events/work delivered"], 0U);
}

class ThrowingObserver final : public Observer {
 public:
  void published(std::string_view, std::size_t, const Error*, std::chrono::nanoseconds) override { throw 1; }
  void delivered(std::string_view, std::string_view, std::size_t) override { throw 2; }
  void handled(std::string_view, std::string_view, bool, std::chrono::nanoseconds) override { throw 3; }
  void settled(std::string_view, std::string_view, Outcome, std::size_t) override { throw std::runtime_error("4"); }
};

void throwing_observer_is_swallowed(Context& ctx) {
  std::atomic<int> handled = 0;
  auto s = ctx.setup<int>({}, {}, {.observer = std::make_shared<ThrowingObserver>()});
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  must(s.topic.pub_batch({2, 3}));
  must(s.channel.subscribe([&](Message<int>&) { ++handled; }));
  EXPECT_TRUE(ctx.eventually([&] { return handled == 2 && s.channel.depth() == 0; }));
}

void hooks_run_at_once_from_many_threads(Context& ctx) {
  auto figures = std::make_shared<Figures>();
  auto one = std::make_shared<Functions>();
  one->on_publish = [](const PublishCall&, const auto& next) { return next(); };
  auto s = ctx.setup<int>({.max_in_flight = 8}, {}, {.interceptors = {one}, .observer = figures});
  must(s.channel.subscribe([](Message<int>&) {}));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) expect_ok(s.topic.pub(i));
      });
    }
  }
  EXPECT_TRUE(ctx.eventually([&] { return figures->all()["events/work acked"] == 400; }));
  EXPECT_EQ(figures->all()["events published"], 400U);
}

constexpr TestCase kHooksTests[] = {
    {"API_interceptors_nest_the_first_outermost", "API_interceptors", {}, interceptors_nest},
    {"API_publish_interceptor_sees_the_messages", "API_interceptors", {}, publish_call_shows_the_messages},
    {"API_publish_interceptor_sets_headers", "API_interceptors", {}, publish_interceptor_sets_headers},
    {"API_publish_interceptor_refuses_or_throws", "API_interceptors", {}, publish_interceptor_refuses},
    {"API_interceptor_may_publish_again", "API_interceptors", {}, publish_interceptor_tries_again},
    {"API_handle_interceptor_changes_only_what_the_handler_sees",
     "API_interceptors",
     {},
     handle_interceptor_changes_the_message},
    {"API_handle_interceptor_decides", "API_interceptors D14", {Capability::dead_letters}, handle_interceptor_decides},
    {"API_interceptors_do_not_see_next", "API_interceptors", {}, interceptors_do_not_see_next},
    {"API_observer_of_next", "API_observer", {Capability::dead_letters}, observer_of_next},
    {"API_observer_of_a_subscription", "API_observer", {}, observer_of_a_subscription},
    {"API_observer_of_expiry", "API_observer D12", {Capability::manual_clock}, observer_of_expiry},
    {"API_throwing_observer_is_swallowed", "API_observer", {}, throwing_observer_is_swallowed},
    {"API_hooks_run_from_many_threads", "API_interceptors API_observer", {}, hooks_run_at_once_from_many_threads},
};

}  // namespace

std::span<const TestCase> hooks_tests() { return kHooksTests; }

}  // namespace lrpc::queue::conformance
