// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/partitioner.hpp"

#include <algorithm>

namespace lrpc::queue::kafka {

// MurmurHash2 by Austin Appleby (public domain), with the seed and the reading of bytes of Kafka's Utils.murmur2.
std::uint32_t murmur2(std::string_view bytes) noexcept {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMix = 0x5bd1e995;
  constexpr int kShift = 24;

  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(left);
  const auto byte = [&at](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t word = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
    word *= kMix;
    word ^= word >> kShift;
    word *= kMix;
    hash *= kMix;
    hash ^= word;
  }
  if (left == 3) hash ^= byte(2) << 16;
  if (left >= 2) hash ^= byte(1) << 8;
  if (left >= 1) {
    hash ^= byte(0);
    hash *= kMix;
  }
  hash ^= hash >> 13;
  hash *= kMix;
  hash ^= hash >> 15;
  return hash;
}

std::int32_t partition_of_key(std::string_view key, std::int32_t partitions) noexcept {
  return static_cast<std::int32_t>(murmur2(key) & 0x7fff'ffff) % partitions;
}

std::int32_t Partitioner::choose(std::string_view key, std::string_view id, std::size_t bytes,
                                 std::int32_t partitions) {
  if (partitions <= 1) return 0;
  const std::int32_t of_key = key.empty() ? kAny : partition_of_key(key, partitions);
  switch (balancer_) {
    case Balancer::hash:
      return of_key != kAny ? of_key : partition_of_key(id, partitions);
    case Balancer::round_robin:
      if (of_key != kAny) return of_key;
      return static_cast<std::int32_t>(next_.fetch_add(1, std::memory_order_relaxed) %
                                       static_cast<std::uint32_t>(partitions));
    case Balancer::least_bytes:
      break;
  }
  return least_bytes(of_key, bytes, static_cast<std::size_t>(partitions));
}

std::int32_t Partitioner::least_bytes(std::int32_t of_key, std::size_t bytes, std::size_t partitions) {
  const std::lock_guard lock(mutex_);
  if (sent_.size() != partitions) {
    // A partition that is added takes its share from now on, not all until it has as much as the others.
    sent_.resize(partitions, sent_.empty() ? 0 : *std::ranges::min_element(sent_));
  }
  const auto chosen = of_key != kAny ? sent_.begin() + of_key : std::ranges::min_element(sent_);
  *chosen += std::max<std::size_t>(bytes, 1);  // empty messages take turns, too
  return static_cast<std::int32_t>(chosen - sent_.begin());
}

}  // namespace lrpc::queue::kafka
