// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "machine.hpp"

namespace lrpc::queue::simulation {

/// Where a message stands in a channel. `line`: given back, retried, due or requeued; `lapsed`: in line because its
/// lease ran out, and still its consumer's to settle until it is handed out again (D9).
enum class Stand : std::uint8_t { none, fifo, line, in_flight, lapsed, delayed, dead, gone };
enum class MemoryEvent : std::uint8_t {
  publish,
  publish_later,
  hand_out,
  ack,
  retry,
  retry_later,
  give_back,
  keep,
  bury,
  drop,
  expire,
  due,
  touch,
  drop_oldest,
  drop_all,
  requeue,
  purge,
  beyond_limit,
  close,
  delete_channel
};

extern Coverage memory_coverage;

/// A channel in plain lists.
class ChannelModel {
 public:
  struct Entry {
    int number = 0;  ///< Of the message.
    int attempts = 0;
    std::uint64_t order = 0;  ///< How many the first line had handed out before it.
    Stand stand = Stand::fifo;
    std::int64_t due = 0;        ///< Of a delayed one.
    std::int64_t lease_end = 0;  ///< Of one in flight that nobody renews.
    bool renewed = false;
    bool lease_expired = false;
    std::uint64_t hand_over = 0;  ///< 0 = nobody may settle it.
    std::uint64_t waits_since = 0;
    std::int64_t expires_at = 0;
    std::int64_t enqueued_at_ms = 0;
  };
  struct Dead {
    std::uint64_t place = 0;
    Entry entry{};
    DeadReason reason = DeadReason::max_retries;
    std::string error{};
    int attempts = 0;
    std::int64_t last_at_ms = 0;
  };

  void publish(const Entry& entry);
  void publish_later(Entry entry, std::int64_t due);
  void run_timers(std::int64_t tick);
  /// What is handed out next; null when nothing is ready. `number`: of which message the channel says it is: where
  /// several have the same place in line, any may come first.
  Entry* take(int number, bool renewed, std::int64_t lease_end);
  /// What may still be settled by that hand-over.
  Entry* held(std::uint64_t id, std::uint64_t hand_over);
  void remove(std::uint64_t id, MemoryEvent why);
  void retry(std::uint64_t id, bool count_attempt, std::int64_t due, std::int64_t tick);
  void give_back(std::uint64_t id, bool count_attempt, MemoryEvent why = MemoryEvent::give_back);
  void keep(std::uint64_t id, bool count_attempt, std::int64_t lease_end);
  void bury(std::uint64_t id, const Settlement& settlement, std::int64_t wall_ms, std::int64_t limit);
  void renew(std::uint64_t id, std::int64_t lease_end);
  void give_back_all();
  std::int64_t drop_ready(std::int64_t count, MemoryEvent why);
  std::int64_t drop_all();
  void clear();
  /// Returns how many.
  std::int64_t requeue(const std::vector<int>& numbers, bool all, std::int64_t wall_ms, Duration fresh_ttl);
  std::int64_t purge();

  [[nodiscard]] std::int64_t count(Stand stand) const;
  [[nodiscard]] std::int64_t ready() const { return depth() - count(Stand::in_flight) - count(Stand::delayed); }
  [[nodiscard]] std::int64_t depth() const { return static_cast<std::int64_t>(entries.size()); }
  [[nodiscard]] std::int64_t unrenewed() const;
  [[nodiscard]] bool has_ready() const { return !front_.empty() || !behind_.empty() || !fifo_.empty(); }
  /// Whether several have the same place at the front of the line.
  [[nodiscard]] bool has_ties() const;
  [[nodiscard]] std::uint64_t id_of(const Entry& entry) const;

  std::map<std::uint64_t, Entry> entries;
  std::deque<Dead> dead;
  std::int64_t dropped = 0;
  std::uint64_t hand_overs = 0;

 private:
  std::optional<std::uint64_t> next(int number);
  void line_up_behind(std::uint64_t id);
  void line_up_in_front(std::uint64_t id);
  void leave_line(std::uint64_t id);
  void detach(std::uint64_t id);
  void count_event(Stand from, MemoryEvent event, Stand to) const { memory_coverage.count(from, event, to); }

  std::deque<std::uint64_t> fifo_;
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
  std::deque<std::uint64_t> front_;
  std::deque<std::uint64_t> behind_;
  std::uint64_t last_id_ = 0;
  std::uint64_t last_wait_ = 0;
  std::uint64_t last_dead_ = 0;
};

}  // namespace lrpc::queue::simulation
