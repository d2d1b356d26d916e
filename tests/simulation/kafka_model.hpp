// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kafka/shelf.hpp"
#include "machine.hpp"

namespace lrpc::queue::simulation {

using kafka::CommitNote;
using kafka::Lane;
using kafka::OffsetRange;
using kafka::PartitionKey;
using kafka::Place;
using kafka::Shelf;

/// What lies at an offset of a model log.
struct LogRecord {
  int number = 0;             ///< Of the record, unlike any other's.
  int message = 0;            ///< Whose copy it is.
  std::int64_t attempts = 0;  ///< Deliveries before it was made.
  std::optional<std::int64_t> due_ms{};
  bool mark = false;  ///< Of a transaction: nobody gets it.
};

/// Where a record stands for one consumer.
enum class At : std::uint8_t { unread, ready, out, early, waiting, away, moving, settled };
enum class ShelfEvent : std::uint8_t {
  ingest,
  foresee,
  pass,
  mature,
  refill,
  gone,
  hand_out,
  take_back,
  give_back,
  expire,
  keep,
  settle,
  begin_move,
  moved,
  not_moved,
  begin_rewrite,
  rewritten,
  not_rewritten,
  drop,
  skip,
  forget
};
/// Where a partition stands for one consumer.
enum class Part : std::uint8_t { none, ours, suspended };
enum class PartEvent : std::uint8_t { assign, resume, begin_anew, suspend, forget, relocate, crash };

extern Coverage shelf_coverage;
extern Coverage partition_coverage;

inline void note_event(At from, ShelfEvent event, At to) { shelf_coverage.count(from, event, to); }
inline void note_event(Part from, PartEvent event, Part to) { partition_coverage.count(from, event, to); }

/// What a shelf should hold, in the plainest form: an entry an offset.
class ShelfModel {
 public:
  ShelfModel(std::size_t most_entries, std::size_t most_kept) : most_entries_(most_entries), most_kept_(most_kept) {}

  struct Item {
    At at = At::ready;
    At before = At::ready;  ///< Of one that is being moved.
    LogRecord record{};
    std::int64_t until = Shelf::kForever;
    std::uint64_t hand_over = 0;  ///< Which one it is out by.
    bool lease_expired = false;
    bool kept = false;  ///< Of a waiting one: its body is here.
  };
  struct Partition {
    std::vector<bool> settled{};
    std::int64_t start = 0;
    std::int64_t end = 0;
    std::set<std::int64_t> foreseen{};
    std::map<std::int64_t, Item> items{};
    std::map<std::int64_t, std::int64_t> deliveries{};
    std::uint64_t assignment = 0;
    std::int64_t handed_out = 0;
    std::int64_t told = 0;
    std::int64_t stored = 0;
    std::int64_t trimmed = 0;
    std::optional<std::int64_t> first_copy{};
    bool copying = false;
    bool full = false;
    bool suspended = false;
    std::int64_t last_watermark = 0;                                ///< Of the last commit of this assignment.
    std::optional<std::pair<std::int64_t, CommitNote>> told_all{};  ///< What the broker is known to have.

    [[nodiscard]] bool is_settled(std::int64_t offset) const {
      return offset < start ||
             (offset < static_cast<std::int64_t>(settled.size()) && settled[static_cast<std::size_t>(offset)]);
    }
    [[nodiscard]] std::int64_t watermark() const {
      std::int64_t offset = start;
      while (is_settled(offset)) ++offset;
      return offset;
    }
    [[nodiscard]] CommitNote note(std::uint64_t owner) const;
  };

  // What happens. Each is what the shelf's own should do.
  Shelf::Start assign(PartitionKey key, const std::optional<Shelf::Committed>& committed, Shelf::Log log,
                      std::uint64_t owner);
  Shelf::Start relocate(PartitionKey key, Shelf::Log log);
  void suspend(PartitionKey key);
  void forget_suspended();
  void ingest(Place place, const LogRecord& record, std::int64_t now_ms);
  void foresee(Place place, const LogRecord& record, std::int64_t now_ms);
  std::vector<Place> mature(std::int64_t now_ms);
  void came_back(Place place, bool gone);
  std::vector<Place> hand_out(std::size_t most, std::int64_t until);
  void expire(std::int64_t tick);
  void settle(Place place, ShelfEvent why);
  void give_back(Place place, bool count_attempt, ShelfEvent why);
  void keep(Place place, bool count_attempt);
  std::vector<Place> begin_early(std::size_t most);
  void begin_move(Place place);
  void end_move(Place place, bool moved);
  std::vector<Place> begin_rewrite(std::size_t most);
  void rewritten(std::int32_t partition, std::int64_t offset);
  /// Returns whether the mover still had it in hand.
  bool end_rewrite(Place place, bool written);
  void set_unread(bool unread);
  std::vector<Place> drop_all();
  std::int64_t skip_to(PartitionKey key, std::int64_t end);
  void give_all_back();
  void crash();

  // What is so.
  [[nodiscard]] Item* find(Place place);
  /// The item that this hand-over put out and that is still out by it.
  [[nodiscard]] Item* in_flight(Place place, std::uint64_t hand_over);
  [[nodiscard]] bool owns(PartitionKey key) const;
  [[nodiscard]] bool needs_commit(std::int64_t most) const;
  [[nodiscard]] bool overflows(const Partition& partition) const;
  [[nodiscard]] bool index_is_full() const;
  [[nodiscard]] bool has_moves() const;
  [[nodiscard]] std::int64_t next_expiry() const;
  /// Compares all figures with the shelf's.
  void compare(Shelf& shelf) const;

  std::map<PartitionKey, Partition> partitions;
  std::deque<Place> ready;
  std::deque<Place> early;
  std::map<std::pair<std::int64_t, Place>, bool> waiting;  ///< By due time; whether the body is kept.
  std::uint64_t hand_overs = 0;

 private:
  Shelf::Start begin(PartitionKey key, const Shelf::Committed& committed, Shelf::Log log);
  void take_in(Place place, const LogRecord& record, std::int64_t now_ms, ShelfEvent why);
  void mark_settled(Partition& partition, std::int64_t offset);
  void make_ready(Place place, Item& item, bool in_front);
  void wait(Place place, Item& item);
  void forget(PartitionKey key);
  std::int64_t pass(Partition& partition, std::int64_t end, ShelfEvent why);
  void after_settling(Partition& partition);

  std::size_t most_entries_;
  std::size_t most_kept_;
  std::size_t kept_ = 0;
  bool unread_ = false;
  std::uint64_t last_assignment_ = 0;
};

[[nodiscard]] std::string text_of(Place place);

}  // namespace lrpc::queue::simulation
