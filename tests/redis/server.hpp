// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <lrpc/queue/config.hpp>

#include "support/certificates.hpp"
#include "support/process.hpp"

namespace lrpc::queue::redis {

using support::free_port;
using support::Process;
using support::TemporaryFolder;

/// The program of the servers: the one that was found when the tests were built, or what the environment variable
/// LRPC_QUEUE_TEST_REDIS_SERVER names (scripts/test-redis-versions.sh).
[[nodiscard]] std::string server_program();
/// Its version, major and minor: 602 is 6.2.
[[nodiscard]] int server_version();
/// Whether it can do TLS.
[[nodiscard]] bool server_has_tls();

/// Certificates, and what to do with them.
class Certificates : public support::Certificates {
 public:
  /// What makes a server do TLS with them, with its replicas and its cluster, too.
  [[nodiscard]] std::vector<std::string> options() const;
  /// For those who connect to it.
  [[nodiscard]] TlsConfig config() const { return {.enabled = true, .ca_file = file("ca.crt")}; }
};

/// A real redis-server of the test's own.
class RedisServer {
 public:
  /// Starts it with these options besides port and folder, and waits until it answers. Throws std::runtime_error with
  /// its log when it does not.
  /// `launcher`: the words before its command line.
  explicit RedisServer(std::vector<std::string> options = {}, std::vector<std::string> launcher = {});

  [[nodiscard]] int port() const noexcept { return port_; }
  [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
  /// A configuration for it, with short time-outs.
  [[nodiscard]] RedisConfig config() const;
  /// Sends a signal: SIGKILL, SIGSTOP, SIGCONT.
  void signal(int number) const { process_.signal(number); }
  /// Starts it again after it was killed, on the same port and data.
  void start() { start("Ready to accept connections"); }
  /// Likewise, but returns when its log says `ready`.
  void start(const std::string& ready, const std::vector<std::string>& more_options = {});
  /// Waits until the process is gone.
  void await_end() { process_.await_end(); }
  /// SIGKILL, and waits until it is gone.
  void kill();

 private:
  TemporaryFolder folder_;
  std::vector<std::string> options_;
  std::vector<std::string> launcher_;
  int port_;
  Process process_;
};

}  // namespace lrpc::queue::redis
