// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "kafka/admin.hpp"
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

std::string of_group(std::string_view what, std::string_view group) {
  return std::string(what) + " of Kafka group \"" + std::string(group) + '"';
}

std::span<const rd_kafka_topic_partition_t> elements(const rd_kafka_topic_partition_list_t* list) {
  if (list == nullptr) return {};
  return {list->elems, static_cast<std::size_t>(list->cnt)};
}

std::string partition_name(const rd_kafka_topic_partition_t& partition) {
  return std::string(partition.topic) + "[" + std::to_string(partition.partition) + "]";
}

/// The first failure among the partitions of a reply.
Result<void> check_partitions(const rd_kafka_topic_partition_list_t* list, std::string_view what) {
  for (const auto& each : elements(list)) {
    if (each.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return failed(each.err, std::string(what) + ", " + partition_name(each));
    }
  }
  return {};
}

Committed committed_of(const rd_kafka_topic_partition_t& partition) {
  Committed result{.offset = partition.offset >= 0 ? partition.offset : -1};
  if (partition.metadata != nullptr) {
    // librdkafka has copied it as a text that ends with the first zero, whatever the size says.
    const auto* const text = static_cast<const char*>(partition.metadata);
    result.metadata.assign(text, strnlen(text, partition.metadata_size));
  }
  return result;
}

PartitionsPtr list_of_commits(std::span<const OffsetCommit> commits) {
  PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(commits.size())));
  for (const OffsetCommit& each : commits) {
    auto* const entry =
        rd_kafka_topic_partition_list_add(list.get(), each.partition.topic.c_str(), each.partition.partition);
    entry->offset = each.offset;
    if (!each.metadata.empty()) {
      entry->metadata = rd_kafka_mem_malloc(nullptr, each.metadata.size());
      std::ranges::copy(each.metadata, static_cast<char*>(entry->metadata));
      entry->metadata_size = each.metadata.size();
    }
  }
  return list;
}

/// The error of a whole group, then of its partitions.
Result<void> check_group(const rd_kafka_group_result_t** results, std::size_t count, std::string_view what) {
  if (count == 0) return failed(RD_KAFKA_RESP_ERR__BAD_MSG, what);
  if (const rd_kafka_error_t* const error = rd_kafka_group_result_error(results[0])) {
    return failed(rd_kafka_error_code(error), what, rd_kafka_error_string(error));
  }
  return check_partitions(rd_kafka_group_result_partitions(results[0]), what);
}

}  // namespace

Result<PartitionsPtr> Admin::committed_list(const std::string& group, const rd_kafka_topic_partition_list_t* partitions,
                                            SteadyTime deadline) {
  const std::string what = of_group("read the offsets", group);
  const ListOffsetsPtr request(rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), partitions));
  rd_kafka_ListConsumerGroupOffsets_t* raw = request.get();
  PartitionsPtr list;
  auto done = ask(
      RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, what, deadline,
      [&](rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_ListConsumerGroupOffsets(client, &raw, 1, options, replies);
      },
      [&](rd_kafka_event_t* reply) -> Result<void> {
        std::size_t count = 0;
        const auto results = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(reply), &count);
        if (auto ok = check_group(results, count, what); !ok) return ok;
        list.reset(rd_kafka_topic_partition_list_copy(rd_kafka_group_result_partitions(results[0])));
        return {};
      });
  if (!done) return std::unexpected(std::move(done.error()));
  return list;
}

Result<std::vector<Committed>> Admin::committed(const std::string& group, std::span<const TopicPartition> partitions,
                                                SteadyTime deadline) {
  std::vector<Committed> result(partitions.size());
  if (partitions.empty()) return result;
  auto list = committed_list(group, list_of(partitions).get(), deadline);
  if (!list) return std::unexpected(std::move(list.error()));
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    const auto* const entry =
        rd_kafka_topic_partition_list_find(list->get(), partitions[i].topic.c_str(), partitions[i].partition);
    if (entry != nullptr) result[i] = committed_of(*entry);
  }
  return result;
}

Result<std::map<TopicPartition, Committed>> Admin::committed(const std::string& group, SteadyTime deadline) {
  auto list = committed_list(group, nullptr, deadline);
  if (!list) return std::unexpected(std::move(list.error()));
  std::map<TopicPartition, Committed> result;
  for (const auto& each : elements(list->get())) {
    result.emplace(TopicPartition{.topic = each.topic, .partition = each.partition}, committed_of(each));
  }
  return result;
}

