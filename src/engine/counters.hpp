// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "base/thread_index.hpp"

namespace lrpc::queue::detail {

/// The counters of a channel. Each thread counts in a cache line of its own, made when it first counts, without an
/// atomic addition; threads beyond the first kThreadIndexes share one. Reading adds up. Thread-safe.
class Counters {
 public:
  enum Name : std::uint8_t { delivered, acked, nacked, expired, redelivered, dropped, kCount };

  Counters() = default;
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;
  ~Counters() {
    for (auto& own : own_) delete own.load(std::memory_order_relaxed);
  }

  void add(Name name, std::int64_t n = 1) noexcept {
    const std::size_t index = thread_index();
    Line* line = index < kThreadIndexes ? own_[index].load(std::memory_order_relaxed) : nullptr;
    if (line == nullptr) line = find_line(index);
    std::atomic<std::int64_t>& value = line->values[name];
    if (line == &shared_) {
      value.fetch_add(n, std::memory_order_relaxed);
    } else {
      value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::int64_t get(Name name) const noexcept {
    std::int64_t sum = shared_.values[name].load(std::memory_order_relaxed);
    for (const auto& own : own_) {
      if (const Line* line = own.load(std::memory_order_acquire)) {
        sum += line->values[name].load(std::memory_order_relaxed);
      }
    }
    return sum;
  }

 private:
  struct alignas(64) Line {
    std::array<std::atomic<std::int64_t>, kCount> values{};
  };

  [[gnu::noinline]] Line* find_line(std::size_t index) noexcept {
    if (index >= kThreadIndexes) return &shared_;
    auto* line = new (std::nothrow) Line;
    if (line == nullptr) return &shared_;
    own_[index].store(line, std::memory_order_release);
    return line;
  }

  std::array<std::atomic<Line*>, kThreadIndexes> own_{};
  Line shared_{};
};

}  // namespace lrpc::queue::detail
