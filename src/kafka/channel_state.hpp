// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include <lrpc/queue/error.hpp>

#include "kafka/cluster.hpp"
#include "kafka/shelf.hpp"

namespace lrpc::queue::kafka {

/// What the threads of a channel share: who receives and settles, the member that reads and commits, and the mover that
/// writes copies. All of it under `mutex`, which nobody holds while it waits for a broker.
struct ChannelState {
  explicit ChannelState(std::uint64_t owner) : shelf(owner) {}

  std::mutex mutex;
  /// Something is ready, a commit has ended, receiving was switched, or the channel is over.
  std::condition_variable changed;
  Shelf shelf;

  /// A commit that began after the call of `ask` tells by `ended >= ask` that it is over.
  std::uint64_t commits_asked = 0;
  std::uint64_t commits_ended = 0;
  std::optional<Error> commit_error{};  ///< Of the last one.

  bool assigned = false;           ///< The member knows its partitions.
  std::int64_t read_below = -1;    ///< The shelf is full: the member reads on when so few are ready. -1: it reads.
  std::optional<Error> trouble{};  ///< Why nothing comes; empty while all is well.
  bool narrow = false;             ///< A partition of the topic has no retry partition of its own: the mover's to mend.
  bool widened = false;            ///< That was mended: the member is to join anew.
  bool gone = false;               ///< The channel was deleted: its group has no offsets any more.
  std::int64_t lost = 0;           ///< Messages that the topic's retention took before they were settled (D1).
};

/// Tells the shelf of a retry that was written, where all replicas have confirmed it: one that its broker alone had
/// could be lost with that, and what was settled of it would be committed beyond the log's end.
inline void foresee(Shelf& shelf, const Cluster& cluster, const Draft& draft, const Produced& produced) {
  if (!draft.retry || produced.error || produced.offset < 0 || cluster.config.required_acks != -1) return;
  shelf.foresee({.key = {.lane = Lane::retry, .number = produced.partition}, .offset = produced.offset},
                {.message = draft.message, .attempts = draft.retry->attempts, .due_ms = draft.retry->due_ms},
                cluster.clock->now().wall_ms);
}

}  // namespace lrpc::queue::kafka
