// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "broker.hpp"
#include "support/process_figures.hpp"
#include "world.hpp"

namespace lrpc::queue::soak {
namespace {

class OwnKafka final : public Server {
 public:
  [[nodiscard]] Config config() const override {
    return {.storage_type = StorageType::kafka, .kafka_config = {.brokers = {broker_.address()}, .partition = 2}};
  }
  [[nodiscard]] std::optional<std::int64_t> memory() override { return support::rss_kib_of(broker_.pid()); }
  [[nodiscard]] std::string_view memory_is() const override { return "RSS of the broker"; }
  [[nodiscard]] bool judged() const override { return false; }

 private:
  kafka::test::Broker broker_;
};

}  // namespace

std::unique_ptr<Server> start_kafka() { return std::make_unique<OwnKafka>(); }

}  // namespace lrpc::queue::soak
