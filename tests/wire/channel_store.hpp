// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/clock.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue::wire {

using Frame = std::shared_ptr<const Bytes>;
using SessionId = std::uint64_t;

/// The content of one channel (or of a topic's backlog) on the server: entries that are ready, delayed or in flight,
/// and dead letters. It looks into a frame only to requeue it. Free of locks and of time: the clock's reading is passed
/// in.
class ChannelStore {
 public:
  /// No time: nothing will become ready by itself.
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  /// One delivery as handed to a client.
  struct Handed {
    DeliveryTag tag{};
    int deliveries = 0;          ///< Of this entry, this one included.
    SessionId expired_from = 0;  ///< Whose lease on the entry ran out; 0 = nobody's.
    Frame frame{};
  };
  struct Dead {
    std::string id{};
    std::uint64_t slot = 0;
    Frame frame{};
    DeadReason reason{};
    std::string error{};
    int attempts = 0;
    std::int64_t last_at_ms = 0;
  };
  /// How a receive was asked for.
  struct Request {
    SessionId session = 0;
    std::size_t max = 0;
    Duration lease{};
    bool renewed = false;
    std::int64_t limit = 0;
  };

  /// `partitions` above 1: as on Kafka, messages of one key come in the order of their publish, others of any
  /// partition, a receive gives those of one partition at a time, and which is `seed`'s choice.
  explicit ChannelStore(unsigned partitions = 1, std::uint32_t seed = 0);

  void add(Frame frame, Instant now, Duration delay);
  /// Whether `messages` more fit below `limit`, after dropping oldest ready ones if that is allowed.
  [[nodiscard]] bool fits(std::size_t messages, std::int64_t limit, bool drop_oldest, Instant now);
  /// Drops as many oldest ready entries as `messages` more need.
  void make_room(std::size_t messages, std::int64_t limit);

  [[nodiscard]] std::vector<Handed> receive(const Request& request, Instant now);
  /// The tick at which a receive that got nothing may get something without anybody's doing.
  [[nodiscard]] std::int64_t next_due(Instant now) const;

  [[nodiscard]] bool ack(SessionId session, DeliveryTag tag);
  /// Sets `done` and, for keep, `tag` of the settlement. `lease` is for keep, `dead_limit` for dead_letter.
  void settle(SessionId session, Settlement& settlement, Instant now, Duration lease, std::int64_t dead_limit);
  [[nodiscard]] bool touch(SessionId session, DeliveryTag tag, Instant now, Duration lease);
  /// Puts all that the session holds back to where it was, attempts counted. Returns whether there was anything.
  bool release(SessionId session);

  [[nodiscard]] BackendStats stats(Instant now);
  [[nodiscard]] std::int64_t drop_all();
  /// Up to `limit` dead letters whose number is at least `from`, with their numbers.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, const Dead*>> dead_from(std::uint64_t from,
                                                                             std::size_t limit) const;
  /// The number that the next dead letter will get.
  [[nodiscard]] std::uint64_t dead_end() const noexcept { return next_dead_; }
  std::int64_t requeue(const std::set<std::string>& ids, bool all, Instant now, Duration fresh_ttl);
  std::int64_t purge();

 private:
  enum class State : std::uint8_t { ready, delayed, in_flight };
  struct Entry {
    Frame frame{};
    State state = State::ready;
    std::uint64_t order =
        0;  // partition and place among the ready ones; kept while in flight, so that a given-back entry returns
    int deliveries = 0;
    std::int64_t at = 0;  // due time when delayed, end of the lease when in flight
    std::uint64_t generation = 0;
    SessionId session = 0;
    bool renewed = false;
  };
  using Entries = std::unordered_map<std::uint64_t, Entry>;

  void promote(Instant now);
  /// The place behind all others of the partition that `entry` belongs to.
  [[nodiscard]] std::uint64_t last_place(const Entry& entry);
  /// Where a receive begins to read.
  [[nodiscard]] std::uint64_t first_place();
  void to_ready(std::uint64_t slot, Entry& entry, std::uint64_t order);
  void to_delayed(std::uint64_t slot, Entry& entry, std::int64_t due);
  Handed hand_out(std::uint64_t slot, Entry& entry, const Request& request, Instant now);
  void bury(std::uint64_t slot, Entry& entry, Settlement& settlement, Instant now, std::int64_t limit);
  Entry* held(SessionId session, DeliveryTag tag);
  void end_lease(std::uint64_t slot, Entry& entry);
  void erase(std::uint64_t slot) { entries_.erase(slot); }
  [[nodiscard]] std::size_t room(const Request& request, Instant now) const;

  Entries entries_;
  std::map<std::uint64_t, std::uint64_t> ready_;              // order -> slot
  std::set<std::pair<std::int64_t, std::uint64_t>> delayed_;  // due, slot
  std::set<std::pair<std::int64_t, std::uint64_t>> leases_;   // end, slot
  std::map<std::uint64_t, Dead> dead_;                        // number -> dead letter
  std::uint64_t next_slot_ = 1;
  std::uint64_t next_order_ = 1;
  std::uint64_t next_generation_;
  std::uint64_t next_dead_ = 1;
  std::int64_t dropped_ = 0;
  unsigned partitions_;
  std::minstd_rand random_;
};

}  // namespace lrpc::queue::wire
