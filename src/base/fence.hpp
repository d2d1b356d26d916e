// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LRPC_QUEUE_CLANG_TSAN
#endif
#endif

namespace lrpc::queue::detail {

/// Orders everything before it against everything after it, loads after stores included: both sides of a
/// "publish, then look for sleepers" / "announce the sleep, then look for work" pair need one.
inline void full_fence() noexcept {
#if defined(__SANITIZE_THREAD__) || defined(LRPC_QUEUE_CLANG_TSAN)
  // ThreadSanitizer does not know fences.
  static std::atomic<int> everyone{0};
  everyone.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// The same, right after the unlock of a `Mutex`: on x86 the instruction of the unlock has done it.
inline void full_fence_after_unlock() noexcept {
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(LRPC_QUEUE_CLANG_TSAN)
  std::atomic_signal_fence(std::memory_order_seq_cst);
#else
  full_fence();
#endif
}

}  // namespace lrpc::queue::detail
