// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "broker.hpp"
#include "rig.hpp"

namespace lrpc::queue::test {
namespace {

using kafka::test::Broker;

/// A broker refuses the first producer ids for a moment, which librdkafka warns of; tests look at what is said.
Broker& settled_broker() {
  static Broker& broker = [] -> Broker& {
    Broker& shared = kafka::test::shared_broker();
    auto settings = shared.settings();
    kafka::test::RawAdmin(settings).create_topic("settled");
    settings["enable.idempotence"] = "true";
    kafka::test::RawProducer(settings).produce("settled", kafka::test::RawRecord{.value = "x"});
    return shared;
  }();
  return broker;
}

}  // namespace

// One broker for the program, for a start takes seconds; rigs keep apart by their prefixes.
std::unique_ptr<RigServer> start_server() {
  auto server = std::make_unique<RigServer>();
  server->options = {"--brokers", settled_broker().address(), "--prefix", kafka::test::unique_name("rig") + "-"};
  server->parts_delayed = false;
  server->settling = std::chrono::seconds(5);  // the group comes together first
  return server;
}

std::vector<std::string> nobody() { return {"--brokers", "127.0.0.1:" + std::to_string(support::free_port())}; }

}  // namespace lrpc::queue::test
