// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace lrpc::queue::detail {

/// Lets one thread sleep until another wakes it: a futex (futex(2)) with a memory of one wake-up, so that a wake-up
/// that comes before the sleep is not lost.
class Parker {
 public:
  /// Sleeps until `unpark` or `deadline` (time_point::max() = none). True when woken. Only one thread may park.
  bool park_until(std::chrono::steady_clock::time_point deadline) noexcept;
  /// Wakes the thread that parks, or lets its next park return at once. The parker may be gone when this returns only
  /// if its owner could not have left before: callers hold the lock that protects the owner's registration.
  void unpark() noexcept;

 private:
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kSleeping = 1;
  static constexpr std::uint32_t kNotified = 2;
  std::atomic<std::uint32_t> state_{kEmpty};
};

}  // namespace lrpc::queue::detail
