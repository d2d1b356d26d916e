// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The parts that threads meet at: Mutex, Parker, thread_index, Counters.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/mutex.hpp"
#include "base/parker.hpp"
#include "base/thread_index.hpp"
#include "engine/counters.hpp"

namespace lrpc::queue::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST(Mutex, ExcludesOthers) {
  Mutex mutex;
  std::int64_t value = 0;  // not atomic: the sanitizers watch
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const std::lock_guard lock(mutex);
        ++value;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(value, 160'000);
}

TEST(Mutex, SleepersWakeOneAfterTheOther) {
  Mutex mutex;
  int passed = 0;
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock(mutex);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        const std::lock_guard inner(mutex);
        ++passed;
      });
    }
    std::this_thread::sleep_for(milliseconds(5));  // beyond any spin
    EXPECT_EQ(passed, 0);
    EXPECT_FALSE(mutex.try_lock());
  }
  threads.clear();
  EXPECT_EQ(passed, 4);
}

TEST(Parker, ReleaseBeforeAndAfterTheSleep) {
  Parker early;
  early.release();
  EXPECT_EQ(early.park_until(steady_clock::time_point::max()), Parker::Woken::released);
  EXPECT_EQ(early.park_until(steady_clock::now()), Parker::Woken::released) << "a release is not forgotten";

  Parker late;
  const std::jthread other([&] {
    std::this_thread::sleep_for(milliseconds(5));
    late.release();
  });
  EXPECT_EQ(late.park_until(steady_clock::time_point::max()), Parker::Woken::released);
}

TEST(Parker, PokesCountOnceAndTimeOut) {
  Parker parker;
  parker.poke();
  parker.poke();
  EXPECT_EQ(parker.park_until(steady_clock::time_point::max()), Parker::Woken::poked);
  EXPECT_EQ(parker.park_until(steady_clock::now() + milliseconds(1)), Parker::Woken::time_out);
  parker.release();
  parker.poke();
  EXPECT_EQ(parker.park_until(steady_clock::time_point::max()), Parker::Woken::released);
}

TEST(Parker, EveryReleaseArrives) {
  for (int round = 0; round < 2'000; ++round) {
    Parker parker;
    const std::jthread other([&] { parker.release(); });
    const auto deadline = round % 2 == 0 ? steady_clock::time_point::max() : steady_clock::now();
    while (parker.park_until(deadline) != Parker::Woken::released) {
    }
  }
}

TEST(ThreadIndex, LivingThreadsDoNotShareOne) {
  constexpr std::size_t kThreads = kThreadIndexes + 4;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::size_t> indexes(kThreads);
    std::barrier all(static_cast<std::ptrdiff_t>(kThreads));
    {
      std::vector<std::jthread> threads;
      for (std::size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
          indexes[t] = thread_index();
          all.arrive_and_wait();
          EXPECT_EQ(indexes[t], thread_index());
        });
      }
    }
    std::set<std::size_t> own;
    for (const std::size_t index : indexes) {
      ASSERT_LE(index, kThreadIndexes);
      if (index == kThreadIndexes) continue;
      EXPECT_TRUE(own.insert(index).second) << index;
    }
    // The test's own thread may hold one.
    EXPECT_GE(own.size(), kThreadIndexes - 1) << "those of ended threads were not given back";
  }
}

TEST(Counters, LoseNothing) {
  constexpr std::size_t kThreads = kThreadIndexes + 4;
  Counters counters;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1'000; ++i) counters.add(Counters::acked);
        counters.add(Counters::delivered, 5);
      });
    }
  }
  EXPECT_EQ(counters.get(Counters::acked), static_cast<std::int64_t>(kThreads) * 3'000);
  EXPECT_EQ(counters.get(Counters::delivered), static_cast<std::int64_t>(kThreads) * 15);
  EXPECT_EQ(counters.get(Counters::nacked), 0);
}

}  // namespace
}  // namespace lrpc::queue::detail
