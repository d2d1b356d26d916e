// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "redis/cluster.hpp"

namespace lrpc::queue::redis {

/// The way to who is in charge of a key's slot in a cluster, now and later. All commands of a call must concern keys of
/// this slot, or none.
class ClusterRoute final : public Route {
 public:
  ClusterRoute(std::shared_ptr<ClusterClient> cluster, std::string_view key)
      : cluster_(std::move(cluster)), key_(key), slot_(slot_of(key)) {}

  /// A command that was not carried out because its slot is or moves elsewhere is sent there, whatever `repeat` says;
  /// the others of the call are not repeated with it. Where no server is in charge of the slot for now, or none can be
  /// reached, up to max_retries tries are made, as of Client::call.
  Result<std::vector<Reply>> call(const Pipeline& commands, SteadyTime deadline, Repeat repeat) override;
  /// To the slot's master. When the slot moves later, commands on it get a MOVED reply: it is time for another one.
  Result<std::shared_ptr<Connection>> own_connection(SteadyTime deadline) override;
  [[nodiscard]] std::string where() const override;
  [[nodiscard]] Duration usual_time() const noexcept override { return cluster_->usual_time(); }
  [[nodiscard]] std::uint16_t slot() const noexcept { return slot_; }

 private:
  Result<std::shared_ptr<Connection>> connect_once(const SlotMap& map, SteadyTime deadline,
                                                   std::shared_ptr<Client>& hint);

  const std::shared_ptr<ClusterClient> cluster_;
  const std::string key_;
  const std::uint16_t slot_;
};

}  // namespace lrpc::queue::redis
