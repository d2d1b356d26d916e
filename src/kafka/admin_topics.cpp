// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "kafka/admin.hpp"
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

using std::chrono::steady_clock;

/// How long a partition count is believed; when asking then fails, the old one serves a while longer.
constexpr auto kBelieved = std::chrono::seconds(30);
constexpr auto kStillBelieved = std::chrono::seconds(5);
/// How long a caller who has an old count waits for a new one.
constexpr auto kRefreshWait = std::chrono::seconds(1);

std::string quoted(std::string_view what, std::string_view name) {
  return std::string(what) + " \"" + std::string(name) + '"';
}

/// The first failure among the topics of a reply, but `fine`.
Result<void> check_topics(const rd_kafka_topic_result_t** results, std::size_t count, std::string_view what,
                          rd_kafka_resp_err_t fine) {
  for (const rd_kafka_topic_result_t* const each : std::span(results, count)) {
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(each);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == fine) continue;
    const char* const detail = rd_kafka_topic_result_error_string(each);
    return failed(code, quoted(what, rd_kafka_topic_result_name(each)), detail != nullptr ? detail : "");
  }
  return {};
}

}  // namespace

Result<void> Admin::create_topics(std::span<const TopicSpec> topics, SteadyTime deadline) {
  if (topics.empty()) return {};
  std::vector<NewTopicPtr> made;
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const TopicSpec& each : topics) {
    std::array<char, 256> why{};
    NewTopicPtr topic(
        rd_kafka_NewTopic_new(each.name.c_str(), each.partitions, each.replication_factor, why.data(), why.size()));
    if (topic == nullptr) {
      return fail(ErrorCode::invalid_argument, quoted("create Kafka topic", each.name) + ": " + why.data());
    }
    for (const auto& [name, value] : each.config) {
      rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
    }
    raw.push_back(topic.get());
    made.push_back(std::move(topic));
  }
  auto done = ask(
      RD_KAFKA_ADMIN_OP_CREATETOPICS, "create Kafka topics", deadline,
      [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_CreateTopics(client_.get(), raw.data(), raw.size(), options, replies);
      },
      [](rd_kafka_event_t* reply) {
        std::size_t count = 0;
        const auto results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(reply), &count);
        return check_topics(results, count, "create Kafka topic", RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS);
      });
  for (const TopicSpec& each : topics) forget(each.name);
  return done;
}

Result<void> Admin::delete_topics(std::span<const std::string> topics, SteadyTime deadline) {
  if (topics.empty()) return {};
  std::vector<DeleteTopicPtr> made;
  std::vector<rd_kafka_DeleteTopic_t*> raw;
  for (const std::string& each : topics) {
    made.emplace_back(rd_kafka_DeleteTopic_new(each.c_str()));
    raw.push_back(made.back().get());
  }
  auto done = ask(
      RD_KAFKA_ADMIN_OP_DELETETOPICS, "delete Kafka topics", deadline,
      [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_DeleteTopics(client_.get(), raw.data(), raw.size(), options, replies);
      },
      [](rd_kafka_event_t* reply) {
        std::size_t count = 0;
        const auto results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(reply), &count);
        return check_topics(results, count, "delete Kafka topic", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
      });
  for (const std::string& each : topics) forget(each);
  return done;
}

Result<void> Admin::create_partitions(const std::string& topic, std::int32_t partitions, SteadyTime deadline) {
  const std::string what = quoted("add partitions to Kafka topic", topic);
  std::array<char, 256> why{};
  const NewPartitionsPtr made(
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(partitions), why.data(), why.size()));
  if (made == nullptr) return fail(ErrorCode::invalid_argument, what + ": " + why.data());
  rd_kafka_NewPartitions_t* raw = made.get();
  auto done = ask(
      RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, what, deadline,
      [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_CreatePartitions(client_.get(), &raw, 1, options, replies);
      },
      [](rd_kafka_event_t* reply) {
        std::size_t count = 0;
        const auto results =
            rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(reply), &count);
        return check_topics(results, count, "add partitions to Kafka topic", RD_KAFKA_RESP_ERR_INVALID_PARTITIONS);
      });
  forget(topic);
  return done;
}

