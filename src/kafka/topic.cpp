// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/topic.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/context.hpp"
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

/// Key, headers and the batch around a body of the largest size.
constexpr std::int64_t kRoomBesideBody = 64 << 10;
/// Until the brokers are asked again for what takes them a moment.
constexpr Duration kLookAgain{100};

}  // namespace

/// The records of a publish.
class Publication final : public RecordSource {
 public:
  Publication(std::string_view topic, std::span<const Outgoing> batch) : batch_(batch), partitions_(batch.size()) {
    record_.topic = topic;
  }
  [[nodiscard]] std::size_t size() const override { return batch_.size(); }
  /// Record i goes there.
  void choose(std::size_t i, std::int32_t partition) { partitions_[i] = partition; }

  [[nodiscard]] const Record& at(std::size_t i) override {
    const Envelope& message = *batch_[i].message;
    Stamp stamp;
    if (batch_[i].delay.count() > 0) stamp.due_ms = message.enqueued_at_ms();
    id_ = message.id();
    record_.partition = partitions_[i];
    record_.key = message.key().empty() ? id_ : message.key();
    record_.value = message.encoded_body();
    record_.keep = batch_[i].message;
    record_.headers = headers_.set(message, id_, stamp);
    record_.timestamp_ms = record_time(message.enqueued_at_ms());
    return record_;
  }

 private:
  const std::span<const Outgoing> batch_;
  std::vector<std::int32_t> partitions_;
  std::string id_;
  HeaderList headers_;
  Record record_;
};

KafkaTopic::KafkaTopic(std::shared_ptr<Cluster> cluster, std::string name, const TopicPolicy& policy)
    : cluster_(std::move(cluster)),
      name_(std::move(name)),
      topic_(cluster_->names.topic(name_)),
      policy_(policy),
      partitioner_(cluster_->config.balancer) {}

std::unexpected<Error> KafkaTopic::closed() const {
  return fail(ErrorCode::topic_closed, "topic " + name_ + " was closed");
}

std::string KafkaTopic::text(std::string_view channel) const {
  return "channel " + std::string(channel) + " of topic " + name_;
}

std::map<std::string, std::string> KafkaTopic::size_config() const {
  return {{"max.message.bytes", std::to_string(policy_.max_body_size + kRoomBesideBody)}};
}

Result<void> KafkaTopic::open(detail::Gate& gate) {
  if (auto ok = cluster_->names.check_topic(name_); !ok) return ok;
  if (policy_.max_msg_size != TopicPolicy{}.max_msg_size || policy_.overflow != Overflow::reject) {
    return fail(ErrorCode::unsupported,
                "topic " + name_ +
                    ": max_msg_size and overflow are not for Kafka, whose topics are bounded by "
                    "their retention; leave them out");
  }
  const TopicSpec spec{.name = topic_,
                       .partitions = cluster_->config.partition,
                       .replication_factor = cluster_->config.replication_factor,
                       .config = size_config()};
  return cluster_->ensure_topics({&spec, 1}, gate);
}

Result<std::vector<TopicPartition>> KafkaTopic::partitions(SteadyTime until) {
  auto count = cluster_->admin->partition_count(topic_, until);
  if (!count) return std::unexpected(std::move(count.error()));
  std::vector<TopicPartition> list;
  list.reserve(static_cast<std::size_t>(*count));
  for (std::int32_t i = 0; i < *count; ++i) list.push_back({.topic = topic_, .partition = i});
  return list;
}

/// A publish under way, or what was wrong with it.
class KafkaTopic::Publish final : public Publishing {
 public:
  Publish(KafkaTopic& topic, std::span<Outgoing> batch, SteadyTime until, bool in_time)
      : topic_(topic), batch_(batch), records_(topic.topic_, batch) {
    // Not longer: a callback that closes the topic would wait for what its own thread has begun.
    const auto pass = topic.gate_.enter();
    if (!pass) {
      refused_ = topic.closed();
    } else if (auto ok = prepare(until, in_time); !ok) {
      refused_ = std::move(ok);
    } else {
      sending_ = topic.cluster_->producer->begin(records_, until);
    }
  }

  Result<void> wait() override {
    if (!refused_) return std::move(refused_);
    std::vector<Produced> produced(batch_.size());
    if (topic_.cluster_->producer->finish(std::move(sending_), produced) == 0) return {};
    const auto failed = std::ranges::find_if(produced, [](const Produced& one) { return one.error.has_value(); });
    Error error = *failed->error;
    if (is_missing_topic(error)) topic_.cluster_->admin->forget(topic_.topic_);
    for (std::size_t i = 0; i < produced.size(); ++i) {
      if (!produced[i].error) error.accepted.push_back(batch_[i].message->id());
    }
    return std::unexpected(std::move(error));
  }

