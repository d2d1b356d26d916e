// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "world.hpp"

namespace lrpc::queue::soak {

/// Publishes to a line until it is stopped, evenly at this rate: alone, in batches, in the background; delayed, with
/// expiry, with keys, as the kinds want it. What is under way at the stop is finished.
void publish(World& world, Line& line, double rate, const std::stop_token& stop);

/// What a subscription of the station calls.
[[nodiscard]] Result<ProcessRsp> handle(World& world, Station& station, const Line& line, const Message<Load>& message);

/// Takes and settles messages by `next_batch` until it is stopped or the channel is closed. `channel`: the station's,
/// of the world's queue or of another.
void pull(World& world, Station& station, const Line& line, Channel<Load>& channel, const std::stop_token& stop);

/// Opens and closes things all the time: queues, channels that are deleted again, consumers that stay for a moment.
void come_and_go(World& world, const std::stop_token& stop);

/// Looks at the depth, lists dead letters, puts some back, forgets some.
void keep_house(World& world, const std::stop_token& stop);
/// Of all channels; empty when the back end does not tell.
[[nodiscard]] std::optional<std::int64_t> depth_of_all(World& world);

}  // namespace lrpc::queue::soak
