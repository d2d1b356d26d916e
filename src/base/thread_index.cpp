// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "base/thread_index.hpp"

#include <atomic>
#include <bit>
#include <cstdint>

namespace lrpc::queue::detail {
namespace {

constexpr std::size_t kUnknown = ~std::size_t{0};

std::atomic<std::uint32_t> taken{0};  // one bit for each index

/// Holds the thread's index until the thread ends.
class Holder {
 public:
  Holder() noexcept {
    std::uint32_t bits = taken.load(std::memory_order_relaxed);
    do {
      index_ = static_cast<std::size_t>(std::countr_one(bits));
      if (index_ >= kThreadIndexes) return;
    } while (!taken.compare_exchange_weak(bits, bits | (1U << index_), std::memory_order_acq_rel));
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder();

  [[nodiscard]] std::size_t index() const noexcept { return index_; }

 private:
  std::size_t index_ = kThreadIndexes;
};

constinit thread_local std::size_t known = kUnknown;

Holder::~Holder() {
  known = kThreadIndexes;  // what still runs in this thread shares
  if (index_ < kThreadIndexes) taken.fetch_and(~(1U << index_), std::memory_order_acq_rel);
}

[[gnu::noinline]] std::size_t find_index() noexcept {
  thread_local const Holder holder;
  return known = holder.index();
}

}  // namespace

std::size_t thread_index() noexcept { return known != kUnknown ? known : find_index(); }

}  // namespace lrpc::queue::detail
