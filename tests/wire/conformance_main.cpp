// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "client.hpp"

/// Runs the suite over the wire back end, a server of its own for each queue and a line without random faults:
/// `conformance_wire_test [PARTITIONS [SEED]]`. With partitions messages come in no order but their keys', a part of
/// them at a time: a test that expects more than that of Kafka fails here, and always.
int main(int argc, char** argv) {
  namespace conformance = lrpc::queue::conformance;
  namespace wire = lrpc::queue::wire;
  using conformance::Capability;

  testing::InitGoogleTest(&argc, argv);

  const auto partitions = static_cast<unsigned>(argc > 1 ? std::atoi(argv[1]) : 1);
  const auto seed = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 0);
  const auto line = std::make_shared<std::shared_ptr<wire::Link>>();  // of the queue opened last
  conformance::Subject subject;
  subject.open = [=](lrpc::queue::Config config) {
    config.backend_factory = [=](const lrpc::queue::BackendContext& context) {
      *line = wire::make_link(std::make_shared<wire::WireServer>(context.clock, partitions, seed), 1);
      return wire::wire_backend(*line)(context);
    };
    return lrpc::queue::Queue::open(std::move(config));
  };
  subject.claims.erase(Capability::typed_bodies);
  subject.claims.insert(Capability::disconnects);
  subject.set_connected = [line](bool connected) { (*line)->set_connected(connected); };
  if (partitions > 1) {  // what Kafka with several does not claim
    for (const Capability each : {Capability::total_order, Capability::bounded_depth, Capability::due_order}) {
      subject.claims.erase(each);
    }
  }
  conformance::register_suite(partitions > 1 ? "wire_" + std::to_string(partitions) : "wire", subject);
  return RUN_ALL_TESTS();
}
