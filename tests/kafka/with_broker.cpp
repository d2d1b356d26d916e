// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "broker.hpp"
#include "support/beside.hpp"

/// `with_kafka_broker COMMAND [ARGUMENT...]`.
int main(int argc, char** argv) {
  return lrpc::queue::support::run_beside(argc, argv, "with_kafka_broker", "LRPC_QUEUE_KAFKA_CONFIG_BROKERS",
                                          [](const auto& run) { run(lrpc::queue::kafka::test::Broker().address()); });
}
