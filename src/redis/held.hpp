// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "redis/channel_store.hpp"

namespace lrpc::queue::redis {

/// A delivery that this process believes to hold; the server knows better.
struct Held {
  Handle handle{};
  std::string id{};             ///< The message's.
  int attempts = 0;             ///< The delivery's number.
  std::int64_t base = 0;        ///< Deliveries before its entry was made.
  std::int64_t until = 0;       ///< Tick at which its lease ends here; kForever for one that a subscription renews.
  std::int64_t renewed_at = 0;  ///< Tick at which somebody last wanted it to go on.
  bool long_lease = false;      ///< Touched for longer than the server knows: kept alive from here.
  bool being_kept = false;      ///< The server is being told that it goes on under another count.
  bool going_back = false;      ///< The server is being told that anybody may have it.
  [[nodiscard]] bool renewed() const noexcept { return until == kForever; }
  static constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();
};

/// The deliveries of one channel in this process, bookkeeping without lock, clock or I/O. A tag names a slot here and,
/// as its generation, a number that no two deliveries of the process share.
class HeldTable {
 public:
  /// What became of an entry that arrived.
  struct Put {
    std::optional<DeliveryTag> tag{};  ///< Empty: it is being handled here already, its delivery goes on.
    bool lease_expired = false;        ///< Its last delivery was here.
    int attempts = 0;
  };
  Put put(const Taken& taken, std::int64_t now, std::int64_t until, std::int64_t lease);
  /// Somebody wants these to go on, whether or not the server can be told.
  void wanted(std::span<const DeliveryTag> tags, std::int64_t now);

  [[nodiscard]] const Held* find(DeliveryTag tag) const;
  [[nodiscard]] std::optional<DeliveryTag> find(std::string_view id) const;
  void remove(DeliveryTag tag);
  /// The server does not know it under the count of `handle`: forgotten and false, unless that count is an old one or
  /// is just being replaced.
  bool survives_refusal(DeliveryTag tag, const Handle& handle);
  /// Begins (or gives up) to keep a delivery; `renew` ends it.
  void set_being_kept(DeliveryTag tag, bool being_kept);
  /// Begins (or gives up) to give a delivery back: should its entry arrive from now on, it is another delivery.
  void set_going_back(DeliveryTag tag, bool going_back);
  /// A kept delivery goes on as another.
  DeliveryTag renew(DeliveryTag tag, std::int64_t deliveries, int attempts);
  void set_lease(DeliveryTag tag, std::int64_t until, bool long_lease);
  /// Nobody will renew it any more: its lease ends then, if it has none of its own.
  void end_by(DeliveryTag tag, std::int64_t until);
  void clear();
  [[nodiscard]] bool empty() const noexcept { return by_entry_.empty(); }

  /// Deliveries with a lease that ended by `now`, at most `most`.
  [[nodiscard]] std::vector<Ended> ended(std::int64_t now, std::size_t most) const;
  /// Those that had ended by `now` were offered to the server and are no longer ours; what it handed out again was put
  /// before, with a new lease, and stays.
  void forget_ended(std::span<const Ended> ended, std::int64_t now);
  /// The tick at which the next lease ends; kForever when there is none.
  [[nodiscard]] std::int64_t next_end() const noexcept {
    return by_end_.empty() ? Held::kForever : by_end_.begin()->first.first;
  }
  /// How many have a lease of their own that lasts: what next handed out.
  [[nodiscard]] std::size_t leased(std::int64_t now) const {
    return static_cast<std::size_t>(std::distance(by_end_.upper_bound({now, UINT64_MAX}), by_end_.end()));
  }
  /// Whether the entry is held and has not ended; takes the server's count for it. One that had ended under another
  /// count is forgotten.
  bool goes_on(const Handle& server, std::int64_t now);
  /// Those to be kept alive from here: not those whose time is over, though nobody asked for them since.
  [[nodiscard]] std::vector<Handle> long_leases(std::int64_t now) const;

 private:
  using Number = std::uint64_t;
  struct Slot {
    Number number = 0;  // 0 = free
    Held held{};
  };

  [[nodiscard]] Held* held_by(DeliveryTag tag);
  [[nodiscard]] DeliveryTag tag_of(std::size_t slot) const;
  void remove(std::size_t slot);

  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;
  std::unordered_map<EntryId, std::size_t, EntryIdHash> by_entry_;
  // Slots by message id, made when somebody first asks by id: who settles by tag does without.
  mutable std::unordered_multimap<std::string, std::size_t> by_id_;
  mutable bool ids_known_ = false;
  std::map<std::pair<std::int64_t, Number>, std::size_t> by_end_;
};

}  // namespace lrpc::queue::redis
