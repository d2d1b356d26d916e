// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka_rig.hpp"

#include <cstdlib>
#include <memory>

#include "broker.hpp"

namespace lrpc::queue::bench {
namespace {

std::unique_ptr<kafka::test::Broker> broker;

Config kafka_config(int max_in_flight) {
  Config config{.storage_type = StorageType::kafka};
  config.kafka_config.brokers = {kafka_address()};
  config.max_in_flight = max_in_flight;
  return config;
}

}  // namespace

const std::string& kafka_address() {
  static const std::string address = [] {
    broker = std::make_unique<kafka::test::Broker>();
    // The runner leaves without destructors; a broker has a folder to take away.
    if (std::at_quick_exit([] { broker.reset(); }) != 0) die("cannot register the end of the broker");
    return broker->address();
  }();
  return address;
}

std::string fresh_name(const std::string& prefix) { return kafka::test::unique_name(prefix); }

const std::string& kafka_text() {
  static const std::string text(100, 'x');
  return text;
}

const Bytes& kafka_body() {
  static const Bytes body(kafka_text().size(), std::byte{'x'});
  return body;
}

KafkaRig::KafkaRig(const std::string& topic_name, int max_in_flight)
    : queue(must(Queue::open(kafka_config(max_in_flight)))), topic(must(queue.topic<Bytes>(topic_name))) {}

Channel<Bytes> KafkaRig::channel() { return must(topic.get_or_add_channel(fresh_name("worker"))); }

const std::string& filled_topic(std::size_t messages) {
  static const std::string name = [messages] {
    KafkaRig rig;
    const std::vector<Bytes> batch(1000, kafka_body());
    for (std::size_t i = 0; i < messages; i += batch.size()) must(rig.topic.pub_batch(batch));
    return std::string(rig.topic.name());
  }();
  return name;
}

}  // namespace lrpc::queue::bench
