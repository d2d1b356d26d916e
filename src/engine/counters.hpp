// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lrpc::queue::detail {

/// The counters of a channel. Threads count in different cache lines, so that counting does not make them wait for each
/// other; reading adds up.
class Counters {
 public:
  enum Name : std::uint8_t { delivered, acked, nacked, expired, redelivered, dropped, kCount };

  void add(Name name, std::int64_t n = 1) noexcept {
    stripes_[stripe()].values[name].fetch_add(n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t get(Name name) const noexcept {
    std::int64_t sum = 0;
    for (const Stripe& stripe : stripes_) sum += stripe.values[name].load(std::memory_order_relaxed);
    return sum;
  }

 private:
  static constexpr std::size_t kStripes = 4;
  struct alignas(64) Stripe {
    std::array<std::atomic<std::int64_t>, kCount> values{};
  };

  static std::size_t stripe() noexcept {
    static std::atomic<std::size_t> threads{0};
    thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kStripes;
    return mine;
  }

  std::array<Stripe, kStripes> stripes_{};
};

}  // namespace lrpc::queue::detail
