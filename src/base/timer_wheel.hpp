// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

namespace lrpc::queue::detail {

/// A link of an intrusive circular list.
struct ListNode {
  ListNode* prev = nullptr;
  ListNode* next = nullptr;

  [[nodiscard]] bool linked() const noexcept { return next != nullptr; }
  void insert_before(ListNode& position) noexcept {
    prev = position.prev;
    next = &position;
    prev->next = this;
    position.prev = this;
  }
  void unlink() noexcept {
    prev->next = next;
    next->prev = prev;
    prev = next = nullptr;
  }
};

/// The head of an intrusive list.
class List {
 public:
  List() noexcept { head_.prev = head_.next = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() = default;

  [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }
  [[nodiscard]] ListNode* front() noexcept { return empty() ? nullptr : head_.next; }
  [[nodiscard]] const ListNode* front() const noexcept { return empty() ? nullptr : head_.next; }
  [[nodiscard]] ListNode* back() noexcept { return empty() ? nullptr : head_.prev; }
  [[nodiscard]] ListNode& end() noexcept { return head_; }
  void push_back(ListNode& node) noexcept { node.insert_before(head_); }
  /// Moves all of `other` to the end of this list.
  void splice_back(List& other) noexcept {
    if (other.empty()) return;
    ListNode* first = other.head_.next;
    ListNode* last = other.head_.prev;
    first->prev = head_.prev;
    head_.prev->next = first;
    last->next = &head_;
    head_.prev = last;
    other.head_.prev = other.head_.next = &other.head_;
  }

 private:
  ListNode head_;
};

/// Something that waits for a time.
struct TimerNode : ListNode {
  std::int64_t due = 0;
};

/// Millisecond timers as a hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels",
/// 1987): adding and removing cost the same whatever number waits. Twelve levels of sixteen slots cover 8,900 years; a
/// level's memory is allocated when first used. Nodes come out in the order of their due times, those of one
/// millisecond in the order they were added. No clock, no lock: the caller brings both.
class TimerWheel {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  TimerWheel() = default;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel() = default;

  /// Allocates what inserting at `due` needs, so that it cannot throw std::bad_alloc then. Cascading never allocates.
  void reserve(std::int64_t due, std::int64_t now) {
    if (count_ == 0 && now > current_) current_ = now;
    const std::size_t top = level_of(due);
    if (levels_[top]) return;  // and then those below it, too
    for (std::size_t level = 0; level <= top; ++level) {
      if (!levels_[level]) levels_[level] = std::make_unique<Level>();
    }
  }

  /// Adds an unlinked node that becomes due at `due`; a due time that has passed means the next `advance`. `now` is
  /// the present: an empty wheel turns to it, so that the node does not lie on a needlessly high level.
  void insert(TimerNode& node, std::int64_t due, std::int64_t now) {
    reserve(due, now);
    node.due = due;
    place(node);
    ++count_;
    if (due < next_event_) next_event_ = due;
  }

  /// Takes a waiting node out.
  void remove(TimerNode& node) noexcept {
    node.unlink();
    --count_;
    // The slot's bit stays until the slot is visited: at worst one advance finds nothing to do.
    if (count_ == 0) next_event_ = kNever;
  }

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  /// No node is due before this time; kNever when nothing waits.
  [[nodiscard]] std::int64_t next_event() const noexcept { return next_event_; }

  /// Calls `on_due(TimerNode&)` for every node due at or before `now`, each unlinked before. `on_due` may add nodes.
  template <class F>
  void advance(std::int64_t now, F&& on_due) {
    if (now < next_event_) return;
    for (;;) {
      const std::int64_t at = find_event();
      if (at > now) {
        // Nothing lies between here and `at`, so the wheel may turn on.
        if (now > current_) move_to(now);
        next_event_ = count_ == 0 ? kNever : at;
        return;
      }
      if (at > current_) move_to(at);
      if (!levels_[0]) continue;
      List due;
      Level& level = *levels_[0];
      const std::size_t slot = index(current_, 0);
      level.bits = static_cast<std::uint16_t>(level.bits & ~(1U << slot));
      due.splice_back(level.slots[slot]);
      while (ListNode* node = due.front()) {
        node->unlink();
        --count_;
        on_due(static_cast<TimerNode&>(*node));
      }
      // What on_due added for this very millisecond stays in the slot and is found by the next round.
    }
  }

  /// Gives the memory of the levels back. Only when nothing waits.
  void shrink() noexcept {
    for (auto& level : levels_) level.reset();
    next_event_ = kNever;
  }

 private:
  static constexpr unsigned kBits = 4;
  static constexpr std::size_t kSlots = 1U << kBits;
  static constexpr std::size_t kLevels = 12;

  struct Level {
    std::uint16_t bits = 0;  // slots that may hold nodes
    std::array<List, kSlots> slots;
  };

  static std::size_t index(std::int64_t time, std::size_t level) noexcept {
    return static_cast<std::size_t>(time >> (kBits * level)) & (kSlots - 1);
  }

  // A node lies on the level of the highest digit in which its due time differs from the present: it cascades down
  // when the present reaches that digit.
  [[nodiscard]] std::size_t level_of(std::int64_t due) const noexcept {
    if (due <= current_) return 0;
    const auto differing = static_cast<std::uint64_t>(due ^ current_);
    if (differing < kSlots) return 0;
    const auto level = static_cast<std::size_t>(63 - __builtin_clzll(differing)) / kBits;
    return level < kLevels ? level : kLevels - 1;
  }
  void place(TimerNode& node) noexcept {
    const std::int64_t due = node.due > current_ ? node.due : current_;
    const std::size_t level = level_of(due);
    const std::size_t slot = index(due, level);
    levels_[level]->bits = static_cast<std::uint16_t>(levels_[level]->bits | (1U << slot));
    levels_[level]->slots[slot].push_back(node);
  }

  // The start of the first slot that may hold nodes: lower levels lie before higher ones.
  [[nodiscard]] std::int64_t find_event() const noexcept {
    for (std::size_t level = 0; level < kLevels; ++level) {
      if (!levels_[level]) continue;
      const std::size_t from = index(current_, level) + (level == 0 ? 0 : 1);
      const unsigned ahead = from >= kSlots ? 0U : levels_[level]->bits & (0xffffU << from);
      if (ahead == 0) continue;
      const auto slot = static_cast<std::int64_t>(__builtin_ctz(ahead));
      const unsigned shift = kBits * static_cast<unsigned>(level);
      const std::int64_t block = (current_ >> (shift + kBits)) << (shift + kBits);
      return block + (slot << shift);
    }
    return kNever;
  }

  // Turns to `time` (after current_, at most the next event) and cascades the slots that begin there.
  void move_to(std::int64_t time) {
    current_ = time;
    for (std::size_t level = kLevels - 1; level > 0; --level) {
      if (!levels_[level] || (time & ((std::int64_t{1} << (kBits * level)) - 1)) != 0) continue;
      Level& from = *levels_[level];
      const std::size_t slot = index(time, level);
      if ((from.bits & (1U << slot)) == 0) continue;
      from.bits = static_cast<std::uint16_t>(from.bits & ~(1U << slot));
      List moving;
      moving.splice_back(from.slots[slot]);
      while (ListNode* node = moving.front()) {
        node->unlink();
        place(static_cast<TimerNode&>(*node));
      }
    }
  }

  std::int64_t current_ = 0;  // every millisecond before it has been handled, and it itself unless added to since
  std::int64_t next_event_ = kNever;
  std::size_t count_ = 0;
  std::array<std::unique_ptr<Level>, kLevels> levels_{};
};

}  // namespace lrpc::queue::detail
