// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The code of README.md. Runs on the back end that LRPC_QUEUE_STORAGE_TYPE names. What stands between begin and end is
// shown there, word for word (tests/documents); parts of one name are shown as one.

#include <atomic>
#include <exception>
#include <iostream>
#include <string>

#include "../must.hpp"
#include "await.hpp"

// clang-format off
// [begin ten_lines]
#include <lrpc/queue.hpp>
using namespace lrpc::queue;

struct Login { std::string user; int tries; };
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Login, user, tries)                   // as JSON, on Redis and Kafka
// [end ten_lines]
// clang-format on

namespace {

/// Works at the second try.
bool store(const Login& login) {
  static std::atomic<int> tries = 0;
  std::cout << "storing " << login.user << '\n';
  return ++tries > 1;
}

void ten_lines() {
  // clang-format off
  // [begin ten_lines]
  auto q     = Queue::open({.max_retries = 3}).value();
  auto topic = q.topic<Login>("logins").value();
  auto audit = topic.get_or_add_channel("audit").value();
  auto sub   = audit.subscribe([](Message<Login>& m) -> ProcessRsp {
    return store(m.body()) ? ProcessRsp{} : ProcessRsp{.retry = true};   // retried after 1 s, 3 times, then a dead letter
  });
  auto id    = topic.pub({"ada", 1}, {.key = "ada"}).value();            // every channel of "logins" gets it
  // [end ten_lines]
  // clang-format on
  must(std::move(sub));
  await_acked(audit, 1);
}

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
      ten_lines();
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
