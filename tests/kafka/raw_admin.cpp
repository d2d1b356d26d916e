// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <utility>

#include "raw.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

int ms(milliseconds time) { return static_cast<int>(time.count()); }

/// Something that a pair of C functions makes and destroys.
template <class T, class Destroy>
std::unique_ptr<T, Destroy> owned(T* object, Destroy destroy) {
  return {object, destroy};
}

using Event = std::unique_ptr<rd_kafka_event_t, decltype(&rd_kafka_event_destroy)>;

/// Makes a request and waits for its event.
Event ask(rd_kafka_t* client, const std::function<void(const rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& request) {
  const auto queue = owned(rd_kafka_queue_new(client), rd_kafka_queue_destroy);
  const auto options = owned(rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_ANY), rd_kafka_AdminOptions_destroy);
  rd_kafka_AdminOptions_set_request_timeout(options.get(), ms(kPatience), nullptr, 0);
  request(options.get(), queue.get());
  return {rd_kafka_queue_poll(queue.get(), ms(kPatience + std::chrono::seconds(5))), rd_kafka_event_destroy};
}

rd_kafka_resp_err_t error_of(const Event& event) {
  return event ? rd_kafka_event_error(event.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
}

using Metadata = std::unique_ptr<const rd_kafka_metadata_t, decltype(&rd_kafka_metadata_destroy)>;

std::vector<RawPartition> partitions_of(const rd_kafka_metadata_topic_t& topic) {
  std::vector<RawPartition> result(static_cast<std::size_t>(topic.partition_cnt));
  for (int i = 0; i < topic.partition_cnt; ++i) {
    const rd_kafka_metadata_partition_t& from = topic.partitions[i];
    result.at(static_cast<std::size_t>(from.id)) = {.leader = from.leader,
                                                    .replicas = {from.replicas, from.replicas + from.replica_cnt},
                                                    .in_sync = {from.isrs, from.isrs + from.isr_cnt}};
  }
  return result;
}

rd_kafka_resp_err_t first_error(const rd_kafka_topic_result_t** results, std::size_t count) {
  return count > 0 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
}

std::vector<std::pair<std::string, std::int32_t>> names_of(const rd_kafka_topic_partition_list_t* list) {
  std::vector<std::pair<std::string, std::int32_t>> result;
  for (int i = 0; list != nullptr && i < list->cnt; ++i) {
    result.emplace_back(list->elems[i].topic, list->elems[i].partition);
  }
  return result;
}

std::string text(const char* from) { return from == nullptr ? "" : from; }

}  // namespace

RawAdmin::RawAdmin(const Settings& settings) : RawClient(RD_KAFKA_PRODUCER, settings), settings_(settings) {}

std::vector<std::int32_t> RawAdmin::brokers(milliseconds time) const {
  const rd_kafka_metadata_t* all = nullptr;
  auto error = RD_KAFKA_RESP_ERR__TIMED_OUT;
  const auto end = steady_clock::now() + time;
  do {  // in short steps, to hear of a refused login
    const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
    error = rd_kafka_metadata(get(), 0, nullptr, &all, ms(std::clamp(left, milliseconds(0), milliseconds(300))));
  } while (error != RD_KAFKA_RESP_ERR_NO_ERROR && !refused() && steady_clock::now() < end);
  check(error, "the brokers");
  const Metadata metadata(all, rd_kafka_metadata_destroy);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < all->broker_cnt; ++i) ids.push_back(all->brokers[i].id);
  std::ranges::sort(ids);
  return ids;
}

std::map<std::string, std::vector<RawPartition>> RawAdmin::topics() const {
  const rd_kafka_metadata_t* all = nullptr;
  check(rd_kafka_metadata(get(), 1, nullptr, &all, ms(kPatience)), "the topics");
  const Metadata metadata(all, rd_kafka_metadata_destroy);
  std::map<std::string, std::vector<RawPartition>> result;
  for (int i = 0; i < all->topic_cnt; ++i) result[all->topics[i].topic] = partitions_of(all->topics[i]);
  return result;
}

std::vector<RawPartition> RawAdmin::partitions(const std::string& topic) const {
  const auto all = topics();  // asking for one would create it where brokers are set to
  const auto found = all.find(topic);
  return found == all.end() ? std::vector<RawPartition>() : found->second;
}

