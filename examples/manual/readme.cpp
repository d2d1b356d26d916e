// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The code of README.md, but for its first program. Runs on the back end that LRPC_QUEUE_STORAGE_TYPE names. What
// stands between begin and end is shown there, word for word (tests/documents).

#include <exception>
#include <iostream>
#include <string>

#include "../must.hpp"
#include "await.hpp"

#include <lrpc/queue.hpp>

using namespace lrpc::queue;

struct Login {
  std::string user;
  int tries;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Login, user, tries)

namespace {

Queue open_on_redis() {
  // clang-format off
  // [begin redis]
  auto q = Queue::open(Config::from_env({.storage_type = StorageType::redis}).value()).value();   // localhost:6379, or LRPC_QUEUE_REDIS_CONFIG_ADDR
  // [end redis]
  // clang-format on
  return q;
}

Queue open_on_kafka() {
  // clang-format off
  // [begin kafka]
  auto q = Queue::open(Config::from_env({.storage_type = StorageType::kafka}).value()).value();   // localhost:9092, or LRPC_QUEUE_KAFKA_CONFIG_BROKERS
  // [end kafka]
  // clang-format on
  return q;
}

void pass_a_login(Queue q) {
  auto topic = must(q.topic<Login>("logins"));
  auto channel = must(topic.get_or_add_channel("audit"));
  must(channel.subscribe([](Message<Login>& message) { std::cout << "storing " << message.body().user << '\n'; }));
  must(topic.pub({"ada", 1}, {.key = "ada"}));
  await_acked(channel, 1);
  must(q.close());
}

}  // namespace

int main() try {
  switch (must(Config::from_env()).storage_type) {
    case StorageType::memory:
      pass_a_login(must(Queue::open({})));
      break;
    case StorageType::redis:
      pass_a_login(open_on_redis());
      break;
    case StorageType::kafka:
      pass_a_login(open_on_kafka());
      break;
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
