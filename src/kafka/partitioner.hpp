// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include <lrpc/queue/config.hpp>

namespace lrpc::queue::kafka {

/// The hash of the Java client and of librdkafka's murmur2 partitioners.
[[nodiscard]] std::uint32_t murmur2(std::string_view bytes) noexcept;

/// The partition of a key among `partitions`, as the Java client chooses it.
[[nodiscard]] std::int32_t partition_of_key(std::string_view key, std::int32_t partitions) noexcept;

/// Chooses the partitions of one topic's messages. Thread-safe.
class Partitioner {
 public:
  explicit Partitioner(Balancer balancer) noexcept : balancer_(balancer) {}

  /// The partition for a message of `bytes` bytes among `partitions` (at least 1). A key decides where there is one,
  /// else the balancer.
  [[nodiscard]] std::int32_t choose(std::string_view key, std::string_view id, std::size_t bytes,
                                    std::int32_t partitions);

 private:
  static constexpr std::int32_t kAny = -1;

  std::int32_t least_bytes(std::int32_t of_key, std::size_t bytes, std::size_t partitions);

  const Balancer balancer_;
  std::atomic<std::uint32_t> next_{0};
  std::mutex mutex_;
  std::vector<std::uint64_t> sent_;  // bytes so far, by partition
};

}  // namespace lrpc::queue::kafka
