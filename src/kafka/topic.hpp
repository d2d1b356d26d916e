// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "base/gate.hpp"
#include "kafka/channel.hpp"
#include "kafka/cluster.hpp"
#include "kafka/partitioner.hpp"

namespace lrpc::queue::kafka {

/// A topic: publishing to it, and the groups that are its channels.
class KafkaTopic final : public BackendTopic {
 public:
  KafkaTopic(std::shared_ptr<Cluster> cluster, std::string name, const TopicPolicy& policy);

  /// Creates the topic where it is missing. `cancelled` when the gate, of who opens it, is shut meanwhile.
  Result<void> open(detail::Gate& gate);

  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override;
  [[nodiscard]] std::unique_ptr<Publishing> begin_publish(std::span<Outgoing> batch, Duration timeout) override;
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override;
  [[nodiscard]] Result<std::vector<std::string>> channels() override;
  Result<void> delete_channel(const std::string& name) override;
  Result<TailPage> tail(const std::string& channel, std::string_view cursor, std::size_t limit,
                        SteadyTime deadline) override;
  Result<void> close() override;

 private:
  class Publish;
  [[nodiscard]] std::unexpected<Error> closed() const;
  [[nodiscard]] std::string text(std::string_view channel) const;
  Result<std::vector<TopicPartition>> partitions(SteadyTime until);
  Result<std::int32_t> choose_partition(const Envelope& message, std::int32_t partitions);
  Result<bool> exists(const std::string& channel, std::span<const TopicPartition> list, SteadyTime until);
  Result<void> create_channel(const std::string& channel, std::span<const TopicPartition> list, SteadyTime until);
  Result<void> forget_channel(const std::string& channel, SteadyTime until);
  void widen_retries(const std::string& channel, std::size_t partitions, SteadyTime until);
  [[nodiscard]] std::vector<TopicSpec> own_topics(const std::string& channel, std::size_t partitions) const;
  [[nodiscard]] std::map<std::string, std::string> size_config() const;

  const std::shared_ptr<Cluster> cluster_;
  const std::string name_;
  const std::string topic_;  // on the broker
  const TopicPolicy policy_;
  Partitioner partitioner_;
  detail::Gate gate_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<KafkaChannel>> channels_;  // with mutex_
};

}  // namespace lrpc::queue::kafka
