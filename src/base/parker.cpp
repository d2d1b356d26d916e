// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "base/parker.hpp"

#include "base/futex.hpp"

namespace lrpc::queue::detail {

Parker::Woken Parker::park_until(std::chrono::steady_clock::time_point deadline) noexcept {
  const bool bounded = deadline != std::chrono::steady_clock::time_point::max();
  std::uint32_t state = kEmpty;
  state_.compare_exchange_strong(state, kSleeping, std::memory_order_acq_rel);
  // Sleeping, or what somebody else has made of it.
  for (;;) {
    state = state_.load(std::memory_order_acquire);
    if (state == kReleased) return Woken::released;
    const bool over = bounded && std::chrono::steady_clock::now() >= deadline;
    if (state == kPoked || over) {
      // Fails when a release comes this very moment.
      if (state_.compare_exchange_strong(state, kEmpty, std::memory_order_acq_rel)) {
        return state == kPoked ? Woken::poked : Woken::time_out;
      }
      continue;
    }
    futex_wait(state_, kSleeping, deadline);
  }
}

void Parker::poke() noexcept {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  do {
    if (state == kReleased) return;
  } while (!state_.compare_exchange_weak(state, kPoked, std::memory_order_acq_rel));
  if (state == kSleeping) futex_wake_one(state_);
}

void Parker::release() noexcept {
  if (state_.exchange(kReleased, std::memory_order_acq_rel) == kSleeping) futex_wake_one(state_);
}

}  // namespace lrpc::queue::detail
