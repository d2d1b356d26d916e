// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's usage examples (使用示例). Runs on the back end that LRPC_QUEUE_STORAGE_TYPE names. What stands between
// begin and end is shown in docs/manual.zh.md, word for word (tests/documents); parts of one name are shown as one.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <lrpc/queue.hpp>

#include "../must.hpp"
#include "await.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

// [begin basic]
struct Event {
  std::string type{};
  std::string data{};
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Event, type, data)  // JSON：Redis 和 Kafka 需要
// [end basic]

namespace {

void basic() {
  // [begin basic]
  // 环境变量 LRPC_QUEUE_STORAGE_TYPE=redis 或 kafka 可换后端，程序不变
  auto config = queue::Config::from_env({.storage_type = queue::StorageType::memory}).value();
  auto q = queue::Queue::open(config).value();
  auto topic = q.topic<Event>("events").value();
  auto ch = topic.get_or_add_channel("handler").value();

  // 发布
  auto id = topic.pub(Event{.type = "user.login", .data = "john"}).value();

  // 订阅
  auto handler = [](queue::Message<Event>& msg) -> queue::ProcessRsp {
    std::cout << "Event: " << msg.body().type << ", Data: " << msg.body().data << '\n';
    return {.retry = false};
  };
  auto sub = ch.subscribe(handler).value();
  // [end basic]
  await_acked(ch, 1);
  must(q.close());
}

// [begin pull]
void consume(queue::Channel<Event> ch) {
  while (true) {
    auto msg = ch.next();
    if (!msg) break;  // 例如 channel_closed

    // 处理消息
    std::cout << msg->body().data << '\n';

    // 确认消息
    if (auto acked = ch.ack(*msg); !acked) {
      std::cerr << "Ack failed: " << acked.error().message << '\n';
    }
  }
}
// [end pull]

void batch_and_pull(queue::Queue& q) {
  auto topic = must(q.topic<Event>("batches"));
  auto channel = must(topic.get_or_add_channel("handler"));
  // [begin batch]
  std::vector<Event> events{
      {.type = "e1", .data = "data1"},
      {.type = "e2", .data = "data2"},
      {.type = "e3", .data = "data3"},
  };

  auto ids = topic.pub_batch(events);
  // [end batch]
  must(ids && ids->size() == 3, "all were published");
  const std::jthread consumer(consume, channel);
  await_acked(channel, 3);
  must(channel.close());  // ends consume
}

/// Fails at the first event.
bool process_event(const Event& event) {
  static std::atomic<int> attempts = 0;
  std::cout << "processing " << event.type << '\n';
  return ++attempts > 1;
}

void retry(queue::Queue& q) {
  auto topic = must(q.topic<Event>("retries"));
  auto ch = must(topic.get_or_add_channel("handler", {.retry_delay = 50ms}));
  must(topic.pub(Event{.type = "invoice"}));
  // [begin retry]
  auto handler = [](queue::Message<Event>& msg) -> queue::ProcessRsp {
    if (!process_event(msg.body())) {
      // 返回 retry = true 会重新入队
      return {.retry = true};
    }
    return {.retry = false};
  };
  auto sub = ch.subscribe(handler).value();
  // [end retry]
  await_acked(ch, 1);
  must(must(ch.stats()).redelivered == 1, "one retry");
}

void expiry(queue::Queue& q) {
  auto topic = must(q.topic<Event>("expiry"));
  auto channel = must(topic.get_or_add_channel("handler"));
  // [begin expiry]
  queue::Message<Event> msg(Event{.type = "timeout"});
  msg.set_expires(30min);  // 30 分钟后过期

  auto id = topic.pub_msg(msg);
  // [end expiry]
  must(id && *id == msg.id(), "published under its id");
  const auto received = must(channel.try_next(10s));
  must(received.expires_at() == msg.expires_at() && received.get_ttl() > 29 * 60, "the expiry goes with the message");
  must(channel.ack(received));
}

void depth(queue::Queue& q) {
  auto topic = must(q.topic<Event>("depth"));
  auto ch = must(topic.get_or_add_channel("handler"));
  must(topic.pub_batch({Event{.type = "e1"}, Event{.type = "e2"}}));
  // [begin depth]
  auto depth = ch.depth().value();
  std::cout << "Queue depth: " << depth << '\n';
  // [end depth]
  must(depth == 2, "both are counted");
}

}  // namespace

int main() try {
  basic();
  queue::Queue q = must(queue::Queue::open(must(queue::Config::from_env())));
  batch_and_pull(q);
  retry(q);
  expiry(q);
  depth(q);
  must(q.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
