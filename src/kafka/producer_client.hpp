// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/envelope.hpp>

#include "kafka/events.hpp"
#include "kafka/handle.hpp"
#include "kafka/produce_call.hpp"
#include "kafka/record.hpp"
#include "kafka/send_watch.hpp"

namespace lrpc::queue::kafka {

/// What to produce. All of it need only live during the call.
struct Record {
  std::string_view topic{};
  std::int32_t partition = 0;
  std::string_view key{};  ///< Empty = none.
  std::span<const std::byte> value{};
  EnvelopePtr keep{};  ///< What `value` lies in: then large bytes are not copied. Empty = copy.
  std::span<const RecordHeader> headers{};
  std::int64_t timestamp_ms = 0;  ///< 0 = now.
};

/// One producer of librdkafka with the thread that takes its reports. It may die of a fatal error; then another takes
/// its place (`Producer`). Thread-safe.
class ProducerClient final : public ClientEvents {
 public:
  [[nodiscard]] static Result<std::shared_ptr<ProducerClient>> make(const KafkaConfig& config, Logger logger);
  explicit ProducerClient(Logger logger) : ClientEvents(std::move(logger)) {}
  ~ProducerClient() override;

  /// Hands a record to librdkafka; on success its report will come to `slot`.
  rd_kafka_resp_err_t send(const Record& record, ProduceSlot& slot);
  /// Asks the cluster for a topic anew: librdkafka goes on refusing for a while what was missing once. Bounded by
  /// `deadline`; should it fail, librdkafka will ask in its own time.
  void refresh(std::string_view topic, SteadyTime deadline);
  /// The calls under way, for `withdraw`.
  [[nodiscard]] SendWatch& watch() noexcept { return watch_; }
  /// Takes back what no broker was sent yet, of all callers: reports of RD_KAFKA_RESP_ERR__PURGE_QUEUE will come. Does
  /// nothing when that could harm a record that was sent.
  void withdraw();
  /// Whether a fatal error ended it.
  [[nodiscard]] bool is_dead() const noexcept;
  /// The fatal error's text.
  [[nodiscard]] std::string cause_of_death() const;
  [[nodiscard]] rd_kafka_t* get() const noexcept { return client_.get(); }

 private:
  void start(ClientPtr client);
  void poll();
  rd_kafka_topic_t* topic(std::string_view name);
  static rd_kafka_resp_err_t on_new(rd_kafka_t* client, const rd_kafka_conf_t* conf, void* self, char* why,
                                    std::size_t size) noexcept;
  static rd_kafka_resp_err_t on_request(rd_kafka_t* client, int socket, const char* broker, std::int32_t id,
                                        std::int16_t api, std::int16_t version, std::int32_t number, std::size_t size,
                                        void* self) noexcept;
  static void on_report(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque) noexcept;

  SendWatch watch_;
  ClientPtr client_;
  QueuePtr reports_;  // the client's main queue
  std::atomic<bool> stopping_{false};
  std::thread poller_;

  std::mutex topics_mutex_;
  std::map<std::string, TopicPtr, std::less<>> topics_;
};

}  // namespace lrpc::queue::kafka