 private:
  Result<void> prepare(SteadyTime until, bool in_time) {
    auto count = topic_.cluster_->admin->partition_count(topic_.topic_, until);
    if (!count) return std::unexpected(std::move(count.error()));
    if (in_time && std::chrono::steady_clock::now() >= until) {
      return fail(ErrorCode::unavailable, "topic " + topic_.name_ + ": no broker told its partitions in time", true);
    }
    for (const Outgoing& out : batch_) {
      if (auto ok = check_headers(*out.message); !ok) return ok;
    }
    for (std::size_t i = 0; *count > 1 && i < batch_.size(); ++i) {
      const auto partition = topic_.choose_partition(*batch_[i].message, *count);
      if (!partition) return std::unexpected(partition.error());
      records_.choose(i, *partition);
    }
    return {};
  }

  KafkaTopic& topic_;
  const std::span<Outgoing> batch_;
  Publication records_;
  Result<void> refused_;
  SendingPtr sending_;
};

Result<std::int32_t> KafkaTopic::choose_partition(const Envelope& message, std::int32_t partitions) {
  const BalancerFunction& own = cluster_->config.custom_balancer;
  if (!own || !message.key().empty()) {
    return partitioner_.choose(message.key(), message.id(), message.encoded_body().size(), partitions);
  }
  const std::string what = "topic " + name_ + ": custom_balancer ";
  const auto chosen = detail::contain<int>([&]() -> Result<int> { return own(message, partitions); });
  if (!chosen) return fail(ErrorCode::invalid_argument, what + "threw: " + chosen.error().message);
  if (*chosen >= 0 && *chosen < partitions) return *chosen;
  return fail(ErrorCode::invalid_argument, what + "chose partition " + std::to_string(*chosen) + " for message " +
                                               message.id() + ", but there are only 0 to " +
                                               std::to_string(partitions - 1));
}

std::unique_ptr<Publishing> KafkaTopic::begin_publish(std::span<Outgoing> batch, Duration timeout) {
  const SteadyTime until = std::chrono::steady_clock::now() + std::min(timeout, Duration(std::chrono::hours(24)));
  return std::make_unique<Publish>(*this, batch, until, timeout > Duration(0));
}

Result<void> KafkaTopic::publish(std::span<Outgoing> batch, Duration timeout) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  return begin_publish(batch, timeout)->wait();
}

// The topics that belong to a channel alone. Nothing may take from them what is not settled.
std::vector<TopicSpec> KafkaTopic::own_topics(const std::string& channel, std::size_t partitions) const {
  std::map<std::string, std::string> config = size_config();
  config.emplace("retention.ms", "-1");
  const int replication = cluster_->config.replication_factor;
  return {{.name = cluster_->names.retry_topic(name_, channel),
           .partitions = static_cast<int>(partitions),
           .replication_factor = replication,
           .config = config},
          {.name = cluster_->names.dead_topic(name_, channel),
           .partitions = 1,
           .replication_factor = replication,
           .config = config}};
}

// The topic may have got partitions since. Without as many its retries share those that there are.
void KafkaTopic::widen_retries(const std::string& channel, std::size_t partitions, SteadyTime until) {
  auto ok = cluster_->widen(cluster_->names.retry_topic(name_, channel), static_cast<std::int32_t>(partitions), until);
  if (!ok) cluster_->logger(LogLevel::warning, text(channel) + ": " + ok.error().message);
}

// A channel exists where its group has an offset (D4).
Result<bool> KafkaTopic::exists(const std::string& channel, std::span<const TopicPartition> list, SteadyTime until) {
  auto committed = cluster_->admin->committed(cluster_->names.group(name_, channel), list, until);
  if (!committed) return std::unexpected(std::move(committed.error()));
  return std::ranges::any_of(*committed, [](const Committed& one) { return one.offset >= 0; });
}

// Its retries, too, are read from an offset of the group.
Result<void> KafkaTopic::create_channel(const std::string& channel, std::span<const TopicPartition> list,
                                        SteadyTime until) {
  const std::string retry_topic = cluster_->names.retry_topic(name_, channel);
  auto retries = cluster_->admin->partition_count(retry_topic, until);
  if (!retries) return std::unexpected(std::move(retries.error()));
  std::vector<TopicPartition> all(list.begin(), list.end());
  for (std::int32_t i = 0; i < *retries; ++i) all.push_back({.topic = retry_topic, .partition = i});
  auto bounds = cluster_->admin->watermarks(all, until);
  if (!bounds) return std::unexpected(std::move(bounds.error()));
  const bool latest = cluster_->config.start_offset == StartOffset::latest;
  std::vector<OffsetCommit> offsets;
  offsets.reserve(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool from_end = latest && i < list.size();
    offsets.push_back({.partition = all[i], .offset = from_end ? (*bounds)[i].high : (*bounds)[i].low});
  }
  auto ok = cluster_->admin->commit(cluster_->names.group(name_, channel), offsets, until);
  if (ok) return ok;
  // Somebody else may have made it meanwhile and consumes already.
  auto there = exists(channel, list, until);
  if (there && *there) return {};
  return ok;
}

