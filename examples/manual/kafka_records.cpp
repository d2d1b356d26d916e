// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// What the manual says of records on Kafka (消息序列化, 分区策略, 消息压缩). Publishes to the topic and channel of the
// manual's examples; tests/kafka looks at such records from outside. What stands between begin and end is
// shown in docs/manual.zh.md, word for word (tests/documents).

#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>

#include "../must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

// [begin go_names]
struct Event {
  std::string type;
  std::string data;
};

// Go 的 encoding/json 用字段名 Type、Data 作键
void to_json(nlohmann::json& json, const Event& event) { json = {{"Type", event.type}, {"Data", event.data}}; }
void from_json(const nlohmann::json& json, Event& event) {
  json.at("Type").get_to(event.type);
  json.at("Data").get_to(event.data);
}
// [end go_names]

int main() try {
  // [begin partitions]
  auto config = queue::Config::from_env({
      .storage_type = queue::StorageType::kafka,
      .kafka_config = {.topic_prefix = "myapp-queue-",
                       .partition = 3,
                       .compression_type = queue::Compression::zstd,
                       .balancer = queue::Balancer::hash},  // 没有 key 时由消息 ID 决定分区
  });
  auto q = queue::Queue::open(config.value()).value();
  auto topic = q.topic<Event>("events").value();
  auto ch = topic.get_or_add_channel("handler").value();

  // 相同 key 的消息总在同一分区，按顺序处理；headers 写入 Kafka Headers
  auto id = topic.pub(Event{.type = "user.login", .data = "john"}, {.key = "john", .headers = {{"trace", "4bf9"}}});
  // [end partitions]
  must(std::move(id));
  must(topic.pub(Event{.type = "user.logout", .data = "john"}));
  for (int i = 0; i < 2; ++i) {
    const auto message = must(ch.try_next(10s));
    must(message.body().type == "user.logout" || (message.key() == "john" && message.headers().contains("trace")),
         "key and headers arrive");
    must(ch.ack(message));
  }
  must(q.close());
  std::cout << "two records read\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
