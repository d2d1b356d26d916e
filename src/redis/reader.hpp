// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "redis/channel_store.hpp"
#include "redis/waker.hpp"

namespace lrpc::queue::redis {

/// Waits on the server for new entries of a channel, on a connection of its own. A wait that has to end early is ended
/// by CLIENT UNBLOCK over another connection, so that an entry which arrives at that moment is not lost on the way.
/// For one thread at a time.
class Reader {
 public:
  /// Reads up to `most` entries; waits for the first until `deadline`, until `waker` wakes, or until about `roughly`.
  /// `outcome_unknown`: entries may have been handed out that did not arrive.
  Result<std::vector<Taken>> wait(const ChannelStore& store, std::size_t most, SteadyTime deadline, const Waker& waker,
                                  SteadyTime roughly = SteadyTime::max());
  void disconnect() noexcept { connection_.reset(); }

 private:
  Result<void> connect(Route& route, SteadyTime deadline);
  void unblock(Route& route, Connection::Call& call);

  std::shared_ptr<Connection> connection_{};
  std::int64_t client_id_ = 0;
};

}  // namespace lrpc::queue::redis