Result<void> Admin::commit(const std::string& group, std::span<const OffsetCommit> offsets, SteadyTime deadline) {
  if (offsets.empty()) return {};
  const std::string what = of_group("commit the offsets", group);
  const AlterOffsetsPtr request(rd_kafka_AlterConsumerGroupOffsets_new(group.c_str(), list_of_commits(offsets).get()));
  rd_kafka_AlterConsumerGroupOffsets_t* raw = request.get();
  return ask(
      RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, what, deadline,
      [&](rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_AlterConsumerGroupOffsets(client, &raw, 1, options, replies);
      },
      [&](rd_kafka_event_t* reply) {
        std::size_t count = 0;
        const auto results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(reply), &count);
        return check_group(results, count, what);
      });
}

Result<void> Admin::delete_group(const std::string& group, SteadyTime deadline) {
  const std::string what = "delete Kafka group \"" + group + '"';
  const DeleteGroupPtr request(rd_kafka_DeleteGroup_new(group.c_str()));
  rd_kafka_DeleteGroup_t* raw = request.get();
  auto done = ask(
      RD_KAFKA_ADMIN_OP_DELETEGROUPS, what, deadline,
      [&](rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_DeleteGroups(client, &raw, 1, options, replies);
      },
      [&](rd_kafka_event_t* reply) {
        std::size_t count = 0;
        const auto results = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(reply), &count);
        return check_group(results, count, what);
      });
  if (!done && done.error().native_code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) return {};
  return done;
}

Result<void> Admin::delete_offsets(const std::string& group, std::span<const TopicPartition> partitions,
                                   SteadyTime deadline) {
  const std::string what = of_group("delete offsets", group);
  const DeleteOffsetsPtr request(rd_kafka_DeleteConsumerGroupOffsets_new(group.c_str(), list_of(partitions).get()));
  rd_kafka_DeleteConsumerGroupOffsets_t* raw = request.get();
  return ask(
      RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS, what, deadline,
      [&](rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_DeleteConsumerGroupOffsets(client, &raw, 1, options, replies);
      },
      [&](rd_kafka_event_t* reply) {
        std::size_t count = 0;
        const auto results = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
            rd_kafka_event_DeleteConsumerGroupOffsets_result(reply), &count);
        return check_group(results, count, what);
      });
}

Result<std::vector<GroupMember>> Admin::group_members(const std::string& group, SteadyTime deadline) {
  const std::string what = of_group("look at the members", group);
  const char* raw = group.c_str();
  std::vector<GroupMember> members;
  auto done = ask(
      RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, what, deadline,
      [&](rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_DescribeConsumerGroups(client, &raw, 1, options, replies);
      },
      [&](rd_kafka_event_t* reply) -> Result<void> {
        std::size_t count = 0;
        const auto groups =
            rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(reply), &count);
        if (count == 0) return failed(RD_KAFKA_RESP_ERR__BAD_MSG, what);
        const auto* const found = groups[0];
        if (const rd_kafka_error_t* const error = rd_kafka_ConsumerGroupDescription_error(found)) {
          if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) return {};
          if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return failed(rd_kafka_error_code(error), what, rd_kafka_error_string(error));
          }
        }
        members.clear();
        const auto text = [](const char* value) { return std::string(value != nullptr ? value : ""); };
        for (std::size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(found); ++i) {
          const auto* const each = rd_kafka_ConsumerGroupDescription_member(found, i);
          GroupMember& member = members.emplace_back();
          member = {.id = text(rd_kafka_MemberDescription_consumer_id(each)),
                    .client_id = text(rd_kafka_MemberDescription_client_id(each)),
                    .host = text(rd_kafka_MemberDescription_host(each)),
                    .instance_id = text(rd_kafka_MemberDescription_group_instance_id(each))};
          if (const auto* const assignment = rd_kafka_MemberDescription_assignment(each)) {
            for (const auto& partition : elements(rd_kafka_MemberAssignment_partitions(assignment))) {
              member.partitions.push_back({.topic = partition.topic, .partition = partition.partition});
            }
          }
        }
        return {};
      });
  if (!done) return std::unexpected(std::move(done.error()));
  return members;
}

