// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/backend.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/gate.hpp"
#include "kafka/cluster.hpp"
#include "kafka/diagnose.hpp"
#include "kafka/topic.hpp"

namespace lrpc::queue::kafka {
namespace {

class KafkaBackend final : public Backend {
 public:
  KafkaBackend(std::shared_ptr<Cluster> cluster, Wishes wishes)
      : cluster_(std::move(cluster)), wishes_(std::move(wishes)) {
    capabilities_.publish_timeout = cluster_->config.write_timeout;
  }

  [[nodiscard]] const Capabilities& capabilities() const noexcept override { return capabilities_; }

  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    auto topic = std::make_shared<KafkaTopic>(cluster_, name, policy);
    if (auto ok = topic->open(gate_); !ok) {
      if (gate_.is_shut()) return closed();
      return std::unexpected(std::move(ok.error()));
    }
    return topic;
  }

  Result<std::vector<std::string>> topics() override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    auto all = cluster_->admin->topics(cluster_->deadline());
    if (!all) return all;
    std::vector<std::string> names;
    for (const std::string& name : *all) {
      if (auto topic = cluster_->names.topic_of(name)) names.push_back(std::move(*topic));
    }
    std::ranges::sort(names);
    return names;
  }

  Result<void> ping(SteadyTime deadline) override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    auto brokers = cluster_->admin->brokers(deadline);
    if (!brokers) return std::unexpected(std::move(brokers.error()));
    return {};
  }

  Result<Diagnosis> diagnose(SteadyTime deadline) override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    return kafka::diagnose(*cluster_, wishes_, deadline);
  }

  Result<void> close() override {
    gate_.shut();
    gate_.drain();
    cluster_->close();
    return {};
  }

 private:
  static std::unexpected<Error> closed() { return fail(ErrorCode::queue_closed, "the queue was closed"); }

  const std::shared_ptr<Cluster> cluster_;
  const Wishes wishes_;
  Capabilities capabilities_{.name = "kafka", .serializes = true, .renew_leases = false, .batch_acks = false};
  detail::Gate gate_;
};

}  // namespace

Result<std::shared_ptr<Backend>> make_backend(const BackendContext& context) {
  auto cluster = Cluster::connect(context);
  if (!cluster) return std::unexpected(std::move(cluster.error()));
  Wishes wishes{.config = context.config.kafka_config};
  wishes.max_body_size = context.config.max_body_size.value_or(wishes.max_body_size);
  wishes.message_ttl = context.config.message_ttl.value_or(wishes.message_ttl);
  return std::make_shared<KafkaBackend>(std::move(*cluster), std::move(wishes));
}

}  // namespace lrpc::queue::kafka
