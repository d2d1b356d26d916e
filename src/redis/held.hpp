// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
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
  [[nodiscard]] bool renewed() const noexcept { return until == kForever; }
  static constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();
};

/// The deliveries of one channel in this process, bookkeeping without lock, clock or I/O. A tag's slot and generation
/// are the same number, which no two deliveries of the process share.
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
  /// A kept delivery goes on as another.
  DeliveryTag renew(DeliveryTag tag, std::int64_t deliveries, int attempts);
  void set_lease(DeliveryTag tag, std::int64_t until, bool long_lease);
  /// Nobody will renew it any more: its lease ends then, if it has none of its own.
  void end_by(DeliveryTag tag, std::int64_t until);
  void clear();
  [[nodiscard]] bool empty() const noexcept { return held_.empty(); }

  /// Deliveries with a lease that ended by `now`, at most `most`.
  [[nodiscard]] std::vector<Ended> ended(std::int64_t now, std::size_t most) const;
  /// Those that had ended by `now` were offered to the server and are no longer ours; what it handed out again was put
  /// before, with a new lease, and stays.
  void forget_ended(std::span<const Ended> ended, std::int64_t now);
  /// The tick at which the next lease ends; kForever when there is none.
  [[nodiscard]] std::int64_t next_end() const noexcept {
    return by_end_.empty() ? Held::kForever : by_end_.begin()->first;
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
  void erase(Number number);
  void index(Number number, const Held& held);

  std::unordered_map<Number, Held> held_;
  std::unordered_map<std::string, Number> by_entry_;
  std::unordered_multimap<std::string, Number> by_id_;
  std::set<std::pair<std::int64_t, Number>> by_end_;
};

}  // namespace lrpc::queue::redis
