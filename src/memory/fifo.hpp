// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
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
  /// Consumer. Messages that can be popped now; looks at the producer's counter, which costs a cache miss, only where
  /// those it knows of are fewer than `wanted`.
  [[nodiscard]] std::size_t available(std::size_t wanted) noexcept {
    if (seen_ < popped_ + wanted) seen_ = pushed();
    return seen_ - popped_;
  }

  /// Producer. Makes room for the next `n` pushes, so that they cannot fail; throws std::bad_alloc.
  void reserve(std::size_t n) {
    if (tail_ == nullptr || tail_->capacity - tail_used_ < n) grow(n);
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
  struct Segment {
    std::atomic<Segment*> next{nullptr};
    std::size_t capacity = 0;
    Envelope** items() noexcept { return reinterpret_cast<Envelope**>(this + 1); }
  };
  static constexpr std::size_t kFirst = (128 - sizeof(Segment)) / sizeof(Envelope*);
  static constexpr std::size_t kLargest = (detail::kLargestBlock - sizeof(Segment)) / sizeof(Envelope*);

  void grow(std::size_t n) {
    if (tail_ == nullptr) {
      tail_ = new_segment(n > kFirst ? kLargest : kFirst);
      first_.store(tail_, std::memory_order_release);
    }
    std::size_t room = tail_->capacity - tail_used_;
    Segment* last = tail_;
    while (Segment* next = last->next.load(std::memory_order_relaxed)) {
      last = next;
      room += last->capacity;
    }
    while (room < n) {
      Segment* segment = new_segment(std::min(last->capacity * 4, kLargest));
      last->next.store(segment, std::memory_order_release);
      last = segment;
      room += segment->capacity;
    }
  }

  static std::size_t bytes_of(std::size_t capacity) noexcept { return sizeof(Segment) + capacity * sizeof(Envelope*); }
  static Segment* new_segment(std::size_t capacity) {
    auto* segment = new (detail::allocate_block(bytes_of(capacity))) Segment;
    segment->capacity = capacity;
    return segment;
  }
  static void free_segment(Segment* segment) noexcept {
    const std::size_t bytes = bytes_of(segment->capacity);
    segment->~Segment();
    detail::free_block(segment, bytes);
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
  std::uint64_t seen_ = 0;  // what `pushed_` was when last looked at
};

}  // namespace lrpc::queue::memory
