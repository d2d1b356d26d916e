// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The quick start on Redis Streams (Redis Streams 队列), both ways. What stands between begin and end is shown in
// docs/manual.zh.md, word for word (tests/documents).

#include <exception>
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>

#include "../must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

namespace {

queue::Queue open_by_configuration() {
  // [begin redis_config]
  // 方式1：使用配置
  auto config = queue::Config::from_env({
      .storage_type = queue::StorageType::redis,
      .redis_config = {.addr = "localhost:6379", .key_prefix = "myapp:queue:"},
  });
  auto q = queue::Queue::open(config.value()).value();
  // [end redis_config]
  return q;
}

queue::Queue open_with_client() {
  // [begin redis_client]
  // 方式2：使用外部客户端
  auto config = queue::Config::from_env({.redis_config = {.addr = "localhost:6379"}}).value();
  auto client = queue::RedisClient::connect(config.redis_config).value();
  auto q = queue::Queue::open({.storage_type = queue::StorageType::redis, .redis_client = client}).value();
  // [end redis_client]
  return q;
}

void pass_a_message(queue::Queue q, const std::string& text) {
  auto channel = must(must(q.topic<std::string>("events")).get_or_add_channel("handlers"));
  must(must(q.topic<std::string>("events")).pub(text));
  const auto message = must(channel.try_next(10s));
  std::cout << message.body() << '\n';
  must(channel.ack(message));
  must(q.close());
}

}  // namespace

int main() try {
  pass_a_message(open_by_configuration(), "by configuration");
  pass_a_message(open_with_client(), "with a client");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
