// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// A user's program: one message through a queue, and a configuration file's text, so that the library's dependencies
// are linked.
#include <cstdio>
#include <string>

#include <lrpc/queue.hpp>
#include <lrpc/queue/version.hpp>

struct Order {
  std::string item;
  int count = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, item, count)

namespace {

namespace lq = lrpc::queue;

lq::Result<Order> send_one() {
  auto queue = lq::Queue::open({.memory_config = {.serialize = true}});
  if (!queue) return std::unexpected(queue.error());
  auto topic = queue->topic<Order>("orders");
  if (!topic) return std::unexpected(topic.error());
  auto channel = topic->get_or_add_channel("billing");
  if (!channel) return std::unexpected(channel.error());
  if (auto id = topic->pub({.item = "tea", .count = 3}); !id) return std::unexpected(id.error());
  auto message = channel->next();
  if (!message) return std::unexpected(message.error());
  if (auto acked = channel->ack(*message); !acked) return std::unexpected(acked.error());
  return message->body();
}

}  // namespace

int main() {
  auto order = send_one();
  if (!order || order->item != "tea" || order->count != 3) {
    std::fprintf(stderr, "consumer: %s\n", order ? "a wrong message came back" : order.error().message.c_str());
    return 1;
  }
  if (lq::Config::load("no-such-file.yaml").has_value()) return 1;
  std::printf("consumer: lrpc-queue %s works\n", std::string(lq::version()).c_str());
  return 0;
}