Result<std::shared_ptr<BackendChannel>> KafkaTopic::open_channel(const std::string& name, const ChannelPolicy& policy,
                                                                 bool create) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  if (auto ok = cluster_->names.check_channel(name_, name); !ok) return std::unexpected(std::move(ok.error()));
  const SteadyTime until = cluster_->deadline();
  auto list = partitions(until);
  if (!list) return std::unexpected(std::move(list.error()));
  auto there = exists(name, *list, until);
  if (!there) return std::unexpected(std::move(there.error()));
  if (!*there && !create) return fail(ErrorCode::channel_not_found, text(name) + " does not exist");
  // Also of one that exists: a program that knows the manual's layout alone makes the group alone.
  if (auto ok = cluster_->ensure_topics(own_topics(name, list->size()), gate_); !ok) {
    if (gate_.is_shut()) return closed();
    return std::unexpected(std::move(ok.error()));
  }
  widen_retries(name, list->size(), until);
  if (!*there) {
    if (auto ok = create_channel(name, *list, until); !ok) return std::unexpected(std::move(ok.error()));
  }
  auto channel = std::make_shared<KafkaChannel>(
      KafkaChannel::Parts{.cluster = cluster_, .topic_name = name_, .name = name, .policy = policy});
  const std::lock_guard lock(mutex_);
  std::erase_if(channels_, [](const auto& known) { return known.expired(); });
  channels_.push_back(channel);
  return channel;
}

Result<std::vector<std::string>> KafkaTopic::channels() {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const SteadyTime until = cluster_->deadline();
  auto list = partitions(until);
  if (!list) return std::unexpected(std::move(list.error()));
  auto groups = cluster_->admin->list_groups(until);
  if (!groups) return std::unexpected(std::move(groups.error()));
  std::vector<std::string> names;
  for (const std::string& group : *groups) {
    const auto name = cluster_->names.channel_of(name_, group);
    if (!name) continue;
    // The group of channel b-c of topic a has the name of channel c of topic a-b; only one has offsets here.
    auto there = exists(*name, *list, until);
    if (!there) return std::unexpected(std::move(there.error()));
    if (*there) names.push_back(*name);
  }
  std::ranges::sort(names);
  return names;
}

// The group is that of channel b-c of topic a and of channel c of topic a-b: what the other has done stays known.
Result<void> KafkaTopic::forget_channel(const std::string& channel, SteadyTime until) {
  const std::string group = cluster_->names.group(name_, channel);
  const std::string retry_topic = cluster_->names.retry_topic(name_, channel);
  auto committed = cluster_->admin->committed(group, until);
  if (!committed) return std::unexpected(std::move(committed.error()));
  std::vector<TopicPartition> mine;
  for (const auto& [partition, stored] : *committed) {
    if (partition.topic == topic_ || partition.topic == retry_topic) mine.push_back(partition);
  }
  if (mine.size() == committed->size()) return cluster_->admin->delete_group(group, until);
  // Until its other members have joined anew the brokers take the group for one that subscribes to our topics still.
  for (;;) {
    auto ok = cluster_->admin->delete_offsets(group, mine, until);
    const bool early = !ok && ok.error().native_code == RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC;
    if (!early || std::chrono::steady_clock::now() >= until) return ok;
    if (gate_.await_shut(std::min(until, std::chrono::steady_clock::now() + kLookAgain))) return closed();
  }
}

Result<void> KafkaTopic::delete_channel(const std::string& name) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const SteadyTime until = cluster_->deadline();
  auto list = partitions(until);
  if (!list) return std::unexpected(std::move(list.error()));
  auto there = exists(name, *list, until);
  if (!there) return std::unexpected(std::move(there.error()));
  if (!*there) return fail(ErrorCode::channel_not_found, text(name) + " does not exist");
  std::vector<std::shared_ptr<KafkaChannel>> open;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& known : channels_) {
      if (auto channel = known.lock(); channel && channel->name() == name) open.push_back(std::move(channel));
    }
  }
  const auto asking = !open.empty() ? open.front()
                                    : std::make_shared<KafkaChannel>(KafkaChannel::Parts{
                                          .cluster = cluster_, .topic_name = name_, .name = name, .policy = {}});
  if (auto ok = asking->refuse_with_others("deleting it"); !ok) return ok;
  for (const auto& channel : open) channel->retire();
  if (auto ok = forget_channel(name, until); !ok) {
    for (const auto& channel : open) channel->revive();
    return ok;
  }
  for (const auto& channel : open) channel->die();
  std::vector<std::string> topics;
  for (const TopicSpec& spec : own_topics(name, list->size())) topics.push_back(spec.name);
  if (auto ok = cluster_->admin->delete_topics(topics, until); !ok) return ok;
  auto ok = cluster_->await_topics(topics, false, until, gate_);
  if (!ok && gate_.is_shut()) return closed();
  return ok;
}

Result<void> KafkaTopic::close() {
  gate_.shut();
  gate_.drain();
  return {};
}

}  // namespace lrpc::queue::kafka