Result<std::vector<std::string>> Admin::topics(SteadyTime deadline) {
  auto found = metadata(nullptr, true, "list Kafka topics", deadline, max_attempts_);
  if (!found) return std::unexpected(std::move(found.error()));
  std::vector<std::string> names;
  for (const auto& topic : std::span((*found)->topics, static_cast<std::size_t>((*found)->topic_cnt))) {
    if (!std::string_view(topic.topic).starts_with("__")) names.emplace_back(topic.topic);
  }
  std::ranges::sort(names);
  return names;
}

Result<std::int32_t> Admin::partition_count(const std::string& topic, SteadyTime deadline) {
  std::int32_t old = 0;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = known_.find(topic); it != known_.end()) {
      if (steady_clock::now() < it->second.until) return it->second.partitions;
      old = it->second.partitions;
    }
  }
  const std::string what = quoted("look up Kafka topic", topic);
  if (old > 0) deadline = std::min(deadline, steady_clock::now() + kRefreshWait);
  std::int32_t count = 0;
  // One that was made just now may not be known to every broker; one that is missing is told at once.
  auto found = metadata(&topic, false, what, deadline, old > 0 ? 1 : max_attempts_);
  if (found) {
    const rd_kafka_metadata_topic& entry = (*found)->topics[0];
    if (entry.err == RD_KAFKA_RESP_ERR_NO_ERROR || entry.partition_cnt > 0) {
      count = entry.partition_cnt;
    } else {
      found = failed(entry.err, what);
    }
  }
  const std::lock_guard lock(mutex_);
  if (found) {
    known_[topic] = {.partitions = count, .until = steady_clock::now() + kBelieved};
    return count;
  }
  if (old > 0 && !is_missing_topic(found.error())) {
    known_[topic] = {.partitions = old, .until = steady_clock::now() + kStillBelieved};
    return old;
  }
  known_.erase(topic);
  return std::unexpected(std::move(found.error()));
}

void Admin::forget(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  known_.erase(topic);
}

Result<std::map<std::string, std::string>> Admin::describe(rd_kafka_ResourceType_t type, const std::string& name,
                                                           SteadyTime deadline) {
  const std::string what = quoted("read the settings of Kafka", name);
  const ConfigResourcePtr resource(rd_kafka_ConfigResource_new(type, name.c_str()));
  rd_kafka_ConfigResource_t* raw = resource.get();
  std::map<std::string, std::string> settings;
  auto done = ask(
      RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, what, deadline,
      [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_DescribeConfigs(client_.get(), &raw, 1, options, replies);
      },
      [&](rd_kafka_event_t* reply) -> Result<void> {
        std::size_t count = 0;
        const auto resources =
            rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(reply), &count);
        if (count == 0) return failed(RD_KAFKA_RESP_ERR__BAD_MSG, what);
        if (const auto code = rd_kafka_ConfigResource_error(resources[0]); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
          const char* const detail = rd_kafka_ConfigResource_error_string(resources[0]);
          return failed(code, what, detail != nullptr ? detail : "");
        }
        const auto entries = rd_kafka_ConfigResource_configs(resources[0], &count);
        settings.clear();
        for (const rd_kafka_ConfigEntry_t* const each : std::span(entries, count)) {
          const char* const value = rd_kafka_ConfigEntry_value(each);  // none: the broker keeps it secret
          if (value != nullptr) settings.emplace(rd_kafka_ConfigEntry_name(each), value);
        }
        return {};
      });
  if (!done) return std::unexpected(std::move(done.error()));
  return settings;
}

Result<std::map<std::string, std::string>> Admin::topic_config(const std::string& topic, SteadyTime deadline) {
  return describe(RD_KAFKA_RESOURCE_TOPIC, topic, deadline);
}

Result<std::map<std::string, std::string>> Admin::broker_config(SteadyTime deadline) {
  auto found = metadata(nullptr, false, "ask Kafka for its brokers", deadline, max_attempts_);
  if (!found) return std::unexpected(std::move(found.error()));
  if ((*found)->broker_cnt == 0) return failed(RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, "ask Kafka for its brokers");
  return describe(RD_KAFKA_RESOURCE_BROKER, std::to_string((*found)->brokers[0].id), deadline);
}

}  // namespace lrpc::queue::kafka
