// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "redis/keys.hpp"
#include "redis/route.hpp"
#include "redis/wire.hpp"

namespace lrpc::queue::redis {

/// A delivery as the server knows it.
struct Handle {
  std::string entry_id{};
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

/// A channel on the server as one consumer sees it. Thread-safe.
class ChannelStore {
 public:
  ChannelStore(std::shared_ptr<Route> route, const Keys& keys, const std::string& channel, std::string consumer)
      : route_(std::move(route)),
        stream_(keys.stream(channel)),
        delayed_(keys.delayed(channel)),
        dead_(keys.dead(channel)),
        group_(keys.group(channel)),
        consumer_(std::move(consumer)) {}

  /// Reads up to `most` entries that nobody was handed before, on a connection of the caller's own; waits up to `wait`
  /// for the first, not at all when that is 0.
  Result<std::vector<Taken>> read(Connection& connection, std::size_t most, Duration wait, SteadyTime deadline);
  /// Takes over deliveries that were not kept alive for `idle`, and those that were given back; from `cursor` on ("0-0"
  /// = the start), which is moved.
  Result<std::vector<Taken>> recover(Duration idle, std::string& cursor, std::size_t most, SteadyTime deadline);
  /// Brings up to `most` delayed messages that are due into the stream. Returns when the next one is due from now,
  /// Duration::max() when there is none; 0 = call again.
  Result<Duration> move_due(std::size_t most, SteadyTime deadline);
  /// Carries the outcomes out, in order, as one step. Returns how many dead letters had to go for their limit.
  Result<std::int64_t> settle(std::span<Outcome> outcomes, SteadyTime deadline);

 private:
  const std::shared_ptr<Route> route_;
  const std::string stream_;
  const std::string delayed_;
  const std::string dead_;
  const std::string group_;
  const std::string consumer_;
};

}  // namespace lrpc::queue::redis
