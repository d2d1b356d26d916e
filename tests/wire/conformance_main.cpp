// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "client.hpp"

/// Runs the suite over the wire back end, a server of its own for each queue and a line without random faults.
int main(int argc, char** argv) {
  namespace conformance = lrpc::queue::conformance;
  namespace wire = lrpc::queue::wire;
  using conformance::Capability;

  testing::InitGoogleTest(&argc, argv);

  const auto line = std::make_shared<std::shared_ptr<wire::Link>>();  // of the queue opened last
  conformance::Subject subject;
  subject.open = [line](lrpc::queue::Config config) {
    config.backend_factory = [line](const lrpc::queue::BackendContext& context) {
      *line = wire::make_link(std::make_shared<wire::WireServer>(context.clock), 1);
      return wire::wire_backend(*line)(context);
    };
    return lrpc::queue::Queue::open(std::move(config));
  };
  subject.claims.erase(Capability::typed_bodies);
  subject.claims.insert(Capability::disconnects);
  subject.set_connected = [line](bool connected) { (*line)->set_connected(connected); };
  conformance::register_suite("wire", subject);
  return RUN_ALL_TESTS();
}
