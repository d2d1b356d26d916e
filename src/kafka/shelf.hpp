// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "kafka/commit_note.hpp"
#include "kafka/progress.hpp"
#include "kafka/record.hpp"
#include "kafka/retry_index.hpp"

namespace lrpc::queue::kafka {

/// What a channel holds of the partitions that are assigned to it: messages that are ready, handed out or waiting for
/// their time, and how far each partition is settled. Bookkeeping without lock, clock or I/O.
///
/// A tag is a slot and a generation that no two deliveries share. A partition that is revoked is suspended: nothing of
/// it is handed out, what is out can still be settled. When it is assigned again and the commit that the broker kept is
/// ours, nobody else can have handed anything out (whoever takes over commits before the first hand-over, D6), and all
/// goes on as it was; else what is here of it is forgotten, and late settlements find nothing (D10).
class Shelf {
 public:
  /// `owner`: what our commits are known by.
  explicit Shelf(std::uint64_t owner, RetryIndex waiting = RetryIndex())
      : owner_(owner), waiting_(std::move(waiting)) {}

  // Partitions.

  /// Where the group stands in a partition.
  struct Committed {
    std::int64_t offset = 0;
    std::optional<CommitNote> note{};  ///< Empty: none of ours.
  };
  /// The offsets that a partition holds: from `low` to before `high`.
  struct Log {
    std::int64_t low = 0;
    std::int64_t high = 0;
  };
  /// Where to read on.
  struct Start {
    std::int64_t offset = 0;
    std::int64_t lost = 0;  ///< So many that nobody had settled are not in the log any more: retention took them (D1).
    bool anew = false;      ///< The log ends before: it was cut off or made anew. What was here of it is forgotten.
  };
  /// The partition is ours. Without a commit it is read from its start. What a note claims beyond the log's end is
  /// none.
  Start assign(PartitionKey key, const std::optional<Committed>& committed, Log log);
  /// What was to be read next of a partition of ours is not in the log.
  Start relocate(PartitionKey key, Log log);
  void suspend(PartitionKey key);
  /// Forgets what is suspended: others have it now.
  void forget_suspended();

  /// What to commit of a partition.
  struct Commit {
    PartitionKey key{};
    std::int64_t offset = 0;
    NoteText note{};
    std::uint64_t assignment = 0;  ///< Which one it belongs to.
    std::int64_t handed_out = 0;   ///< Hand-overs since then that it tells of.
  };
  /// Of the partitions that changed since the last time; of all that are ours with `all`.
  [[nodiscard]] std::vector<Commit> to_commit(bool all);
  /// The broker has it, or could not be told. What an earlier assignment told does not count for the present one.
  void committed(const Commit& commit, bool stored);
  /// The broker takes no note of that length: the next ones are shorter. False: none shorter makes sense.
  bool shorten_notes();

  // Reading.

  /// Takes a record in, at wall time `now_ms`. An early one of the topic itself is to be copied to the retry topic:
  /// see `begin_early`.
  void ingest(Place place, ReadRecord record, std::int64_t now_ms);
  /// Takes in a record that we wrote to a partition of ours ourselves, before it is read: its copy is passed over then.
  /// Nothing happens where it was read already, or where the partition is not ours.
  void foresee(Place place, ReadRecord record, std::int64_t now_ms);
  /// The waiting ones whose time has come are ready. Those whose record was let go are returned: they are to be read
  /// again and given to `refill` or `gone`, which find nothing when the place was settled or forgotten meanwhile.
  [[nodiscard]] std::vector<Place> mature(std::int64_t now_ms);
  void refill(Place place, ReadRecord record);
  [[nodiscard]] bool is_away(Place place) const;
  /// A place that was to be read again is gone (retention): settled.
  void gone(Place place);
  /// When the next waiting one is due, on the wall clock; kNever when none waits.
  [[nodiscard]] std::int64_t next_due_ms() const { return waiting_.next_due_ms(); }

