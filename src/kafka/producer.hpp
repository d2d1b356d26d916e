// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/config.hpp>
#include <lrpc/queue/error.hpp>

#include "kafka/producer_client.hpp"

namespace lrpc::queue::kafka {

/// How a record fared. Without an error it is stored as `required_acks` asks. `outcome_unknown`: perhaps stored; any
/// other error: certainly not.
struct Produced {
  std::optional<Error> error{};
  std::int64_t offset = -1;  ///< -1 where the broker does not tell: required_acks = 0, or a repeated request.
  std::int32_t partition = 0;
};

/// Records to produce, each made when it is sent, so that the first is on its way while the last is being made.
class RecordSource {
 public:
  RecordSource() = default;
  RecordSource(const RecordSource&) = delete;
  RecordSource& operator=(const RecordSource&) = delete;
  virtual ~RecordSource() = default;
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// Record i, the same one whenever it is asked for; valid until the next call.
  [[nodiscard]] virtual const Record& at(std::size_t i) = 0;
};

/// A call of `Producer::begin` under way.
class Sending;
struct EndSending {
  void operator()(Sending* sending) const noexcept;
};
using SendingPtr = std::unique_ptr<Sending, EndSending>;

/// Publishes records and waits until the brokers have them. One per back end, for any number of threads at once. It
/// outlives fatal errors of librdkafka's producer by making a new one.
class Producer {
 public:
  /// Does not wait for a connection.
  [[nodiscard]] static Result<std::unique_ptr<Producer>> make(const KafkaConfig& config, Logger logger);
  explicit Producer(KafkaConfig config, Logger logger, std::shared_ptr<ProducerClient> client)
      : config_(std::move(config)), logger_(std::move(logger)), client_(std::move(client)) {}
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;
  /// No call may be under way.
  ~Producer() = default;

  /// Sends all records and waits for the report of each, until `deadline`. Records of a partition keep their order.
  /// `out` has the size of `records`. Returns how many have an error.
  std::size_t produce(RecordSource& records, SteadyTime deadline, std::span<Produced> out);
  std::size_t produce(std::span<const Record> records, SteadyTime deadline, std::span<Produced> out);
  /// The same in two steps: `begin` sends, `finish`, by the same thread, waits. `records` must live until then. Records
  /// of a partition keep their order over all that one thread has begun, where none fails.
  [[nodiscard]] SendingPtr begin(RecordSource& records, SteadyTime deadline);
  std::size_t finish(SendingPtr sending, std::span<Produced> out);

  /// Ends the connections and threads, once no call is under way. A later call fails, with nothing sent.
  void close();

  /// The client of the moment, for tests; null after `close`.
  [[nodiscard]] std::shared_ptr<ProducerClient> client();

 private:
  /// Another client in place of one that died, unless somebody made it already.
  Result<std::shared_ptr<ProducerClient>> replace(const std::shared_ptr<ProducerClient>& dead);
  /// One that is alive, for records that are sent alone.
  Result<std::shared_ptr<ProducerClient>> lone_client();

  const KafkaConfig config_;
  const Logger logger_;
  std::mutex mutex_;
  std::shared_ptr<ProducerClient> client_;                // null after close
  std::timed_mutex alone_mutex_;                          // held while a record is under way alone; outer of mutex_
  std::shared_ptr<ProducerClient> lone_;                  // with alone_mutex_; made at the first use
  std::vector<std::shared_ptr<ProducerClient>> retired_;  // dead ones, until nobody waits for their reports
};

}  // namespace lrpc::queue::kafka
