// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "broker.hpp"

namespace lrpc::queue::kafka::test {
namespace {

int run(int partitions) {
  using conformance::Capability;
  Broker broker;
  int queues = 0;
  conformance::Subject subject;
  subject.open = [&](Config config) {
    config.storage_type = StorageType::kafka;
    config.kafka_config.brokers = {broker.address()};
    config.kafka_config.topic_prefix = "test" + std::to_string(++queues) + "-";
    config.kafka_config.partition = partitions;
    return Queue::open(std::move(config));
  };
  subject.claims.erase(Capability::typed_bodies);
  subject.claims.erase(Capability::atomic_batch);   // each message is confirmed on its own (D2)
  subject.claims.erase(Capability::bounded_depth);  // retention belongs to the broker (D16)
  conformance::register_suite("kafka_" + std::to_string(partitions), subject);
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace lrpc::queue::kafka::test

/// Runs the suite over a real broker: `conformance_kafka_test [PARTITIONS]`.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return lrpc::queue::kafka::test::run(argc > 1 ? std::atoi(argv[1]) : 1);
}
