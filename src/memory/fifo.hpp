// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <lrpc/queue/envelope.hpp>

namespace lrpc::queue::memory {

/// The published messages that nobody has been handed yet: an unbounded queue of pointers in segments, for one
/// producer at a time (the holder of the topic's lock) and one consumer at a time (the holder of the channel's lock),
/// which do not exclude each other. Segments start small, so that a million tiny channels stay cheap, and are freed as
/// they are emptied.
class Fifo {
 public:
  Fifo() = default;
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;
  ~Fifo() {
    // The owner has taken all messages out.
    if (head_ == nullptr) head_ = first_.load(std::memory_order_relaxed);
    while (head_ != nullptr) {
      Segment* next = head_->next.load(std::memory_order_relaxed);
      free_segment(head_);
      head_ = next;
    }
  }

  /// Messages pushed so far. Reading it acquires what was pushed.
  [[nodiscard]] std::uint64_t pushed() const noexcept { return pushed_.load(std::memory_order_acquire); }
  /// Messages popped so far; for the consumer.
  [[nodiscard]] std::uint64_t popped() const noexcept { return popped_; }
  [[nodiscard]] bool empty() const noexcept { return pushed() == popped_; }

  /// Producer. Makes room for the next `n` pushes, so that they cannot fail; throws std::bad_alloc.
  void reserve(std::size_t n) {
    if (tail_ == nullptr) {
      tail_ = new_segment(n > kFirst ? kLargest : kFirst);
      first_.store(tail_, std::memory_order_release);
    }
    std::size_t room = tail_->capacity - tail_used_;
    Segment* last = tail_;
    while (last->next.load(std::memory_order_relaxed) != nullptr) {
      last = last->next.load(std::memory_order_relaxed);
      room += last->capacity;
    }
    while (room < n) {
      const std::size_t wanted = last->capacity * 4 < kLargest ? last->capacity * 4 : kLargest;
      Segment* segment = new_segment(wanted);
      last->next.store(segment, std::memory_order_release);
      last = segment;
      room += wanted;
    }
  }

  /// Producer, after reserve. Takes over the caller's references. Not visible before `commit`.
  void push(Envelope* message) noexcept {
    if (tail_used_ == tail_->capacity) {
      tail_ = tail_->next.load(std::memory_order_relaxed);
      tail_used_ = 0;
    }
    tail_->items()[tail_used_++] = message;
    ++uncommitted_;
  }

  /// Producer. Shows what was pushed to the consumer.
  void commit() noexcept {
    pushed_.store(pushed_.load(std::memory_order_relaxed) + uncommitted_, std::memory_order_release);
    uncommitted_ = 0;
  }

  /// Consumer, when not empty.
  Envelope* pop() noexcept {
    if (head_ == nullptr) head_ = first_.load(std::memory_order_acquire);
    if (head_used_ == head_->capacity) {
      Segment* next = head_->next.load(std::memory_order_acquire);
      free_segment(head_);
      head_ = next;
      head_used_ = 0;
    }
    ++popped_;
    return head_->items()[head_used_++];
  }

 private:
  static constexpr std::size_t kFirst = 14;     // with the header and malloc's: 144 bytes
  static constexpr std::size_t kLargest = 510;  // 4 KiB

  struct Segment {
    std::atomic<Segment*> next{nullptr};
    std::size_t capacity = 0;
    Envelope** items() noexcept { return reinterpret_cast<Envelope**>(this + 1); }
  };

  static Segment* new_segment(std::size_t capacity) {
    auto* segment = new (::operator new(sizeof(Segment) + capacity * sizeof(Envelope*))) Segment;
    segment->capacity = capacity;
    return segment;
  }
  static void free_segment(Segment* segment) noexcept {
    segment->~Segment();
    ::operator delete(segment);
  }

  // Producer's side.
  Segment* tail_ = nullptr;
  std::size_t tail_used_ = 0;
  std::uint64_t uncommitted_ = 0;
  std::atomic<Segment*> first_{nullptr};  // hands the first segment over to the consumer
  alignas(64) std::atomic<std::uint64_t> pushed_{0};
  // Consumer's side.
  alignas(64) Segment* head_ = nullptr;
  std::size_t head_used_ = 0;
  std::uint64_t popped_ = 0;
};

}  // namespace lrpc::queue::memory
