// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/produce_call.hpp"

#include <chrono>
#include <memory>
#include <new>

#include "base/futex.hpp"

namespace lrpc::queue::kafka {

ProduceCall::Ptr ProduceCall::make(std::size_t records) {
  static_assert(sizeof(ProduceCall) % alignof(ProduceSlot) == 0);
  // One block: the call, then its slots.
  void* const block = ::operator new(sizeof(ProduceCall) + records * sizeof(ProduceSlot));
  // NOLINTNEXTLINE: bytes of a block that become slots on the next line
  auto* const slots = reinterpret_cast<ProduceSlot*>(static_cast<std::byte*>(block) + sizeof(ProduceCall));
  std::uninitialized_default_construct_n(slots, records);
  auto* const call = new (block) ProduceCall(slots, records);
  for (ProduceSlot& slot : call->slots()) slot.call = call;
  return Ptr(call);
}

bool ProduceCall::wait(SteadyTime deadline) noexcept {
  for (;;) {
    const std::uint32_t left = state_.load(std::memory_order_acquire);
    if (left == 0) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    detail::futex_wait(state_, left, deadline);  // reports but the last change the word and wake nobody
  }
}

void ProduceCall::report(ProduceSlot& slot) noexcept {
  ProduceCall* const call = slot.call;
  slot.keep = {};
  slot.done.store(true, std::memory_order_release);
  switch (call->state_.fetch_sub(1, std::memory_order_acq_rel) - 1) {
    case 0:  // the caller may be gone already; the kernel only looks at the address
      detail::futex_wake_one(call->state_);
      break;
    case kLeft:
      call->destroy();
      break;
    default:
      break;
  }
}

void ProduceCall::leave() noexcept {
  if (state_.fetch_or(kLeft, std::memory_order_acq_rel) == 0) destroy();
}

void ProduceCall::destroy() noexcept {
  std::destroy(slots_, slots_ + size_);
  void* const block = this;
  this->~ProduceCall();
  ::operator delete(block);
}

}  // namespace lrpc::queue::kafka
