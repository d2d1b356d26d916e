// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace lrpc::queue::redis {

std::string server_program() {
  const char* const other = std::getenv("LRPC_QUEUE_TEST_REDIS_SERVER");
  return other != nullptr && *other != '\0' ? other : LRPC_QUEUE_REDIS_SERVER;
}

int server_version() {
  static const int version = [] {
    const TemporaryFolder folder;
    support::run({server_program(), "--version"}, folder.path() / "version");
    const std::string text = support::contents(folder.path() / "version");  // "Redis server v=7.0.15 sha=..."
    int major = 0;
    int minor = 0;
    const std::size_t at = text.find("v=");
    if (at == std::string::npos || std::sscanf(text.c_str() + at, "v=%d.%d", &major, &minor) != 2) {
      throw std::runtime_error("which version is " + server_program() + "? It says: " + text);
    }
    return major * 100 + minor;
  }();
  return version;
}

bool server_has_tls() {
  static const bool has = [] {
    const TemporaryFolder folder;
    const auto log = folder.path() / "log";
    Process process;
    process.launch({server_program(), "--port", "0", "--tls-port", "1"}, log);
    process.await_end();  // at once: there is no certificate
    return support::contents(log).find("No tls-cert-file configured") != std::string::npos;
  }();
  return has;
}

std::vector<std::string> Certificates::options() const {
  return {"--tls-cert-file",    file("server.crt"),
          "--tls-key-file",     file("server.key"),
          "--tls-ca-cert-file", file("ca.crt"),
          "--tls-auth-clients", "no",
          "--tls-replication",  "yes"};
}

RedisServer::RedisServer(std::vector<std::string> options, std::vector<std::string> launcher)
    : options_(std::move(options)), launcher_(std::move(launcher)), port_(free_port()) {
  start();
}

void RedisServer::start(const std::string& ready, const std::vector<std::string>& more_options) {
  std::vector<std::string> words = launcher_;
  words.insert(words.end(), {server_program(), "--bind", "127.0.0.1", "--dir", folder_.path().string(), "--save", ""});
  bool tls = false;
  for (const std::string& option : options_) tls = tls || option == "--tls-cert-file";
  words.insert(words.end(), {tls ? "--tls-port" : "--port", std::to_string(port_)});
  if (tls) words.insert(words.end(), {"--port", "0"});
  words.insert(words.end(), options_.begin(), options_.end());
  words.insert(words.end(), more_options.begin(), more_options.end());
  process_.start(words, folder_.path() / "server.log", ready);
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
