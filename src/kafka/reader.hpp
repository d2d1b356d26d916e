// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <lrpc/queue/backend.hpp>

#include "kafka/events.hpp"
#include "kafka/handle.hpp"
#include "kafka/retry_index.hpp"

namespace lrpc::queue::kafka {

/// Reads partitions from any place, outside of every group: dead letters, `tail`, bodies that were not kept. Joins and
/// commits nothing. For one call at a time; the others wait, until their deadlines.
class Reader {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Reader>> make(const KafkaConfig& config, Logger logger);

  /// Calls `each` for the records from `from` to, not with, `end`, in order, until it returns false. `timeout` when
  /// they did not all come before `deadline`; `cancelled` soon after `over` says so.
  Result<void> read(const std::string& topic, std::int32_t partition, std::int64_t from, std::int64_t end,
                    SteadyTime deadline, const std::function<bool(const rd_kafka_message_t&)>& each,
                    const std::function<bool()>& over);

  explicit Reader(std::unique_ptr<ClientEvents> events, ClientPtr client)
      : events_(std::move(events)), client_(std::move(client)) {}

 private:
  std::timed_mutex mutex_;
  std::unique_ptr<ClientEvents> events_;
  ClientPtr client_;
};

}  // namespace lrpc::queue::kafka
