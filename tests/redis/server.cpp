// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <signal.h>

#include <chrono>

namespace lrpc::queue::redis {

RedisServer::RedisServer(std::vector<std::string> options, std::vector<std::string> launcher)
    : options_(std::move(options)), launcher_(std::move(launcher)), port_(free_port()) {
  start();
}

void RedisServer::start() {
  std::vector<std::string> words = launcher_;
  words.insert(words.end(),
               {LRPC_QUEUE_REDIS_SERVER, "--bind", "127.0.0.1", "--dir", folder_.path().string(), "--save", ""});
  bool tls = false;
  for (const std::string& option : options_) tls = tls || option == "--tls-cert-file";
  words.insert(words.end(), {tls ? "--tls-port" : "--port", std::to_string(port_)});
  if (tls) words.insert(words.end(), {"--port", "0"});
  words.insert(words.end(), options_.begin(), options_.end());
  process_.start(words, folder_.path() / "server.log", "Ready to accept connections");
}

void RedisServer::kill() {
  signal(SIGKILL);
  await_end();
}

RedisConfig RedisServer::config() const {
  return {.addr = address(),
          .min_idle_conns = 1,
          .dial_timeout = std::chrono::seconds(5),
          .read_timeout = std::chrono::seconds(5),
          .write_timeout = std::chrono::seconds(5)};
}

}  // namespace lrpc::queue::redis
