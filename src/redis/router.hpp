// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include <lrpc/queue/redis_client.hpp>

#include "redis/route.hpp"

namespace lrpc::queue::redis {

/// Where keys live: what the back end knows of a server, a master watched by sentinels, or a cluster. Thread-safe.
class Router : public RedisClient {
 public:
  /// The way to whoever is in charge of a key, now and later: it follows the key when that changes.
  virtual std::shared_ptr<Route> route(std::string_view key) = 0;
  /// A way to each server that holds keys now: for SCAN.
  virtual std::vector<std::shared_ptr<Route>> nodes() = 0;
  [[nodiscard]] virtual const RedisConfig& config() const = 0;
  /// Whether the keys of one step must share a slot.
  [[nodiscard]] virtual bool cluster() const = 0;
  /// Ends all calls and connections; later calls give `unavailable`.
  virtual void close() = 0;
};

/// Connects to what a configuration names: a server, a master watched by sentinels, or a cluster.
Result<std::shared_ptr<Router>> connect_client(const RedisConfig& config);

}  // namespace lrpc::queue::redis
