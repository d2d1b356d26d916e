// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace lrpc::queue::bench {

/// The reference: plain librdkafka with the properties that the back end sets by default. Errors end the process.
class RawKafka {
 public:
  using Properties = std::map<std::string, std::string>;
  struct Destroy {
    void operator()(rd_kafka_t* client) const noexcept { rd_kafka_destroy(client); }
  };
  struct DestroyTopic {
    void operator()(rd_kafka_topic_t* topic) const noexcept { rd_kafka_topic_destroy(topic); }
  };
  using Client = std::unique_ptr<rd_kafka_t, Destroy>;

 protected:
  static Client make(rd_kafka_type_t type, const Properties& properties,
                     void (*on_report)(rd_kafka_t*, const rd_kafka_message_t*, void*) = nullptr);
};

/// Idempotent, acks of all, no linger: as the back end produces. A thread of its own takes the reports.
class RawKafkaProducer : public RawKafka {
 public:
  RawKafkaProducer(const std::string& brokers, const std::string& topic, const Properties& further = {});
  ~RawKafkaProducer();
  RawKafkaProducer(const RawKafkaProducer&) = delete;
  RawKafkaProducer& operator=(const RawKafkaProducer&) = delete;

  /// A body with a key and the manual's five headers; the report counts down `due`.
  void send(const std::string& body, std::atomic<std::uint32_t>& due);
  /// Many in a row with the reports awaited together.
  void send_and_wait(const std::string& body, std::size_t count);
  void flush();

 private:
  static void on_report(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque);

  Client client_;
  std::unique_ptr<rd_kafka_topic_t, DestroyTopic> topic_;
  std::atomic<bool> stopping_{false};
  std::thread poller_;
};

/// What a program that works on a message needs of it at least.
struct RawRecord {
  std::string id{};
  std::int64_t attempts = 0;
  std::string body{};
};

/// A member of a group that reads and commits, no more.
class RawKafkaConsumer : public RawKafka {
 public:
  RawKafkaConsumer(const std::string& brokers, const std::string& topic, const std::string& group,
                   const Properties& further = {});
  ~RawKafkaConsumer();
  RawKafkaConsumer(const RawKafkaConsumer&) = delete;
  RawKafkaConsumer& operator=(const RawKafkaConsumer&) = delete;

  /// One message, awaited for a second at most; whether there was one. `into`: what is in it.
  bool next(RawRecord* into = nullptr);
  /// Positions of all that was read, in the background.
  void commit();

 private:
  Client client_;
};

}  // namespace lrpc::queue::bench
