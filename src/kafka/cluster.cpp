// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/cluster.hpp"

#include <utility>

#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {

Cluster::Cluster(const BackendContext& context, std::unique_ptr<Producer> with_producer,
                 std::unique_ptr<Admin> with_admin)
    : config(context.config.kafka_config),
      names(config.topic_prefix, config.consumer_group_id),
      clock(context.clock),
      logger(context.logger),
      producer(std::move(with_producer)),
      admin(std::move(with_admin)) {}

Result<std::shared_ptr<Cluster>> Cluster::connect(const BackendContext& context) {
  const KafkaConfig& config = context.config.kafka_config;
  auto admin = Admin::make(config, context.logger);
  if (!admin) return std::unexpected(std::move(admin.error()));
  if (auto ok = (*admin)->connect(std::chrono::steady_clock::now() + config.dial_timeout); !ok) {
    return std::unexpected(std::move(ok.error()));
  }
  auto producer = Producer::make(config, context.logger);
  if (!producer) return std::unexpected(std::move(producer.error()));
  return std::make_shared<Cluster>(context, std::move(*producer), std::move(*admin));
}

Result<std::shared_ptr<Reader>> Cluster::reader(ReadFor purpose) {
  const std::lock_guard lock(mutex_);
  if (closed_) return fail(ErrorCode::cancelled, "read from Kafka: closed");
  std::shared_ptr<Reader>& reader = readers_[static_cast<std::size_t>(purpose)];
  if (!reader) {
    auto made = Reader::make(config, logger);
    if (!made) return std::unexpected(std::move(made.error()));
    reader = std::move(*made);
  }
  return reader;
}

std::vector<Produced> Cluster::write(std::span<const Draft> drafts, SteadyTime until) {
  std::vector<std::vector<RecordHeader>> headers;
  std::vector<Record> records;
  headers.reserve(drafts.size());
  records.reserve(drafts.size());
  for (const Draft& draft : drafts) {
    const std::int64_t wall_ms = draft.wall_ms != 0 || !draft.message ? draft.wall_ms : draft.message->enqueued_at_ms();
    headers.emplace_back(draft.headers.begin(), draft.headers.end());
    records.push_back({.topic = draft.topic,
                       .partition = draft.partition,
                       .key = draft.key,
                       .value = draft.message ? draft.message->encoded_body() : std::span<const std::byte>(),
                       .keep = draft.message,
                       .headers = headers.back(),
                       .timestamp_ms = record_time(wall_ms)});
  }
  std::vector<Produced> produced(records.size());
  static_cast<void>(producer->produce(records, until, produced));
  return produced;
}

Result<void> Cluster::ensure_topics(std::span<const TopicSpec> topics, detail::Gate& gate) {
  const SteadyTime until = deadline();
  std::vector<TopicSpec> missing;
  for (const TopicSpec& spec : topics) {
    auto count = admin->partition_count(spec.name, until);
    if (count) continue;
    if (!is_missing_topic(count.error()) || !config.auto_create_topics)
      return std::unexpected(std::move(count.error()));
    missing.push_back(spec);
  }
  if (missing.empty()) return {};
  if (auto ok = admin->create_topics(missing, until); !ok) return ok;
  std::vector<std::string> names_of_missing;
  names_of_missing.reserve(missing.size());
  for (const TopicSpec& spec : missing) names_of_missing.push_back(spec.name);
  return await_topics(names_of_missing, true, until, gate);
}

// The brokers hear of it after the controller has answered.
Result<void> Cluster::await_topics(std::span<const std::string> topics, bool there, SteadyTime until,
                                   detail::Gate& gate) {
  constexpr Duration kBetweenLooks{10};
  for (const std::string& topic : topics) {
    while (true) {
      admin->forget(topic);
      auto count = admin->partition_count(topic, until);
      if (!count && !is_missing_topic(count.error())) return std::unexpected(std::move(count.error()));
      if (count.has_value() == there) break;
      if (std::chrono::steady_clock::now() >= until) {
        return fail(
            ErrorCode::timeout,
            "topic " + topic + (there ? " was created" : " was deleted") + ", but the brokers do not know it yet",
            true);
      }
      if (gate.await_shut(std::chrono::steady_clock::now() + kBetweenLooks)) {
        return fail(ErrorCode::cancelled, "topic " + topic + ": closed while waiting for it");
      }
    }
  }
  return {};
}

Result<bool> Cluster::widen(const std::string& topic, std::int32_t partitions, SteadyTime until) {
  auto count = admin->partition_count(topic, until);
  if (count && *count < partitions) {  // what is remembered may be old
    admin->forget(topic);
    count = admin->partition_count(topic, until);
  }
  if (!count) return std::unexpected(std::move(count.error()));
  if (*count >= partitions) return false;
  if (!config.auto_create_topics) {
    return fail(ErrorCode::unsupported, "topic " + topic + " has " + std::to_string(*count) + " partitions and needs " +
                                            std::to_string(partitions) +
                                            "; without auto_create_topics add them yourself");
  }
  auto ok = admin->create_partitions(topic, partitions, until);
  if (!ok) return std::unexpected(std::move(ok.error()));
  return true;
}

void Cluster::close() {
  std::array<std::shared_ptr<Reader>, 2> readers;  // they end without the lock
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    readers.swap(readers_);
  }
  producer->close();
  admin->close();
}

}  // namespace lrpc::queue::kafka
