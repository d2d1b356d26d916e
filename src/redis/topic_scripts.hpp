// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "redis/script.hpp"

/// \file
/// What a topic does on the server, each as one step for all that look on.
///
/// The registry is a hash: a channel's field holds its incarnation, a number that grows with every channel made in the
/// topic ("#" holds the last, "#born" the time at which the registry was made); negative = deleted on purpose. So a
/// handle knows whether its channel is still the one that it opened, whether somebody deleted it, or whether an
/// operator's DEL took the registry away (then it is made anew).

namespace lrpc::queue::redis {

/// Stores messages for every channel of the topic, or in the backlog, all or none.
/// KEYS: registry. ARGV: topic, the most messages of a channel, "reject" or "drop_oldest", number of messages and of
/// their bytes, the most entries and bytes of one step over all channels; "1" = no message has a delay or further
/// fields. Then for each message: delay in ms and number of further fields, but for "1"; id, body, timestamp,
/// expires_at; further names and values. Returns {1, number dropped, channel, number dropped, channel...}; or, when
/// nothing was stored: {0, channel, depth} = that channel is full, {-1, channels} = the batch is too large for so many
/// channels.
[[nodiscard]] const Script& publish_script();

/// The quick form of it for the most frequent case, one message without delay or further fields, not beyond 64 KiB, for
/// channels that there are. Each argument and each call here is felt in the round trip.
/// KEYS: registry. ARGV: the most messages of a channel; of the message id, body, timestamp, expires_at.
/// Returns 1; 0 = nothing was stored, publish_script tells why or finds a way.
[[nodiscard]] const Script& publish_one_script();

/// Opens a channel. KEYS: registry, stream, backlog. ARGV: channel, group, how; for "rebuild" also the birth of the
/// registry and the incarnation that the caller knows. How: "existing" = only if it is there, "create", "rebuild" =
/// make it again unless somebody deleted it. Returns {incarnation, birth of the registry}; 0 = there is none; -1 = call
/// again, a large backlog is being moved.
[[nodiscard]] const Script& open_channel_script();

/// Deletes a channel. KEYS: registry, stream, delayed, dead. ARGV: channel. Returns 1, or 0 = there was none.
[[nodiscard]] const Script& delete_channel_script();

}  // namespace lrpc::queue::redis
