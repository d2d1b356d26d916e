// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "broker.hpp"

namespace lrpc::queue::kafka::test {
namespace {

int run(int partitions) {
  using conformance::Capability;
  Broker broker;
  int queues = 0;
  const auto opener = [&](StartOffset start) {
    return [&, start](Config config) {
      config.storage_type = StorageType::kafka;
      config.kafka_config.brokers = {broker.address()};
      config.kafka_config.topic_prefix = "test" + std::to_string(++queues) + "-";
      config.kafka_config.partition = partitions;
      config.kafka_config.start_offset = start;
      return Queue::open(std::move(config));
    };
  };
  conformance::Subject subject;
  subject.open = opener(StartOffset::earliest);
  subject.patience = 4;  // a group comes together first
  subject.claims.erase(Capability::typed_bodies);
  subject.claims.erase(Capability::atomic_batch);   // each message is confirmed on its own (D2)
  subject.claims.erase(Capability::bounded_depth);  // retention belongs to the broker (D16)
  subject.claims.erase(Capability::split_stats);    // who has not read does not know what is delayed
  subject.claims.erase(Capability::due_order);      // what was due when it was read comes as it was published
  subject.claims.erase(Capability::steady_delays);  // a record bears the time on the wall
  subject.claims.erase(Capability::longest_names);  // a topic on a broker has 249 characters
  subject.claims.erase(Capability::cheap_channels);
  if (partitions > 1) subject.claims.erase(Capability::total_order);  // order is each partition's (D5)
  // A new channel gets what the topic keeps, or what follows, but not what came before the first channel alone (D4).
  conformance::Subject latest = subject;
  subject.claims.erase(Capability::later_channels);
  const std::string name = "kafka_" + std::to_string(partitions);
  conformance::register_suite(name, subject);
  latest.open = opener(StartOffset::latest);
  latest.claims.erase(Capability::backlog);
  const std::set<std::string, std::less<>> later = {"D4_later_channel_gets_what_is_published_from_then_on",
                                                    "D4_closed_channel_still_gets_messages",
                                                    "D17_delayed_message_belongs_to_the_channels_of_its_publish",
                                                    "D20_calls_on_a_closed_channel",
                                                    "D20_open_handles_of_a_deleted_channel_stay_dead",
                                                    "D20_closed_channel_can_be_deleted",
                                                    "D20_delayed_messages_go_with_the_channel"};
  conformance::register_suite(name + "_latest", latest, [&](std::string_view test) { return later.contains(test); });
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace lrpc::queue::kafka::test

/// Runs the suite over a real broker: `conformance_kafka_test [PARTITIONS]`.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return lrpc::queue::kafka::test::run(argc > 1 ? std::atoi(argv[1]) : 1);
}
