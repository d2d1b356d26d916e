// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "base/gate.hpp"
#include "kafka/admin.hpp"
#include "kafka/names.hpp"
#include "kafka/producer.hpp"
#include "kafka/reader.hpp"
#include "kafka/record.hpp"

namespace lrpc::queue::kafka {

/// A record to write, with all that it consists of.
struct Draft {
  std::string topic{};
  std::int32_t partition = 0;
  std::string key{};
  EnvelopePtr message{};  ///< Its body is the value.
  RecordHeaders headers{};
  std::int64_t wall_ms = 0;      ///< The record's time, if brokers take it; 0 = the message's enqueued_at.
  std::optional<Stamp> retry{};  ///< Of one for the retry topic: what its headers say.
};

/// What a Reader is for: a long read for the one is not to hold up the other.
enum class ReadFor : std::uint8_t { upkeep, tail };

/// What all topics and channels of a back end share. Thread-safe.
class Cluster {
 public:
  [[nodiscard]] static Result<std::shared_ptr<Cluster>> connect(const BackendContext& context);
  Cluster(const BackendContext& context, std::unique_ptr<Producer> producer, std::unique_ptr<Admin> admin);

  const KafkaConfig config;
  const Names names;
  const std::shared_ptr<Clock> clock;
  const Logger logger;
  const std::unique_ptr<Producer> producer;
  const std::unique_ptr<Admin> admin;

  /// For reading outside of groups; made at the first use.
  [[nodiscard]] Result<std::shared_ptr<Reader>> reader(ReadFor purpose);
  /// Until when a question to the cluster may take.
  [[nodiscard]] SteadyTime deadline() const { return std::chrono::steady_clock::now() + config.dial_timeout; }
  /// Until when something may be written.
  [[nodiscard]] SteadyTime write_deadline() const { return std::chrono::steady_clock::now() + config.write_timeout; }

  /// Writes the records and waits for each.
  [[nodiscard]] std::vector<Produced> write(std::span<const Draft> drafts, SteadyTime until);
  /// Creates what is missing of these topics and waits until the brokers know them; without auto_create_topics a
  /// missing one is an error. `cancelled` when the gate is shut meanwhile.
  Result<void> ensure_topics(std::span<const TopicSpec> topics, detail::Gate& gate);

  /// Waits until the brokers know these topics, or know them no more. `cancelled` when the gate is shut meanwhile.
  Result<void> await_topics(std::span<const std::string> topics, bool there, SteadyTime until, detail::Gate& gate);
  /// Gives a topic of a channel so many partitions, where it has fewer. The brokers may hear of it a moment later.
  /// Returns whether it had fewer; without auto_create_topics that is an error.
  Result<bool> widen(const std::string& topic, std::int32_t partitions, SteadyTime until);
  /// Ends all connections and threads. Later calls fail.
  void close();

 private:
  std::mutex mutex_;
  std::array<std::shared_ptr<Reader>, 2> readers_;  // by ReadFor; with mutex_
  bool closed_ = false;                             // with mutex_
};

}  // namespace lrpc::queue::kafka
