// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "redis/script.hpp"

/// \file
/// What becomes of a channel's deliveries on the server. A delivery is named by its entry and by how often the group
/// has delivered that entry; whoever settles it must be the consumer that holds it, at that count: a consumer that lost
/// its lease, to another or to itself, changes nothing (D10).

namespace lrpc::queue::redis {

/// Settles deliveries, in order, those that are not the caller's left as they are.
/// KEYS: stream, delayed, dead. ARGV: group, consumer, number of settlements; then for each: entry, deliveries, action
/// and three more:
///   ack        removed; as drop
///   retry      delay in ms, attempts so far: a new entry, now or when it is due
///   give_back  deliveries that count: for any consumer at once, in its old place
///   keep       deliveries that count: one more delivery to the same consumer
///   touch      the lease begins anew
///   dead       attempts, limit of the dead letters, JSON {reason, error}
/// Returns for each: 0 = not the caller's, else the number of deliveries that now names it (1 where it is gone), and in
/// the end how many dead letters had to go for the limit.
[[nodiscard]] const Script& settle_script();

/// Acks deliveries: the quick form of `settle` for the most frequent case.
/// KEYS: stream. ARGV: group, consumer, the lowest and the highest entry, the id behind that, their number, the
/// entries; then the deliveries of each, unless they are all 1.
/// Returns the places (from 1) of those that are not the caller's.
[[nodiscard]] const Script& ack_script();

/// What a consumer does now and then, and when it was told that there is something to see: whether the channel is still
/// the one that it opened; delayed messages that are due into the stream; its own deliveries that ended; those that
/// were given back; and, when maintaining, those that nobody kept alive, consumers that are gone, entries that other
/// programs acked but did not delete. KEYS: registry, stream, delayed. ARGV: channel, group, consumer, birth of the
/// registry, incarnation, most entries, lease in ms, cursor, "1" to maintain; then for each delivery that ended: entry,
/// deliveries, deliveries from now on. Returns {-1} = the channel was deleted, {0} = the registry, stream or group is
/// gone, or {1, ms until the next is due or -1, cursor, {entry, deliveries, {field, value...}}...}.
[[nodiscard]] const Script& look_script();

/// Gives back up to 1,000 deliveries of a consumer; in the end removes it. KEYS: stream. ARGV: group, consumer.
/// Returns 1 = call again.
[[nodiscard]] const Script& leave_script();

/// Drops up to some thousand messages that are ready or delayed. KEYS: stream, delayed. ARGV: group.
/// Returns {dropped, 0 = there are no more}.
[[nodiscard]] const Script& drop_all_script();

/// Puts dead letters back, up to 1,000 looked at. KEYS: stream, dead. ARGV: from, "1" for all, fresh ttl in ms, ids.
/// Returns {moved, where to go on, empty = at the end}.
[[nodiscard]] const Script& requeue_dead_script();

}  // namespace lrpc::queue::redis
