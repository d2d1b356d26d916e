// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include <lrpc/queue/message.hpp>

#include "base/timer_wheel.hpp"

namespace lrpc::queue::memory {

/// A message that has left the FIFO: in flight, waiting for its time, or back in line.
struct Slot : detail::TimerNode {  // the node links it into the wheel (leases, delays) or into a line
  enum class State : std::uint8_t { free, in_flight, delayed, queued };

  Envelope* message = nullptr;   // owns one reference unless free
  std::uint64_t generation = 0;  // changes with every hand-over; 0 = not handed out
  std::uint64_t order = 0;       // place in line: how many messages the FIFO had handed out before it
  Slot* chain = nullptr;         // next in the id index
  std::int32_t attempts = 0;     // deliveries counted so far
  std::uint32_t number = 0;      // position in the table
  State state = State::free;
  bool listed = false;         // its timer is in the line of leases, not in the wheel
  bool renewed = false;        // held by a subscription of this process: has no lease to run out
  bool lease_expired = false;  // the last delivery ended by its lease
  bool indexed = false;
};

/// The slots of one channel: stable addresses, found by number, memory given back when emptied. Not thread-safe.
class SlotTable {
 public:
  /// A free slot, its members as new. Throws std::bad_alloc.
  Slot& acquire() {
    if (free_ == nullptr) grow();
    Slot& slot = *free_;
    free_ = slot.chain;
    slot.chain = nullptr;
    ++used_;
    return slot;
  }

  void release(Slot& slot) noexcept {
    slot.message = nullptr;
    slot.generation = 0;
    slot.attempts = 0;
    slot.state = Slot::State::free;
    slot.renewed = slot.lease_expired = false;
    slot.chain = free_;
    free_ = &slot;
    // After a burst: once nothing is used, keep one chunk.
    if (--used_ == 0 && chunks_.size() > kKeptChunks) shrink();
  }

  /// The slot of that number, null when there is none.
  [[nodiscard]] Slot* find(std::uint64_t number) const noexcept {
    const std::uint64_t chunk = number / kChunk;
    return chunk < chunks_.size() ? &(*chunks_[chunk])[number % kChunk] : nullptr;
  }

  [[nodiscard]] std::size_t used() const noexcept { return used_; }

  /// Calls f(Slot&) for every slot in use.
  template <class F>
  void for_each(F&& f) {
    for (const auto& chunk : chunks_) {
      for (Slot& slot : *chunk) {
        if (slot.state != Slot::State::free) f(slot);
      }
    }
  }

 private:
  static constexpr std::size_t kChunk = 16;
  static constexpr std::size_t kKeptChunks = 64;
  using Chunk = std::array<Slot, kChunk>;

  void grow() {
    chunks_.push_back(std::make_unique<Chunk>());
    Chunk& chunk = *chunks_.back();
    // Lowest number first.
    for (std::size_t i = kChunk; i-- > 0;) {
      chunk[i].number = static_cast<std::uint32_t>((chunks_.size() - 1) * kChunk + i);
      chunk[i].chain = free_;
      free_ = &chunk[i];
    }
  }

  void shrink() noexcept {
    chunks_.clear();
    chunks_.shrink_to_fit();
    free_ = nullptr;
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  Slot* free_ = nullptr;
  std::size_t used_ = 0;
};

/// Finds in-flight slots by message id. Built when the first ack by id comes, so that those who never ack by id do not
/// pay for it.
class IdIndex {
 public:
  [[nodiscard]] bool active() const noexcept { return !buckets_.empty(); }
  void start(std::size_t expected) { resize(expected); }

  void insert(Slot& slot) noexcept {
    if (count_ >= buckets_.size()) grow();
    link(slot);
    slot.indexed = true;
    ++count_;
  }

  void remove(Slot& slot) noexcept {
    Slot** link = &buckets_[bucket(slot)];
    while (*link != &slot) link = &(*link)->chain;
    *link = slot.chain;
    slot.chain = nullptr;
    slot.indexed = false;
    --count_;
  }

  /// The newest delivery of that id.
  [[nodiscard]] Slot* find(const Envelope::IdQuery& id) const noexcept {
    Slot* newest = nullptr;
    for (Slot* s = buckets_[id.hash() & (buckets_.size() - 1)]; s != nullptr; s = s->chain) {
      if ((newest == nullptr || s->generation > newest->generation) && s->message->id_is(id)) newest = s;
    }
    return newest;
  }

 private:
  [[nodiscard]] std::size_t bucket(const Slot& slot) const noexcept {
    return slot.message->id_hash() & (buckets_.size() - 1);
  }
  void link(Slot& slot) noexcept {
    Slot*& head = buckets_[bucket(slot)];
    slot.chain = head;
    head = &slot;
  }
  void resize(std::size_t wanted) {
    std::size_t size = 64;
    while (size < wanted) size *= 2;
    buckets_.assign(size, nullptr);
  }
  void grow() noexcept {
    std::vector<Slot*> old(std::move(buckets_));
    try {
      resize(old.size() * 2);
    } catch (const std::bad_alloc&) {  // longer chains, then
      buckets_ = std::move(old);
      return;
    }
    for (Slot* s : old) {
      while (s != nullptr) {
        Slot* next = s->chain;
        link(*s);
        s = next;
      }
    }
  }

  std::vector<Slot*> buckets_;
  std::size_t count_ = 0;
};

}  // namespace lrpc::queue::memory
