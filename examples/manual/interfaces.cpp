// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's interfaces (核心接口): each call with its type. Runs on the back end that LRPC_QUEUE_STORAGE_TYPE names.
// What stands between begin and end is shown in docs/manual.zh.md, word for word (tests/documents).

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <lrpc/queue.hpp>

#include "../must.hpp"
#include "await.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

namespace {

struct Event {
  std::string type{};
  std::string data{};
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Event, type, data)

void topic_calls(queue::Queue& q) {
  auto topic = must(q.topic<Event>("topic-calls"));
  const Event event{.type = "user.login", .data = "john"};
  must(must(topic.get_or_add_channel("first")).close());
  // [begin topic]
  // 发布消息：返回消息 ID
  queue::Result<std::string> id = topic.pub(event);
  queue::Result<std::vector<std::string>> ids = topic.pub_batch({event, event});
  queue::Result<std::string> own_id = topic.pub_msg(queue::Message<Event>(event));
  queue::Result<std::vector<std::string>> own_ids = topic.pub_msg_batch({queue::Message<Event>(event)});

  // Channel 管理
  queue::Result<queue::Channel<Event>> ch = topic.get_or_add_channel("handlers", {.max_in_flight = 10});
  queue::Result<queue::Channel<Event>> same = topic.get_channel("handlers");
  queue::Result<std::vector<std::string>> names = topic.channel_list();

  // 生命周期
  queue::Result<void> closed = topic.close();
  // [end topic]
  must(id && own_id && ids && ids->size() == 2 && own_ids && own_ids->size() == 1, "all were published");
  must(ch && same && ch->name() == same->name(), "both open the channel");
  must(names && *names == std::vector<std::string>{"first", "handlers"}, "the list names both channels");
  must(closed.has_value(), "the topic is closed");
}

// [begin message]
void show(const queue::Message<Event>& msg) {
  std::string id = msg.id();                   // 消息唯一标识
  const Event& body = msg.body();              // 消息体
  std::int64_t timestamp = msg.timestamp();    // 时间戳（Unix 秒）
  std::int64_t expires_at = msg.expires_at();  // 过期时间（Unix 秒，0 = 永不过期）
  int attempts = msg.attempts();               // 尝试次数（第一次投递为 1）
  const std::string& channel = msg.channel();  // 所属 Channel
  std::cout << id << ' ' << body.type << ' ' << timestamp << ' ' << expires_at << ' ' << attempts << ' ' << channel
            << '\n';
}
// [end message]

void channel_calls(queue::Queue& q) {
  auto topic = must(q.topic<Event>("channel-calls"));
  auto ch = must(topic.get_or_add_channel("handlers", {.retry_delay = 50ms}));
  must(topic.pub_batch({Event{.type = "first"}, Event{.type = "second"}}));
  std::atomic<int> handled = 0;
  const auto handler = [&](const queue::Message<Event>& message) {
    show(message);
    must(message.body().type == "second" && message.attempts() == 2, "what was nacked comes again");
    ++handled;
  };
  // [begin channel]
  const std::string& name = ch.name();

  // 获取消息
  queue::Result<queue::Message<Event>> msg = ch.next();           // 阻塞
  queue::Result<queue::Message<Event>> other = ch.try_next(10s);  // 最多等 10 秒，之后返回 no_message

  // 消息确认
  queue::Result<void> acked = ch.ack(msg->id());
  queue::Result<void> nacked = ch.nack(other->id());

  // 状态查询
  queue::Result<std::int64_t> depth = ch.depth();

  // 订阅消息
  queue::Result<queue::Subscription> sub = ch.subscribe(handler);
  // [end channel]
  must(name == "handlers" && msg && other && acked && nacked && depth && *depth == 1 && sub, "every call succeeds");
  show(*msg);
  await_acked(ch, 2);
  must(handled == 1, "the handler saw what was nacked");
  // [begin channel]
  // 生命周期
  queue::Result<void> closed = ch.close();
  // [end channel]
  must(closed.has_value(), "the channel is closed");
  must(topic.close());
}

/// Ready at the second time it is asked.
bool ready() {
  static std::atomic<int> asked = 0;
  return ++asked > 1;
}

// [begin handler]
// 返回 Result<ProcessRsp>，即手册的 (ProcessRsp, error)
queue::Result<queue::ProcessRsp> handle(queue::Message<Event>& msg) {
  if (msg.body().type.empty()) {
    return queue::fail(queue::ErrorCode::invalid_argument, "no type");  // 返回错误：重试，计入次数
  }
  if (!ready()) {
    return queue::ProcessRsp{
        .retry = true,          // 是否重试
        .skip_attempts = true,  // 跳过记录重试次数：下次投递的 attempts() 不变
    };
  }
  return queue::ProcessRsp{};  // 成功：确认消息
}
// [end handler]

void handler_calls(queue::Queue& q) {
  auto topic = must(q.topic<Event>("handler-calls"));
  auto channel = must(topic.get_or_add_channel("handlers", {.max_retries = 1, .retry_delay = 50ms}));
  std::atomic<int> deliveries = 0;
  must(channel.subscribe([&](queue::Message<Event>& message) {
    if (!message.body().type.empty()) {
      must(message.attempts() == 1, "with skip_attempts the number stays");
      ++deliveries;
    }
    return handle(message);
  }));
  must(topic.pub_batch({Event{.type = "not ready at first"}, Event{.type = ""}}));
  await_acked(channel, 1);
  must(deliveries == 2, "a retry comes again");
  await([&] { return must(channel.stats()).dead == 1; }, "what the handler refuses becomes a dead letter");
  must(must(channel.dead_letters()).items.at(0).error.contains("no type"), "the error is kept");
  must(topic.close());
}

}  // namespace

int main() try {
  queue::Queue q = must(queue::Queue::open(must(queue::Config::from_env())));
  topic_calls(q);
  channel_calls(q);
  handler_calls(q);
  must(q.close());
  std::cout << "every interface of the manual\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
