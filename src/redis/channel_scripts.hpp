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

/// Takes over what no consumer has kept alive for so long, and what was given back.
/// KEYS: stream. ARGV: group, consumer, idle ms, cursor, most entries.
/// Returns {next cursor, {entry, deliveries, {field, value...}}...}.
[[nodiscard]] const Script& recover_script();

/// Brings delayed messages that are due by the server's clock into the stream.
/// KEYS: stream, delayed. ARGV: most messages. Returns {moved, ms until the next is due, or -1}.
[[nodiscard]] const Script& move_due_script();

}  // namespace lrpc::queue::redis
