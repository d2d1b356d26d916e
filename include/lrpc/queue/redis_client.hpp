// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/error.hpp>

namespace lrpc::queue {

/// A connection to Redis that several queues can share through `Config::redis_client`; no queue closes it.
class RedisClient {
 public:
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;
  virtual ~RedisClient() = default;

  /// Connects within dial_timeout. `invalid_config` for a value out of range; `unsupported` in a build without the
  /// Redis back end.
  [[nodiscard]] static Result<std::shared_ptr<RedisClient>> connect(const RedisConfig& config);

 protected:
  RedisClient() = default;
};

}  // namespace lrpc::queue
