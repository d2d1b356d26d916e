// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "broker.hpp"

extern char** environ;

/// Runs a command beside a Kafka broker of its own, whose address it finds in the environment:
/// `with_kafka_broker COMMAND [ARGUMENT...]`.
int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fputs("usage: with_kafka_broker COMMAND [ARGUMENT...]\n", stderr);
    return 2;
  }
  const lrpc::queue::kafka::test::Broker broker;
  ::setenv("LRPC_QUEUE_KAFKA_CONFIG_BROKERS", broker.address().c_str(), 1);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, argv[1], nullptr, nullptr, argv + 1, environ) != 0) {
    std::fprintf(stderr, "cannot start %s\n", argv[1]);
    return 2;
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
