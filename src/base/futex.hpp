// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace lrpc::queue::detail {

/// Sleeps while `word` is `expected`, until woken or until `deadline` (time_point::max() = none); may return for no
/// reason (futex(2)).
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max()) noexcept;
/// Wakes one sleeper of `word`, whose memory may be gone by now: the kernel only compares addresses.
void futex_wake_one(std::atomic<std::uint32_t>& word) noexcept;

/// Tells the processor that the thread waits for another in a loop.
inline void spin_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Whether waiting in a loop can ever help: more than one processor.
[[nodiscard]] bool may_spin() noexcept;

}  // namespace lrpc::queue::detail
