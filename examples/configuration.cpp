// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Configuration from a file (JSON, YAML or TOML, by the name's ending) with the environment laid over it.
//
//     example_configuration examples/config/memory.yaml

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main(int argc, char** argv) try {
  const std::string path = argc > 1 ? argv[1] : "examples/config/memory.yaml";

  // What an operator does in the shell or the service file.
  setenv("LRPC_QUEUE_RETRY_DELAY", "1m30s", 1);

  const queue::Config file = must(queue::Config::load(path));
  const queue::Config config = must(queue::Config::from_env(file));
  must(config.retry_delay == 90s, "the environment wins over the file");
  must(file.max_in_flight && config.max_in_flight == file.max_in_flight, "what it does not name stays");
  std::cout << "retry_delay " << config.retry_delay->count() / 1000 << " s, max_in_flight " << *config.max_in_flight
            << '\n';

  // Unset fields take the defaults; topics and channels inherit, and may set their own.
  auto q = must(queue::Queue::open(config));
  auto topic = must(q.topic<std::string>("events", {.retry_delay = 2s}));
  auto channel = must(topic.get_or_add_channel("handler", {.max_in_flight = 1}));
  must(topic.pub("configured"));
  const auto message = must(channel.try_next(1s));
  must(channel.ack(message));
  std::cout << "received: " << message.body() << '\n';

  // A mistake is named with its key and what is allowed; nothing is passed over in silence.
  setenv("LRPC_QUEUE_MAX_IN_FLIGHT", "many", 1);
  const auto wrong = queue::Config::from_env(file);
  must(!wrong && wrong.error().code == queue::ErrorCode::invalid_config, "a wrong value is refused");
  std::cout << "refused: " << wrong.error().message << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
