// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The quick start on Kafka (Kafka 队列). What stands between begin and end is shown in docs/manual.zh.md, word for word
// (tests/documents); parts of one name are shown as one.

#include <exception>

#include "../must.hpp"
#include "await.hpp"

// [begin kafka]
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>

namespace queue = lrpc::queue;

struct MyMessage {
  std::string content;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MyMessage, content)  // JSON 序列化：Redis 和 Kafka 需要
// [end kafka]

int main() try {
  // [begin kafka]
  auto config = queue::Config::from_env({
      .storage_type = queue::StorageType::kafka,
      .kafka_config = {.brokers = {"localhost:9092"},
                       .topic_prefix = "myapp-queue-",
                       .partition = 3,
                       .replication_factor = 1,
                       .auto_create_topics = true,
                       .compression_type = queue::Compression::gzip},
  });
  auto q = queue::Queue::open(config.value()).value();

  auto topic = q.topic<MyMessage>("events").value();
  auto ch = topic.get_or_add_channel("handlers").value();

  // 发布消息
  auto id = topic.pub(MyMessage{.content = "hello"}).value();

  // 订阅消息
  auto handler = [](queue::Message<MyMessage>& msg) -> queue::ProcessRsp {
    std::cout << msg.body().content << '\n';
    return {.retry = false};
  };
  auto sub = ch.subscribe(handler).value();
  // [end kafka]
  await_acked(ch, 1);
  must(q.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
