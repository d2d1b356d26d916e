// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "base/mutex.hpp"

#include "base/futex.hpp"

namespace lrpc::queue::detail {

void Mutex::lock_slowly() noexcept {
  // Critical sections are far shorter than a sleep and a wake-up.
  constexpr int kSpins = 100;
  for (int i = may_spin() ? kSpins : 0; i > 0; --i) {
    const std::uint32_t state = state_.load(std::memory_order_relaxed);
    if (state == kFree && try_lock()) return;
    if (state == kWanted) break;
    spin_pause();
  }
  while (state_.exchange(kWanted, std::memory_order_acquire) != kFree) futex_wait(state_, kWanted);
}

void Mutex::wake() noexcept { futex_wake_one(state_); }

}  // namespace lrpc::queue::detail
