// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/detail/block_pool.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace lrpc::queue::detail {
namespace {

struct Held {
  void* block;
  std::size_t size;
  unsigned char mark;
};

Held take(std::size_t size, unsigned char mark) {
  void* block = allocate_block(size);
  std::memset(block, mark, size);
  return {.block = block, .size = size, .mark = mark};
}

bool intact(const Held& held) {
  const auto* bytes = static_cast<const unsigned char*>(held.block);
  return std::all_of(bytes, bytes + held.size, [&](unsigned char byte) { return byte == held.mark; });
}

TEST(BlockPool, BlocksAreAlignedAndDoNotOverlap) {
  std::mt19937 random(1);
  std::vector<Held> held;
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t size = 1 + random() % kLargestBlock;
    held.push_back(take(size, static_cast<unsigned char>(i)));
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(held.back().block) % kBlockAlignment, 0U) << size;
    if (random() % 3 == 0) {
      std::swap(held[random() % held.size()], held.back());
      ASSERT_TRUE(intact(held.back()));
      free_block(held.back().block, held.back().size);
      held.pop_back();
    }
  }
  for (const Held& one : held) {
    ASSERT_TRUE(intact(one));
    free_block(one.block, one.size);
  }
}

// The pattern that the pool is for: one thread allocates, another frees, back and forth.
TEST(BlockPool, BlocksMoveBetweenThreads) {
  constexpr std::size_t kThreads = 4;
  std::vector<std::vector<Held>> given(kThreads);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&mine = given[t], t] {
        for (const Held& one : mine) {
          EXPECT_TRUE(intact(one));
          free_block(one.block, one.size);
        }
        mine.clear();
        for (int i = 0; i < 500; ++i) mine.push_back(take(64 + t * 64, static_cast<unsigned char>(t * 50 + 1)));
      });
    }
    threads.clear();
    std::ranges::rotate(given, given.begin() + 1);
  }
  for (const auto& list : given) {
    for (const Held& one : list) free_block(one.block, one.size);
  }
}

TEST(BlockPool, GivesItsMemoryBackAfterABurst) {
  const std::size_t slab = block_pool_stats().slab_bytes;
  if (slab == 0) GTEST_SKIP() << "the address sanitizer watches every block by itself";
  const std::size_t before = block_pool_stats().slabs;
  constexpr std::size_t kSize = 192;
  constexpr std::size_t kBlocks = 200'000;
  std::vector<void*> blocks;
  blocks.reserve(kBlocks);
  for (std::size_t i = 0; i < kBlocks; ++i) blocks.push_back(allocate_block(kSize));
  EXPECT_GE(block_pool_stats().slabs - before, kBlocks * kSize / slab / 2) << "not from the pool";
  // In another thread, which then ends.
  std::jthread([&] {
    for (void* block : blocks) free_block(block, kSize);
  }).join();
  // Some empty slabs and some full lists are kept for the next burst.
  constexpr std::size_t kKept = std::size_t{4} << 20U;
  EXPECT_LE(block_pool_stats().slabs, before + kKept / slab);
}

// A child process has only the thread that forked, but the locks as they were.
TEST(BlockPool, WorksAfterAFork) {
  if (block_pool_stats().slab_bytes == 0) GTEST_SKIP() << "under the address sanitizer these are its own locks";
  std::atomic<bool> over{false};
  std::jthread busy([&] {
    std::vector<void*> blocks;
    while (!over) {
      for (int i = 0; i < 1'000; ++i) blocks.push_back(allocate_block(256));
      for (void* block : blocks) free_block(block, 256);
      blocks.clear();
    }
  });
  for (int i = 0; i < 50; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);  // instead of hanging
      for (int n = 0; n < 1'000; ++n) static_cast<void>(allocate_block(256));
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "the child hung";
  }
  over = true;
}

// Destructors of thread-local objects may free messages when the thread's lists are gone already.
TEST(BlockPool, WorksWhileAThreadEnds) {
  struct Late {
    void* block = nullptr;
    ~Late() {
      if (block == nullptr) return;
      free_block(block, 100);
      free_block(allocate_block(100), 100);
    }
  };
  std::jthread([] {
    thread_local Late late;  // made before the pool is used, so destroyed after its lists
    late.block = allocate_block(100);
  }).join();
}

}  // namespace
}  // namespace lrpc::queue::detail
