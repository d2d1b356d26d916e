// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <thread>
#include <utility>
#include <vector>

namespace lrpc::queue::bench {

using BenchClock = std::chrono::steady_clock;

[[nodiscard]] inline double nanoseconds_since(BenchClock::time_point start) {
  return std::chrono::duration<double, std::nano>(BenchClock::now() - start).count();
}

/// Nanoseconds that `work` takes.
template <class Work>
[[nodiscard]] double timed(Work&& work) {
  const auto start = BenchClock::now();
  work();
  return nanoseconds_since(start);
}

/// The value below which `share` of the values lie.
[[nodiscard]] inline double quantile(std::vector<double> values, double share) {
  const auto index = std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())));
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}
[[nodiscard]] inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

/// Nanoseconds of one of the things that `pass(count)` does `count` times: the median over blocks short enough that
/// most escape the scheduler, on a machine with other work to do.
template <class Pass>
[[nodiscard]] double time_of_one(std::size_t total, Pass pass) {
  constexpr std::size_t kBlocks = 1'000;
  const std::size_t block = std::max<std::size_t>(total / kBlocks, 1);
  pass(block);  // warm
  std::vector<double> samples;
  samples.reserve(kBlocks);
  for (std::size_t i = 0; i < kBlocks; ++i) samples.push_back(timed([&] { pass(block); }) / static_cast<double>(block));
  return median(std::move(samples));
}

/// A number of messages that consumers divide among themselves: each takes a portion, handles it and comes back for
/// more, so that all end when exactly the whole has been handled.
class Budget {
 public:
  explicit Budget(std::size_t total) : left_(total) {}
  /// The size of the next portion; 0 = nothing is left.
  [[nodiscard]] std::size_t claim() noexcept {
    std::size_t left = left_.load(std::memory_order_relaxed);
    while (left != 0) {
      const std::size_t portion = std::min(left, kPortion);
      if (left_.compare_exchange_weak(left, left - portion, std::memory_order_relaxed)) return portion;
    }
    return 0;
  }

 private:
  static constexpr std::size_t kPortion = 1024;
  std::atomic<std::size_t> left_;
};

/// How many threads pass how many messages.
struct Crew {
  std::size_t producers = 1;
  std::size_t consumers = 1;
  std::size_t messages = 0;
};

/// Million messages a second of a crew: `produce(count)` runs in each producer, `consume(count)` in each consumer for
/// each portion it takes. Threads start together; the clock stops when the last has ended.
template <class Produce, class Consume>
[[nodiscard]] double throughput(const Crew& crew, Produce produce, Consume consume) {
  Budget budget(crew.messages);
  std::latch start(static_cast<std::ptrdiff_t>(crew.producers + crew.consumers + 1));
  std::vector<std::jthread> threads;
  threads.reserve(crew.producers + crew.consumers);
  for (std::size_t i = 0; i < crew.consumers; ++i) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      while (const std::size_t portion = budget.claim()) consume(portion);
    });
  }
  for (std::size_t i = 0; i < crew.producers; ++i) {
    const std::size_t share = crew.messages / crew.producers + (i < crew.messages % crew.producers ? 1 : 0);
    threads.emplace_back([&, share] {
      start.arrive_and_wait();
      produce(share);
    });
  }
  start.arrive_and_wait();
  const double ns = timed([&] { threads.clear(); });
  return static_cast<double>(crew.messages) * 1e3 / ns;
}

}  // namespace lrpc::queue::bench