void RawAdmin::create_topic(const std::string& name, int partitions, const Settings& config, int replication) {
  const std::string what = "creating topic " + name;
  const auto topic =
      owned(rd_kafka_NewTopic_new(name.c_str(), partitions, replication, nullptr, 0), rd_kafka_NewTopic_destroy);
  for (const auto& [key, value] : config) {
    check(rd_kafka_NewTopic_set_config(topic.get(), key.c_str(), value.c_str()), what);
  }
  rd_kafka_NewTopic_t* topics = topic.get();
  const Event event =
      ask(get(), [&](const auto* options, auto* queue) { rd_kafka_CreateTopics(get(), &topics, 1, options, queue); });
  check(error_of(event), what);
  std::size_t count = 0;
  const auto** results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  check(first_error(results, count), what);
  await_leaders(name, partitions, what);
}

void RawAdmin::await_leaders(const std::string& name, int partitions, const std::string& what) const {
  const bool led = eventually([&] {
    const auto found = this->partitions(name);
    return std::cmp_equal(found.size(), partitions) &&
           std::ranges::all_of(found, [](const auto& partition) { return partition.leader >= 0; });
  });
  if (!led) fail(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, what);
}

void RawAdmin::add_partitions(const std::string& name, int partitions) {
  const std::string what = "adding partitions to topic " + name;
  const auto request = owned(rd_kafka_NewPartitions_new(name.c_str(), static_cast<std::size_t>(partitions), nullptr, 0),
                             rd_kafka_NewPartitions_destroy);
  rd_kafka_NewPartitions_t* requests = request.get();
  const Event event = ask(
      get(), [&](const auto* options, auto* queue) { rd_kafka_CreatePartitions(get(), &requests, 1, options, queue); });
  check(error_of(event), what);
  std::size_t count = 0;
  const auto** results =
      rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event.get()), &count);
  check(first_error(results, count), what);
  await_leaders(name, partitions, what);
}

void RawAdmin::delete_topic(const std::string& name) {
  const std::string what = "deleting topic " + name;
  const auto topic = owned(rd_kafka_DeleteTopic_new(name.c_str()), rd_kafka_DeleteTopic_destroy);
  rd_kafka_DeleteTopic_t* topics = topic.get();
  const Event event =
      ask(get(), [&](const auto* options, auto* queue) { rd_kafka_DeleteTopics(get(), &topics, 1, options, queue); });
  check(error_of(event), what);
  std::size_t count = 0;
  const auto** results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  check(first_error(results, count), what);
  if (!eventually([&] { return partitions(name).empty(); })) fail(RD_KAFKA_RESP_ERR__TIMED_OUT, what);
}

Settings RawAdmin::config(const std::string& topic) const {
  const std::string what = "the configuration of topic " + topic;
  const auto resource =
      owned(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()), rd_kafka_ConfigResource_destroy);
  rd_kafka_ConfigResource_t* resources = resource.get();
  const Event event = ask(
      get(), [&](const auto* options, auto* queue) { rd_kafka_DescribeConfigs(get(), &resources, 1, options, queue); });
  check(error_of(event), what);
  std::size_t count = 0;
  const auto** results =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event.get()), &count);
  check(count > 0 ? rd_kafka_ConfigResource_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL, what);
  const auto** entries = rd_kafka_ConfigResource_configs(results[0], &count);
  Settings result;
  for (std::size_t i = 0; i < count; ++i) {
    result[rd_kafka_ConfigEntry_name(entries[i])] = text(rd_kafka_ConfigEntry_value(entries[i]));
  }
  return result;
}

std::pair<std::int64_t, std::int64_t> RawAdmin::watermarks(const std::string& topic, std::int32_t partition) const {
  std::pair<std::int64_t, std::int64_t> result;
  check(rd_kafka_query_watermark_offsets(get(), topic.c_str(), partition, &result.first, &result.second, ms(kPatience)),
        "the watermarks of " + topic);
  return result;
}

void RawAdmin::delete_records(const std::string& topic, std::int32_t partition, std::int64_t before) {
  const std::string what = "deleting records of " + topic;
  const auto list = owned(rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy);
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = before;
  const auto request = owned(rd_kafka_DeleteRecords_new(list.get()), rd_kafka_DeleteRecords_destroy);
  rd_kafka_DeleteRecords_t* requests = request.get();
  const Event event = ask(
      get(), [&](const auto* options, auto* queue) { rd_kafka_DeleteRecords(get(), &requests, 1, options, queue); });
  check(error_of(event), what);
  check(rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get()))->elems[0].err, what);
}

