// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "base/parker.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace lrpc::queue::detail {
namespace {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4);

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point deadline) noexcept {
  timespec limit{};
  timespec* until = nullptr;
  if (deadline != std::chrono::steady_clock::time_point::max()) {
    // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, which is what steady_clock counts.
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
    limit.tv_sec = static_cast<std::time_t>(ns / 1'000'000'000);
    limit.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    until = &limit;
  }
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_BITSET_PRIVATE, expected, until, nullptr,
          FUTEX_BITSET_MATCH_ANY);
}

void futex_wake(std::atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace

bool Parker::park_until(std::chrono::steady_clock::time_point deadline) noexcept {
  std::uint32_t expected = kEmpty;
  if (!state_.compare_exchange_strong(expected, kSleeping, std::memory_order_acq_rel)) {
    state_.store(kEmpty, std::memory_order_relaxed);  // was notified already
    return true;
  }
  for (;;) {
    const bool bounded = deadline != std::chrono::steady_clock::time_point::max();
    if (bounded && std::chrono::steady_clock::now() >= deadline) break;
    futex_wait(state_, kSleeping, deadline);
    if (state_.load(std::memory_order_acquire) == kNotified) break;
  }
  return state_.exchange(kEmpty, std::memory_order_acq_rel) == kNotified;
}

void Parker::unpark() noexcept {
  if (state_.exchange(kNotified, std::memory_order_acq_rel) == kSleeping) futex_wake(state_);
}

}  // namespace lrpc::queue::detail