  /// A record that is to be written to the retry topic and then settled by `end_move`.
  struct Moving {
    DeliveryTag tag{};
    EnvelopePtr message{};
    Place from{};
    std::int64_t attempts = 0;  ///< Deliveries so far.
    std::int64_t due_ms = 0;
  };
  /// Up to `most` of the early ones of the topic.
  [[nodiscard]] std::vector<Moving> begin_early(std::size_t most);
  /// Whether something waits that is to be moved: early ones, or old ones of the retry topic that are in the way.
  [[nodiscard]] bool has_moves() const;
  /// Up to `most` of the oldest waiting ones of a partition whose note found no room, or of those due last when the
  /// index is full and there is more to read: written anew at the tail they pin nothing (contract section 7). Those
  /// without a record are to be read again; their `deliveries` go with the copy. For a full index this goes on until
  /// all that was there before the first copy is read: then the index has what is due first, and nothing is read or
  /// written anew until half of it is gone.
  [[nodiscard]] std::vector<RetryIndex::Waiting> begin_rewrite(std::size_t most);
  /// One of them has a copy at `offset` of a retry partition.
  void rewritten(std::int32_t partition, std::int64_t offset);
  /// They were written anew, or are gone; else they wait as before.
  void end_rewrite(std::vector<RetryIndex::Waiting> taken, bool written);

  // Handing out.

  /// Hands out what is ready. `until`: the tick at which the leases end, kForever for those that go on by themselves.
  std::size_t hand_out(std::span<Delivery> out, std::int64_t until);
  /// Whether a delivery handed out just now must be committed before its consumer sees it (D6): the first `most`
  /// hand-overs of each partition after its assignment.
  [[nodiscard]] bool needs_commit(std::int64_t most) const;
  /// Takes back what must not be seen, as if it had never been handed out: the commit failed.
  void take_back(std::span<const Delivery> deliveries);
  /// Those whose lease ended by `tick` are ready again, in front.
  void expire(std::int64_t tick);
  [[nodiscard]] std::int64_t next_expiry();
  /// How many that next handed out are not settled.
  [[nodiscard]] std::int64_t leased() const noexcept { return leased_; }

  // Settling. A tag that is not in flight here finds nothing.

  [[nodiscard]] const EnvelopePtr* find(const DeliveryTag& tag) const;
  /// The newest delivery of that id. The first call makes an index, which from then on is kept.
  [[nodiscard]] std::optional<DeliveryTag> find(std::string_view id);
  bool settle(const DeliveryTag& tag);
  bool touch(const DeliveryTag& tag, std::int64_t until);
  /// The same, and of one that went on by itself, too: from now on it has a lease.
  void give_lease(const DeliveryTag& tag, std::int64_t until);
  /// Whether it is in flight here and its partition is ours at present.
  [[nodiscard]] bool is_ours(const DeliveryTag& tag) const;
  bool give_back(const DeliveryTag& tag, bool count_attempt);
  /// The new delivery's tag; empty when it is not in flight.
  std::optional<DeliveryTag> keep(const DeliveryTag& tag, bool count_attempt);
  /// Takes it out of everybody's reach while its copy is written; `end_move` settles it, or puts it back where it was.
  std::optional<Moving> begin_move(const DeliveryTag& tag);
  void end_move(const DeliveryTag& tag, bool moved);
  /// Gives everything that is out back, its attempt counted.
  void give_all_back();
  /// Settles all of ours that is ready, waits, or is being read again. Returns how many.
  std::int64_t drop_all();
  /// Settles what has not been read of a partition of ours and lies before `end`; not what was foreseen. Returns how
  /// many.
  std::int64_t skip_to(PartitionKey key, std::int64_t end);

  // Figures.

  [[nodiscard]] std::int64_t ready() const noexcept { return static_cast<std::int64_t>(ready_.size()); }
  [[nodiscard]] std::int64_t out() const noexcept { return out_; }
  [[nodiscard]] std::size_t ready_bytes() const noexcept { return ready_bytes_; }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size() + early_.size(); }
  /// Whether no more may be read of the retry topic; `unread` tells the shelf that there is more.
  [[nodiscard]] bool index_is_full() const;
  void set_unread(bool unread);
  /// A retry partition of ours of which enough is settled, and the broker knows it, to delete what lies before.
  struct Finished {
    std::int32_t partition = 0;
    std::int64_t offset = 0;
  };
  static constexpr std::int64_t kEnoughFinished = 1000;
  [[nodiscard]] std::vector<Finished> finished() const;
  void trimmed(const Finished& finished);
  /// What is here, by where it came from.
  struct Counts {
    std::int64_t ready_of_retry = 0;
    std::int64_t out_of_topic = 0;
    std::int64_t out_of_retry = 0;
    std::int64_t early = 0;
  };
  [[nodiscard]] Counts counts() const;
  /// Grows with every beginning and end of a move; who counts counts again then, for a moved message is in two places
  /// for a moment.
  [[nodiscard]] std::uint64_t moves() const noexcept { return moves_; }
  [[nodiscard]] bool moving() const noexcept { return moving_ > 0; }
  /// The partitions that are ours.
  [[nodiscard]] std::vector<PartitionKey> owned() const;
  /// How many in the log of a partition of ours are not settled.
  [[nodiscard]] std::int64_t unfinished(PartitionKey key, Log log) const;
  [[nodiscard]] bool owns(PartitionKey key) const;
  /// One past what was read of a partition that is ours.
  [[nodiscard]] std::int64_t read_to(PartitionKey key) const { return partitions_.at(key).progress.end(); }

