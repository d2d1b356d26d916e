// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server.hpp"
#include "support/proxy.hpp"

namespace lrpc::queue::redis {

/// A line to a Redis server on which a test does what networks do.
class Proxy : public support::Proxy {
 public:
  explicit Proxy(const RedisServer& server) : support::Proxy(server.port()), target_(server) {}
  /// A configuration by this way instead of the direct one.
  [[nodiscard]] RedisConfig config() const {
    RedisConfig config = target_.config();
    config.addr = address();
    return config;
  }

 private:
  const RedisServer& target_;
};

}  // namespace lrpc::queue::redis