std::vector<std::string> RawAdmin::groups() const {
  const Event event =
      ask(get(), [&](const auto* options, auto* queue) { rd_kafka_ListConsumerGroups(get(), options, queue); });
  check(error_of(event), "the groups");
  std::size_t count = 0;
  const auto** found =
      rd_kafka_ListConsumerGroups_result_valid(rd_kafka_event_ListConsumerGroups_result(event.get()), &count);
  std::vector<std::string> result;
  for (std::size_t i = 0; i < count; ++i) result.emplace_back(rd_kafka_ConsumerGroupListing_group_id(found[i]));
  std::ranges::sort(result);
  return result;
}

std::vector<RawMember> RawAdmin::members(const std::string& group) const {
  const std::string what = "the members of group " + group;
  const char* names[] = {group.c_str()};
  const Event event = ask(get(), [&](const auto* options, auto* queue) {
    rd_kafka_DescribeConsumerGroups(get(), names, 1, options, queue);
  });
  check(error_of(event), what);
  std::size_t count = 0;
  const auto** found =
      rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  if (count == 0) fail(RD_KAFKA_RESP_ERR__FAIL, what);
  if (const auto* error = rd_kafka_ConsumerGroupDescription_error(found[0])) {
    if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) return {};
    fail(rd_kafka_error_code(error), what);
  }
  std::vector<RawMember> result(rd_kafka_ConsumerGroupDescription_member_count(found[0]));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const auto* member = rd_kafka_ConsumerGroupDescription_member(found[0], i);
    result[i] = {
        .member_id = text(rd_kafka_MemberDescription_consumer_id(member)),
        .client_id = text(rd_kafka_MemberDescription_client_id(member)),
        .instance_id = text(rd_kafka_MemberDescription_group_instance_id(member)),
        .assignment = names_of(rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(member)))};
  }
  return result;
}

std::optional<RawOffset> RawAdmin::committed(const std::string& group, const std::string& topic,
                                             std::int32_t partition) const {
  Settings settings = settings_;
  settings["group.id"] = group;
  const RawConsumer asker(settings);
  const auto list = owned(rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy);
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
  check(rd_kafka_committed(asker.get(), list.get(), ms(kPatience)), "the committed offset of " + group);
  const rd_kafka_topic_partition_t& found = list->elems[0];
  check(found.err, "the committed offset of " + group);
  if (found.offset < 0) return std::nullopt;
  return RawOffset{.offset = found.offset,
                   .metadata = std::string(static_cast<const char*>(found.metadata), found.metadata_size)};
}

void RawAdmin::commit(const std::string& group, const std::string& topic, std::int32_t partition,
                      const RawOffset& offset) {
  Settings settings = settings_;
  settings["group.id"] = group;
  const RawConsumer committer(settings);
  const auto list = owned(rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy);
  auto* entry = rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
  entry->offset = offset.offset;
  std::string metadata = offset.metadata;
  entry->metadata = metadata.data();
  entry->metadata_size = metadata.size();
  const auto error = rd_kafka_commit(committer.get(), list.get(), 0);
  entry->metadata = nullptr;  // the list would free it
  entry->metadata_size = 0;
  check(error, "committing for " + group);
}

void RawAdmin::delete_group(const std::string& group) {
  const std::string what = "deleting group " + group;
  const auto request = owned(rd_kafka_DeleteGroup_new(group.c_str()), rd_kafka_DeleteGroup_destroy);
  rd_kafka_DeleteGroup_t* requests = request.get();
  const Event event =
      ask(get(), [&](const auto* options, auto* queue) { rd_kafka_DeleteGroups(get(), &requests, 1, options, queue); });
  check(error_of(event), what);
  std::size_t count = 0;
  const auto** results = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event.get()), &count);
  if (count == 0) fail(RD_KAFKA_RESP_ERR__FAIL, what);
  if (const auto* error = rd_kafka_group_result_error(results[0])) fail(rd_kafka_error_code(error), what);
}

}  // namespace lrpc::queue::kafka::test
