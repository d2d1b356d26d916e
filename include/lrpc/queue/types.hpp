// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lrpc::queue {

/// All durations of the API are milliseconds.
using Duration = std::chrono::milliseconds;
/// Wall-clock instants.
using TimePoint = std::chrono::system_clock::time_point;
/// User headers of a message.
using Headers = std::map<std::string, std::string>;
/// Encoded bytes of a body.
using Bytes = std::vector<std::byte>;

/// Options of one publish. They win over the key and expiry of the message itself; headers are merged.
struct PubOptions {
  std::optional<Duration> delay{};        ///< Deliver this much later. Negative, or together with deliver_at: error.
  std::optional<TimePoint> deliver_at{};  ///< Deliver at this instant; one in the past means now.
  std::string key{};                      ///< Messages of the same non-empty key are handled in order (D5).
  Headers headers{};                      ///< Added to the message's headers; these win.
  std::optional<Duration> expires{};      ///< Time to live from the publish; 0 = never. Unset: the message's own.
  std::optional<Duration> timeout{};      ///< Bound of the whole call; unset = the back end's default.
};

/// Options of a nack.
struct NackOptions {
  std::optional<Duration> delay{};  ///< Time until redelivery: 0 = now, unset = `retry_delay` of the channel.
  std::string reason{};             ///< Kept as `error` if the message becomes a dead letter.
  bool skip_attempts = false;       ///< The next delivery shows the same attempts().
  bool dead_letter = false;         ///< Give the message up now, reason `rejected`.
};

/// What a handler answers. The default is success (ack).
struct ProcessRsp {
  bool retry = false;                     ///< Hand the message out again after `retry_delay`.
  bool skip_attempts = false;             ///< With a retry: the next delivery shows the same attempts().
  std::optional<Duration> retry_after{};  ///< Hand it out again after this time (implies retry).
  bool dead_letter = false;               ///< Give the message up now, reason `rejected`.
  std::string reason{};                   ///< Kept as `error` if the message becomes a dead letter.
};

/// Figures of one channel. The first five are the back end's; the counters are this process's since it opened the
/// channel.
struct ChannelStats {
  std::int64_t ready = 0;        ///< Waiting for a consumer (prefetched messages that no handler has seen included).
  std::int64_t in_flight = 0;    ///< Handed out and not yet settled.
  std::int64_t delayed = 0;      ///< Waiting for their due time or retry.
  std::int64_t dead = 0;         ///< Dead letters kept.
  std::int64_t depth = 0;        ///< ready + in_flight + delayed (D19).
  std::int64_t delivered = 0;    ///< Deliveries handed to a handler or to next.
  std::int64_t acked = 0;        ///< Deliveries acked.
  std::int64_t nacked = 0;       ///< Deliveries sent back or given up by nack, handler failure or dead-lettering.
  std::int64_t expired = 0;      ///< Messages that were not delivered because they had expired.
  std::int64_t redelivered = 0;  ///< Deliveries with attempts() > 1.
  std::int64_t dropped = 0;      ///< Given up without a dead letter, overwritten by drop_oldest, pushed out of the dead
                                 ///< letters by their limit, or taken by a Kafka topic's retention before they were
                                 ///< settled.
};

}  // namespace lrpc::queue
