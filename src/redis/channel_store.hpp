// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "redis/entry_id.hpp"
#include "redis/keys.hpp"
#include "redis/route.hpp"
#include "redis/topic_store.hpp"
#include "redis/wire.hpp"

namespace lrpc::queue::redis {

/// A delivery as the server knows it.
struct Handle {
  EntryId entry_id{};
  std::int64_t deliveries = 0;  ///< How often the group has delivered the entry; with it the handle is unique.
  friend bool operator==(const Handle&, const Handle&) = default;
};

/// A delivery with its message.
struct Taken {
  Handle handle{};
  Entry entry{};
  /// The delivery's number (D6): those before the entry was made, and those of it.
  [[nodiscard]] std::int64_t attempts() const noexcept { return entry.attempts + handle.deliveries; }
};

/// A settlement to send.
struct Outcome {
  enum class Action : std::uint8_t { ack, retry, give_back, keep, touch, dead };
  Handle handle{};
  Action action = Action::ack;
  Duration delay{0};         ///< Of retry.
  std::int64_t counted = 0;  ///< Of retry and dead: attempts so far; of give_back and keep: deliveries that count.
  std::string reason{};      ///< Of dead.
  std::string error{};       ///< Of dead.
  std::int64_t limit = 0;    ///< Of dead: dead letters kept.
  std::int64_t deliveries_now = 0;  ///< Out: 0 = it was not ours; of keep: the new handle's.
};

/// A delivery of ours that ended without a settlement.
struct Ended {
  Handle handle{};
  std::int64_t next = 0;  ///< Deliveries of the entry when it is handed out again.
};

/// What a look found.
struct Look {
  enum class State : std::uint8_t { there, deleted, gone };
  State state = State::there;
  Duration next_due = Duration::max();  ///< Until the next delayed message is due; max = there is none.
  std::vector<Taken> taken{};
};

/// A channel on the server as one consumer sees it. Thread-safe.
class ChannelStore {
 public:
  ChannelStore(std::shared_ptr<Route> route, const Keys& keys, const std::string& channel, std::string consumer)
      : route_(std::move(route)),
        channel_(channel),
        registry_(keys.registry()),
        stream_(keys.stream(channel)),
        delayed_(keys.delayed(channel)),
        dead_(keys.dead(channel)),
        group_(keys.group(channel)),
        consumer_(std::move(consumer)) {}

  /// The command that reads up to `most` entries that nobody was handed before, waiting up to `wait` for the first, not
  /// at all when that is 0; and what it answered.
  [[nodiscard]] Pipeline read_command(std::size_t most, Duration wait) const;
  [[nodiscard]] Result<std::vector<Taken>> read_result(const Reply& reply) const;
  /// Reads without waiting.
  Result<std::vector<Taken>> read(std::size_t most, SteadyTime deadline);
  /// See look_script. `cursor` ("0-0" = the start) is moved.
  Result<Look> look(const Incarnation& known, std::size_t most, Duration lease, std::string& cursor, bool maintain,
                    std::span<const Ended> ended, SteadyTime deadline);
  /// Acks deliveries, at least one, as one step; `done` tells which were ours.
  Result<void> ack(std::span<const Handle> handles, std::span<bool> done, SteadyTime deadline);
  /// What the two halves of `ack_and_read` brought, each on its own. Where `acked` is `outcome_unknown`, entries may
  /// have been handed out that did not arrive.
  struct AckedAndRead {
    Result<void> acked{};
    Result<std::vector<Taken>> taken{};
  };
  /// `ack`, and `read` of up to `most`, in one round trip.
  AckedAndRead ack_and_read(std::span<const Handle> handles, std::span<bool> done, std::size_t most,
                            SteadyTime deadline);
  /// Carries the outcomes out, in order, as one step. Returns how many dead letters had to go for their limit.
  Result<std::int64_t> settle(std::span<Outcome> outcomes, SteadyTime deadline);
  /// The entries that are pending for this consumer, up to `most`.
  Result<std::vector<Handle>> pending(std::size_t most, SteadyTime deadline);
  /// Gives back all that is pending for this consumer, and removes it.
  Result<void> leave(SteadyTime deadline);

  /// Figures; `dropped` is not known here.
  Result<BackendStats> stats(SteadyTime deadline);
  Result<std::int64_t> drop_all(SteadyTime deadline);
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor, SteadyTime deadline);
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl,
                                    SteadyTime deadline);
  Result<std::int64_t> purge_dead(SteadyTime deadline);

  [[nodiscard]] const std::string& stream() const noexcept { return stream_; }
  [[nodiscard]] const std::shared_ptr<Route>& route() const noexcept { return route_; }

 private:
  [[nodiscard]] Arguments ack_arguments(std::span<const Handle> handles) const;

  const std::shared_ptr<Route> route_;
  const std::string channel_;
  const std::string registry_;
  const std::string stream_;
  const std::string delayed_;
  const std::string dead_;
  const std::string group_;
  const std::string consumer_;
};

/// Whether an error says that a stream or its group is gone.
[[nodiscard]] bool is_gone(const Error& error) noexcept;

}  // namespace lrpc::queue::redis
