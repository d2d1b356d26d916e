// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/client.hpp"
#include "redis/router.hpp"

namespace lrpc::queue::redis {

Result<std::shared_ptr<Router>> connect_client(const RedisConfig& config) {
  auto client = Client::open(config);
  if (!client) return std::unexpected(std::move(client.error()));
  return *client;
}

}  // namespace lrpc::queue::redis
