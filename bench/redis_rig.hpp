// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "rig.hpp"
#include "server.hpp"
#include "suite.hpp"

/// \file
/// A redis-server for each run, a queue on it, and the shapes that more than one group measures: million entries a
/// second each.

namespace lrpc::queue::bench {

/// A 100-byte body.
[[nodiscard]] const std::string& redis_text();

/// A server with a queue on it.
struct RedisRig {
  explicit RedisRig(std::size_t channels = 1);
  /// At least so many, by the thousand.
  void fill(std::size_t messages);

  redis::RedisServer server{};
  Bytes body{Bytes(redis_text().size(), std::byte{'x'})};
  std::optional<Queue> queue{};
  std::optional<Topic<Bytes>> topic{};
  std::vector<Channel<Bytes>> channel{};
};

/// Million entries a second.
[[nodiscard]] inline double redis_rate(std::size_t count, double ns) { return static_cast<double>(count) * 1e3 / ns; }

/// Batches of that size to so many channels.
[[nodiscard]] Reading redis_publish(std::size_t messages, std::size_t batch, std::size_t channels);
[[nodiscard]] Reading raw_redis_publish(std::size_t messages, std::size_t batch, std::size_t channels);

/// Threads that publish one at a time; raw: over a connection each.
[[nodiscard]] Reading redis_callers(std::size_t messages, std::size_t callers);
[[nodiscard]] Reading raw_redis_callers(std::size_t messages, std::size_t callers);

}  // namespace lrpc::queue::bench
