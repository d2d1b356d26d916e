// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "redis/gathering.hpp"
#include "redis/keys.hpp"
#include "redis/route.hpp"

namespace lrpc::queue::redis {

/// Which of the channels that ever had a name is meant.
struct Incarnation {
  std::int64_t number = 0;
  std::string born{};  ///< When the registry was made.
};

/// A topic on the server: its registry of channels and what is published to them, every call one step there.
/// Thread-safe.
class TopicStore {
 public:
  TopicStore(std::shared_ptr<Route> route, std::string topic, Keys keys)
      : route_(std::move(route)), topic_(std::move(topic)), keys_(std::move(keys)) {}
  TopicStore(const TopicStore&) = delete;
  TopicStore& operator=(const TopicStore&) = delete;
  ~TopicStore() = default;

  /// Stores encoded messages for every channel, or in the backlog, all or none (D2, D4, D16). `queue_full` names the
  /// channel; `invalid_argument` for a batch beyond what the server takes in one step (see kMostEntries).
  Result<Dropped> publish(std::span<const Outgoing> batch, const TopicPolicy& policy, SteadyTime deadline);

  /// Makes the topic known to the server. Errors tell early what would go wrong later.
  Result<void> open(SteadyTime deadline);
  /// Opens a channel, with `create` making it when missing. `channel_not_found`.
  Result<Incarnation> open_channel(const std::string& name, bool create, SteadyTime deadline);
  /// Makes a channel that was open, and whose keys are gone, anew. `channel_not_found` when somebody deleted it (D20),
  /// not when an operator took its keys away (D22).
  Result<Incarnation> rebuild_channel(const std::string& name, const Incarnation& known, SteadyTime deadline);
  /// Deletes a channel with its messages and leaves the mark of D20. `channel_not_found`.
  Result<void> delete_channel(const std::string& name, SteadyTime deadline);
  /// The channels, sorted.
  Result<std::vector<std::string>> channels(SteadyTime deadline);

  [[nodiscard]] const Keys& keys() const noexcept { return keys_; }

  /// The bounds of a batch, so that nothing blocks the server for long (D2).
  static constexpr std::size_t kMostEntries = 65'536;
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20U;

 private:
  Result<Dropped> send(const Parcel& parcel, const TopicPolicy& policy, SteadyTime deadline) const;
  [[nodiscard]] std::unexpected<Error> too_large(const Parcel& parcel, std::int64_t channels) const;
  Result<Incarnation> open_as(const std::string& name, std::span<const std::string> how, SteadyTime deadline);

  const std::shared_ptr<Route> route_;
  const std::string topic_;
  const Keys keys_;
  Gathering gathering_;
};

}  // namespace lrpc::queue::redis
