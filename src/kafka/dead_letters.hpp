// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include <lrpc/queue/backend.hpp>

#include "kafka/cluster.hpp"
#include "kafka/retry_index.hpp"

namespace lrpc::queue::kafka {

/// The dead letters of a channel: records of partition 0 of its dead-letter topic. What was requeued or purged is named
/// by a later record with the header `dlq_removed`, ranges of offsets as "3-5,9-10" (the second number excluded), and
/// is listed no more; what lies before the oldest that is left is deleted. Which are left is remembered and read on
/// from where it was. Thread-safe.
class DeadLetters {
 public:
  struct Parts {
    std::shared_ptr<Cluster> cluster;
    std::string text;  ///< "channel x of topic y", for messages.
    std::string channel;
    std::string topic;        ///< The channel's, on the broker: where letters come from.
    std::string dead_topic;   ///< Where they lie.
    std::string retry_topic;  ///< Where requeued ones go.
    std::function<void(std::span<const Draft>, std::span<const Produced>)> on_requeued;  ///< They were written.
    std::function<bool()> over;  ///< Whether the channel is closed, which ends every wait.
  };
  explicit DeadLetters(Parts parts) : parts_(std::move(parts)) {}

  struct Letter {
    EnvelopePtr message{};
    Place from{};
    DeadReason reason = DeadReason::max_retries;
    std::string error{};
    std::int64_t attempts = 0;
  };
  /// The record of a letter, to be written along with others.
  [[nodiscard]] Draft draft(const Letter& letter) const;
  /// So many drafts were written: removes the oldest beyond `limit`. Returns how many.
  Result<std::int64_t> trim(std::int64_t added, std::int64_t limit);

  Result<std::int64_t> count();
  Result<DeadPage> list(std::size_t limit, std::string_view cursor);
  Result<std::int64_t> requeue(std::span<const std::string> ids, bool all, Duration fresh_ttl);
  Result<std::int64_t> purge();

 private:
  using Lock = std::unique_lock<std::timed_mutex>;

  /// Waits for the calls before this one.
  Result<Lock> enter(SteadyTime until);
  /// Reads what has come since the last time.
  Result<void> refresh(SteadyTime until);
  Result<void> read_left(std::int64_t first, SteadyTime until,
                         const std::function<bool(const rd_kafka_message_t&)>& each);
  Result<void> remove(std::span<const std::int64_t> offsets, SteadyTime until);
  void delete_before(std::int64_t offset, SteadyTime until);

  const Parts parts_;
  std::timed_mutex mutex_;
  bool told_refusal_ = false;
  std::deque<std::int64_t> left_;  // offsets of the letters, ascending
  std::int64_t next_ = 0;          // read so far
  std::int64_t unread_ = 0;        // about how many have come since
};

}  // namespace lrpc::queue::kafka
