// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace lrpc::queue::detail {

/// \file
/// Memory for messages. Most are allocated by one thread and freed by another, thousands at a time after a burst:
/// general allocators are slow at the first and keep the memory of the second.
///
/// Magazines over slabs (Bonwick and Adams, "Magazines and Vmem", USENIX 2001): each thread keeps two lists of free
/// blocks of each size; full lists change hands whole, under a lock taken once in dozens of blocks; what no thread
/// needs goes back to its slab (a few full lists of each size are kept), and a slab without blocks in use goes back to
/// the system. Safe after fork. The lists take 400 bytes of static thread-local storage. Under the address sanitizer
/// blocks come from operator new, for it to watch over them.

inline constexpr std::size_t kBlockAlignment = 64;
inline constexpr std::size_t kLargestBlock = 1024;

/// A block of at least `size` bytes (1 to kLargestBlock), aligned to `kBlockAlignment`. Throws std::bad_alloc.
/// Thread-safe.
[[nodiscard]] void* allocate_block(std::size_t size);
/// Gives back what `allocate_block(size)` returned, on any thread.
void free_block(void* block, std::size_t size) noexcept;

/// What the pool holds now, for tests and figures. Exact while no other thread uses the pool.
struct BlockPoolStats {
  std::size_t slabs = 0;       ///< Slabs got from the system and not given back, kept empty ones included.
  std::size_t slab_bytes = 0;  ///< Of one slab.
};
[[nodiscard]] BlockPoolStats block_pool_stats() noexcept;

}  // namespace lrpc::queue::detail
