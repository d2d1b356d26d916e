// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's advice (最佳实践) as code. Runs on the back end that LRPC_QUEUE_STORAGE_TYPE names. What stands between
// begin and end is shown in docs/manual.zh.md, word for word (tests/documents).

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

#include <lrpc/queue.hpp>

#include "../must.hpp"
#include "await.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

namespace {

struct BadRequest : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void charge(const std::string& order) {
  if (order == "no customer") throw BadRequest("an order without a customer");
  static std::atomic<int> tries = 0;
  if (++tries == 1) throw std::runtime_error("the bank does not answer");
}

// [begin handler]
queue::ProcessRsp handle(queue::Message<std::string>& msg) {
  try {
    charge(msg.body());
    return {};
  } catch (const BadRequest& error) {
    return {.dead_letter = true, .reason = error.what()};  // 重试也不会成功：直接成为死信
  } catch (const std::exception&) {
    return {.retry = true};  // 可能是暂时的：重试（不捕获时效果相同，异常文本记入死信）
  }
}
// [end handler]

}  // namespace

int main() try {
  queue::Queue q = must(queue::Queue::open(must(queue::Config::from_env())));
  auto topic = must(q.topic<std::string>("orders"));
  // [begin channel]
  auto ch = topic
                .get_or_add_channel("billing", {.max_retries = 8,
                                                .retry_delay = 100ms,
                                                .message_ttl = 1h,   // 避免无限重试
                                                .max_in_flight = 4,  // 处理能力
                                                .backoff = queue::Backoff{.multiplier = 2, .max_delay = 10min},
                                                .dead_letter_expired = true})
                .value();
  // [end channel]
  must(topic.pub_batch({"a book", "no customer"}));
  auto sub = must(ch.subscribe(handle));
  await_acked(ch, 1);
  await([&] { return must(ch.stats()).dead == 1; }, "what cannot succeed is a dead letter");
  // [begin monitor]
  auto stats = ch.stats().value();
  std::cout << "depth " << stats.depth << ", in flight " << stats.in_flight << ", dead " << stats.dead << '\n';
  // [end monitor]
  must(stats.depth == 0, "nothing waits");
  // [begin close]
  if (auto closed = q.close(); !closed) {
    std::cerr << queue::to_string(closed.error().code) << ": " << closed.error().message << '\n';
  }
  // [end close]
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