  static constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = std::numeric_limits<Index>::max();
  enum class State : std::uint8_t { free, ready, out, early, moving };

  struct Partition {
    Progress progress{0};
    std::unordered_map<std::int64_t, std::int64_t> carried{};  // deliveries before us of what has no slot yet
    std::unordered_set<std::int64_t> away{};                   // waiting ones that the mover has in hand
    std::uint64_t assignment = 0;                              // its number
    std::int64_t handed_out = 0;                               // since then
    std::int64_t told = 0;                                     // of these, what the broker knows of
    std::vector<Index> parked{};                               // of a suspended one: what is ready or early
    std::vector<RetryIndex::Waiting> parked_waiting{};         // and what waits
    std::int64_t stored = 0;                                   // what the broker has as committed
    std::int64_t trimmed = 0;                                  // the log begins here or later
    std::optional<std::int64_t> first_copy{};                  // of what was written anew since the index was full
    bool copying = false;                                      // because of that
    bool suspended = false;
    bool dirty = true;  // the broker does not know all yet
    bool full = false;  // its note found no room
  };
  struct Slot {
    EnvelopePtr message{};
    std::shared_ptr<const std::string> malformed{};
    Place place{};
    std::int64_t base = 0;        // deliveries before its record was made
    std::int64_t deliveries = 0;  // of its record
    std::uint64_t generation = 0;
    std::int64_t until = kForever;  // the lease's end; of an early one, when it is due
    Index next_of_id = kNone;
    State state = State::free;
    State before = State::free;  // of one that is being moved
    bool lease_expired = false;
    [[nodiscard]] std::int64_t attempts() const noexcept { return base + deliveries; }
  };
  struct Lease {
    std::int64_t until = 0;
    Index slot = 0;
    std::uint64_t generation = 0;
    friend bool operator>(const Lease& a, const Lease& b) { return a.until > b.until; }
  };

  Index take_slot();
  void free_slot(Index index);
  void make_ready(Index index, bool in_front);
  void take_in(Place place, ReadRecord record, std::int64_t now_ms);
  Index add(Place place, ReadRecord record, State state);
  void settle_place(Place place);
  bool came_back(Place place);
  [[nodiscard]] bool overflows(const Partition& partition) const;
  void leave_out(Slot& slot);
  void index_by_id();
  void enter_by_id(Index index);
  void leave_by_id(Index index);
  [[nodiscard]] const Slot* in_flight(const DeliveryTag& tag) const;
  [[nodiscard]] Slot* in_flight(const DeliveryTag& tag);
  void resume(Partition& partition);
  Start begin(PartitionKey key, const Committed& committed, Log log);
  void forget(PartitionKey key);
  [[nodiscard]] DeliveryTag tag_of(Index index) const;
  [[nodiscard]] static Index index_of(const DeliveryTag& tag) noexcept { return static_cast<Index>(tag.slot); }

  std::uint64_t owner_;
  std::map<PartitionKey, Partition> partitions_;
  std::vector<Slot> slots_;
  std::vector<Index> free_;
  std::deque<Index> ready_;
  std::deque<Index> early_;
  RetryIndex waiting_;
  std::priority_queue<Lease, std::vector<Lease>, std::greater<>> leases_;
  bool indexed_ = false;      // by id
  std::vector<Index> by_id_;  // buckets: the newest slot of each hash, chained by next_of_id
  std::uint64_t last_generation_ = 0;
  std::uint64_t last_assignment_ = 0;
  std::size_t most_metadata_ = kMostMetadata;
  std::size_t ready_bytes_ = 0;
  bool unread_ = false;
  std::uint64_t moves_ = 0;
  std::size_t moving_ = 0;
  std::int64_t out_ = 0;
  std::int64_t leased_ = 0;
};

}  // namespace lrpc::queue::kafka
