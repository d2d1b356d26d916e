// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server.hpp"
#include "support/beside.hpp"

/// `with_redis_server COMMAND [ARGUMENT...]`.
int main(int argc, char** argv) {
  return lrpc::queue::support::run_beside(argc, argv, "with_redis_server", "LRPC_QUEUE_REDIS_CONFIG_ADDR",
                                          [](const auto& run) { run(lrpc::queue::redis::RedisServer().address()); });
}
