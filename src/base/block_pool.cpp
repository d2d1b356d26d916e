// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/detail/block_pool.hpp>

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <new>

#include "base/mutex.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define LRPC_QUEUE_NO_POOL
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LRPC_QUEUE_NO_POOL
#endif
#endif

namespace lrpc::queue::detail {

#if defined(LRPC_QUEUE_NO_POOL)

void* allocate_block(std::size_t size) { return ::operator new(size, std::align_val_t(kBlockAlignment)); }
void free_block(void* block, std::size_t /*size*/) noexcept {
  ::operator delete(block, std::align_val_t(kBlockAlignment));
}
BlockPoolStats block_pool_stats() noexcept { return {}; }

#else

namespace {

constexpr std::size_t kSlabBytes = std::size_t{256} << 10U;
constexpr std::size_t kClasses = kLargestBlock / kBlockAlignment;
constexpr std::size_t kKeptChains = 8;  // full lists of one size that wait for another thread
constexpr std::size_t kKeptSlabs = 8;   // empty slabs: 2 MiB

/// What a free block holds: its links in a list and in the list of lists.
struct Block {
  Block* next;
  Block* next_chain;
};

constexpr std::size_t class_of(std::size_t size) noexcept { return (size - 1) / kBlockAlignment; }
constexpr std::size_t size_of(std::size_t size_class) noexcept { return (size_class + 1) * kBlockAlignment; }
/// Blocks in a full list: about 12 KiB of them.
constexpr std::uint32_t chain_length(std::size_t size_class) noexcept {
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(12'288 / size_of(size_class), 8, 64));
}

/// A piece of memory from the system, at an address that is a multiple of its size, cut into blocks of one size.
struct Slab {
  Slab* prev = nullptr;  // in the list of those with free blocks
  Slab* next = nullptr;
  Block* free = nullptr;
  std::uint32_t used = 0;   // blocks handed out
  std::uint32_t uncut = 0;  // blocks never handed out
  std::byte* cut_at = nullptr;

  [[nodiscard]] bool full() const noexcept { return free == nullptr && uncut == 0; }
  static Slab& of(Block* block) noexcept {
    const std::uintptr_t inside = reinterpret_cast<std::uintptr_t>(block) & (kSlabBytes - 1);
    return *reinterpret_cast<Slab*>(reinterpret_cast<std::byte*>(block) - inside);
  }
};

/// Slabs without a size. `mutex` is the innermost lock.
struct EmptySlabs {
  Mutex mutex;
  Slab* first = nullptr;
  std::size_t kept = 0;
  std::size_t total = 0;  // those in use included

  Slab* get() {
    {
      const std::lock_guard lock(mutex);
      if (first != nullptr) {
        Slab* slab = first;
        first = slab->next;
        --kept;
        return slab;
      }
      ++total;
    }
    // Twice the size surely holds an aligned slab; the rest goes back.
    void* mapped = ::mmap(nullptr, 2 * kSlabBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
      const std::lock_guard lock(mutex);
      --total;
      throw std::bad_alloc();
    }
    auto* const begin = static_cast<std::byte*>(mapped);
    const std::size_t before = (kSlabBytes - reinterpret_cast<std::uintptr_t>(mapped) % kSlabBytes) % kSlabBytes;
    std::byte* const slab = begin + before;
    if (before > 0) ::munmap(begin, before);
    ::munmap(slab + kSlabBytes, kSlabBytes - before);
    return reinterpret_cast<Slab*>(slab);
  }

  void put(Slab* slab) noexcept {
    const std::lock_guard lock(mutex);
    if (kept < kKeptSlabs || ::munmap(slab, kSlabBytes) != 0) {
      slab->next = first;
      first = slab;
      ++kept;
    } else {
      --total;
    }
  }
};

constinit EmptySlabs empty_slabs{};

/// The blocks of one size that no thread keeps.
class Depot {
 public:
  Mutex& mutex() noexcept { return mutex_; }

  /// A full list; throws std::bad_alloc.
  Block* get_chain(std::size_t size_class) {
    const std::lock_guard lock(mutex_);
    if (chains_ != nullptr) {
      Block* chain = chains_;
      chains_ = chain->next_chain;
      --chain_count_;
      return chain;
    }
    Block* chain = nullptr;
    try {
      for (std::uint32_t i = chain_length(size_class); i > 0; --i) {
        Block* block = cut(size_class);
        block->next = chain;
        chain = block;
      }
    } catch (const std::bad_alloc&) {
      put_all(chain);
      throw;
    }
    return chain;
  }

  Block* get_one(std::size_t size_class) {
    const std::lock_guard lock(mutex_);
    return cut(size_class);
  }

  void put_chain(Block* chain) noexcept {
    const std::lock_guard lock(mutex_);
    if (chain_count_ < kKeptChains) {
      chain->next_chain = chains_;
      chains_ = chain;
      ++chain_count_;
    } else {
      put_all(chain);
    }
  }

  /// A list of any length.
  void put_blocks(Block* list) noexcept {
    const std::lock_guard lock(mutex_);
    put_all(list);
  }

 private:
  Block* cut(std::size_t size_class) {
    if (slabs_ == nullptr) add_slab(size_class);
    Slab& slab = *slabs_;
    Block* block = slab.free;
    if (block != nullptr) {
      slab.free = block->next;
    } else {
      block = reinterpret_cast<Block*>(slab.cut_at);
      slab.cut_at += size_of(size_class);
      --slab.uncut;
    }
    ++slab.used;
    if (slab.full()) unlink(slab);
    return block;
  }

  void add_slab(std::size_t size_class) {
    auto* slab = new (empty_slabs.get()) Slab;
    constexpr std::size_t kHeader = (sizeof(Slab) + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
    slab->cut_at = reinterpret_cast<std::byte*>(slab) + kHeader;
    slab->uncut = static_cast<std::uint32_t>((kSlabBytes - kHeader) / size_of(size_class));
    link(*slab);
  }

  void put_all(Block* list) noexcept {
    while (list != nullptr) {
      Block* block = list;
      list = block->next;
      Slab& slab = Slab::of(block);
      if (slab.full()) link(slab);
      block->next = slab.free;
      slab.free = block;
      if (--slab.used == 0) {
        unlink(slab);
        empty_slabs.put(&slab);
      }
    }
  }

  void link(Slab& slab) noexcept {
    slab.prev = nullptr;
    slab.next = slabs_;
    if (slabs_ != nullptr) slabs_->prev = &slab;
    slabs_ = &slab;
  }
  void unlink(Slab& slab) noexcept {
    (slab.prev != nullptr ? slab.prev->next : slabs_) = slab.next;
    if (slab.next != nullptr) slab.next->prev = slab.prev;
  }

  Mutex mutex_;  // guards all, the slabs' headers included
  Block* chains_ = nullptr;
  std::size_t chain_count_ = 0;
  Slab* slabs_ = nullptr;  // with free blocks
};

// Never destroyed: messages may outlive main's statics.
constinit std::array<Depot, kClasses> depots{};

// A child process must not find a lock held by a thread that it does not have.
void lock_pool() {
  for (Depot& depot : depots) depot.mutex().lock();
  empty_slabs.mutex.lock();
}
void unlock_pool() {
  empty_slabs.mutex.unlock();
  for (Depot& depot : depots) depot.mutex().unlock();
}

// Before main: a thread that registered it with a lock held could meet the fork that it is for.
[[maybe_unused]] const int at_fork = ::pthread_atfork(lock_pool, unlock_pool, unlock_pool);

/// A thread's free blocks of one size: a list in use and a full one or none, so that a thread at the edge of a list
/// does not go to the depot at every turn.
struct Magazine {
  Block* head = nullptr;
  Block* spare = nullptr;
  std::uint32_t count = 0;  // in `head`
  std::uint32_t limit = 0;  // 0 = the thread has no magazines: new, or at its end
};

#define LRPC_QUEUE_FAST_TLS __attribute__((tls_model("initial-exec")))
constinit thread_local LRPC_QUEUE_FAST_TLS std::array<Magazine, kClasses> magazines{};
constinit thread_local LRPC_QUEUE_FAST_TLS bool thread_ended = false;

/// Gives a thread's blocks back at its end.
struct ThreadEnd {
  ThreadEnd() noexcept {
    for (std::size_t i = 0; i < kClasses; ++i) magazines[i].limit = chain_length(i);
  }
  ThreadEnd(const ThreadEnd&) = delete;
  ThreadEnd& operator=(const ThreadEnd&) = delete;
  ~ThreadEnd() {
    thread_ended = true;
    for (std::size_t i = 0; i < kClasses; ++i) {
      depots[i].put_blocks(magazines[i].head);
      depots[i].put_blocks(magazines[i].spare);
      magazines[i] = Magazine{};
    }
  }
};

/// Whether the thread may keep blocks: not while it ends, when other destructors of thread-local objects free messages.
bool open_magazines() noexcept {
  if (thread_ended) return false;
  thread_local const ThreadEnd at_end;
  static_cast<void>(&at_end);
  return true;
}

[[gnu::noinline]] void* allocate_slowly(std::size_t size_class) {
  Magazine& magazine = magazines[size_class];
  if (magazine.limit == 0 && !open_magazines()) return depots[size_class].get_one(size_class);
  Block* chain = magazine.spare;
  magazine.spare = nullptr;
  if (chain == nullptr) chain = depots[size_class].get_chain(size_class);
  magazine.head = chain->next;
  magazine.count = magazine.limit - 1;
  return chain;
}

[[gnu::noinline]] void free_slowly(Block* block, std::size_t size_class) noexcept {
  Magazine& magazine = magazines[size_class];
  if (magazine.limit == 0 && !open_magazines()) {
    block->next = nullptr;
    depots[size_class].put_blocks(block);
    return;
  }
  if (magazine.count == magazine.limit) {
    if (magazine.spare != nullptr) depots[size_class].put_chain(magazine.spare);
    magazine.spare = magazine.head;
    magazine.head = nullptr;
    magazine.count = 0;
  }
  block->next = magazine.head;
  magazine.head = block;
  ++magazine.count;
}

}  // namespace

void* allocate_block(std::size_t size) {
  const std::size_t size_class = class_of(size);
  Magazine& magazine = magazines[size_class];
  Block* block = magazine.head;
  if (block == nullptr) [[unlikely]]
    return allocate_slowly(size_class);
  magazine.head = block->next;
  --magazine.count;
  return block;
}

void free_block(void* block, std::size_t size) noexcept {
  const std::size_t size_class = class_of(size);
  Magazine& magazine = magazines[size_class];
  auto* freed = static_cast<Block*>(block);
  if (magazine.count == magazine.limit) [[unlikely]] {
    free_slowly(freed, size_class);
    return;
  }
  freed->next = magazine.head;
  magazine.head = freed;
  ++magazine.count;
}

BlockPoolStats block_pool_stats() noexcept {
  const std::lock_guard lock(empty_slabs.mutex);
  return {.slabs = empty_slabs.total, .slab_bytes = kSlabBytes};
}

#endif

}  // namespace lrpc::queue::detail