Result<std::vector<std::string>> Admin::list_groups(SteadyTime deadline) {
  constexpr std::string_view kWhat = "list Kafka groups";
  std::vector<std::string> names;
  auto done = ask(
      RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, kWhat, deadline,
      [&](rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_ListConsumerGroups(client, options, replies);
      },
      [&](rd_kafka_event_t* reply) -> Result<void> {
        const auto* const result = rd_kafka_event_ListConsumerGroups_result(reply);
        std::size_t count = 0;
        // Each broker answers for its groups: one that did not leaves the list incomplete.
        if (const auto errors = rd_kafka_ListConsumerGroups_result_errors(result, &count); count > 0) {
          return failed(rd_kafka_error_code(errors[0]), kWhat, rd_kafka_error_string(errors[0]));
        }
        names.clear();
        const auto groups = rd_kafka_ListConsumerGroups_result_valid(result, &count);
        for (const auto* const each : std::span(groups, count)) {
          names.emplace_back(rd_kafka_ConsumerGroupListing_group_id(each));
        }
        return {};
      });
  if (!done) return std::unexpected(std::move(done.error()));
  std::ranges::sort(names);
  return names;
}

Result<std::vector<std::int64_t>> Admin::list_offsets(std::span<const TopicPartition> partitions, std::int64_t which,
                                                      SteadyTime deadline) {
  constexpr std::string_view kWhat = "read the offsets of Kafka partitions";
  std::vector<std::int64_t> offsets(partitions.size());
  const auto once = [&]() -> Result<void> {
    const SteadyTime began = std::chrono::steady_clock::now();
    const auto client = this->client(kWhat);
    if (!client) return std::unexpected(client.error());
    PartitionsPtr list;
    // The call cannot be ended, so it is made in pieces that grow.
    auto code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (std::int64_t piece = 200; code == RD_KAFKA_RESP_ERR__TIMED_OUT;
         piece = std::min<std::int64_t>(2 * piece, 4'000)) {
      const auto now = std::chrono::steady_clock::now();
      if (list && (now >= deadline || EndWith::now())) break;
      list = list_of(partitions);
      for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = which;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now).count();
      code = rd_kafka_offsets_for_times(client->get(), list.get(),
                                        static_cast<int>(std::clamp<std::int64_t>(left, 1, piece)));
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (auto reason = hopeless(kWhat, began)) return std::unexpected(std::move(*reason));
      return failed(code, kWhat);
    }
    if (auto ok = check_partitions(list.get(), kWhat); !ok) return ok;
    for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = list->elems[i].offset;
    return {};
  };
  if (auto done = attempt(max_attempts_, deadline, once); !done) return std::unexpected(std::move(done.error()));
  return offsets;
}

Result<std::vector<Watermarks>> Admin::watermarks(std::span<const TopicPartition> partitions, SteadyTime deadline) {
  std::vector<Watermarks> result(partitions.size());
  if (partitions.empty()) return result;
  // The low ones first: what is deleted between the two questions makes a range too long, never one that is reversed.
  auto low = list_offsets(partitions, RD_KAFKA_OFFSET_BEGINNING, deadline);
  if (!low) return std::unexpected(std::move(low.error()));
  auto high = list_offsets(partitions, RD_KAFKA_OFFSET_END, deadline);
  if (!high) return std::unexpected(std::move(high.error()));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = {.low = (*low)[i], .high = (*high)[i]};
  return result;
}

Result<void> Admin::delete_records(std::span<const OffsetCommit> before, SteadyTime deadline) {
  if (before.empty()) return {};
  constexpr std::string_view kWhat = "delete records of Kafka partitions";
  const DeleteRecordsPtr request(rd_kafka_DeleteRecords_new(list_of_commits(before).get()));
  rd_kafka_DeleteRecords_t* raw = request.get();
  return ask(
      RD_KAFKA_ADMIN_OP_DELETERECORDS, kWhat, deadline,
      [&](rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies) {
        rd_kafka_DeleteRecords(client, &raw, 1, options, replies);
      },
      [&](rd_kafka_event_t* reply) {
        return check_partitions(rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(reply)),
                                kWhat);
      });
}

}  // namespace lrpc::queue::kafka
