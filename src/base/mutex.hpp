// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace lrpc::queue::detail {

/// A mutex of four bytes: one atomic instruction inline to lock, one to unlock, when nobody competes (pthread's
/// pair of calls costs 6 to 7 ns, this one 4.5; docs/decisions.md); a short spin, then a futex, when somebody does.
/// After "mutex 2" of U. Drepper, "Futexes Are Tricky". Not recursive. Works with std::lock_guard and std::unique_lock.
class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() = default;

  void lock() noexcept {
    if (!try_lock()) lock_slowly();
  }
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    if (state_.exchange(kFree, std::memory_order_release) == kWanted) wake();
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kHeld = 1;
  static constexpr std::uint32_t kWanted = 2;  // held, and somebody may sleep

  void lock_slowly() noexcept;
  void wake() noexcept;

  std::atomic<std::uint32_t> state_{kFree};
};

}  // namespace lrpc::queue::detail
