// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <librdkafka/rdkafka.h>

/// \file
/// Owners of librdkafka's objects.

namespace lrpc::queue::kafka {

/// Gives an object back by the function that librdkafka has for it.
template <auto Destroy>
struct Destroyer {
  template <class T>
  void operator()(T* object) const noexcept {
    Destroy(object);
  }
};

template <class T, auto Destroy>
using Owner = std::unique_ptr<T, Destroyer<Destroy>>;

/// Ends a client without a consumer's leaving of its group, which may wait for the broker: who wants that does it
/// before, with a bound.
inline void destroy_client(rd_kafka_t* client) noexcept {
  rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

using ConfPtr = Owner<rd_kafka_conf_t, rd_kafka_conf_destroy>;
using TopicConfPtr = Owner<rd_kafka_topic_conf_t, rd_kafka_topic_conf_destroy>;
using ClientPtr = Owner<rd_kafka_t, destroy_client>;
using TopicPtr = Owner<rd_kafka_topic_t, rd_kafka_topic_destroy>;
using QueuePtr = Owner<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using EventPtr = Owner<rd_kafka_event_t, rd_kafka_event_destroy>;
using MessagePtr = Owner<rd_kafka_message_t, rd_kafka_message_destroy>;
using HeadersPtr = Owner<rd_kafka_headers_t, rd_kafka_headers_destroy>;
using ErrorPtr = Owner<rd_kafka_error_t, rd_kafka_error_destroy>;
using PartitionsPtr = Owner<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>;
using GroupMetadataPtr = Owner<rd_kafka_consumer_group_metadata_t, rd_kafka_consumer_group_metadata_destroy>;

using AdminOptionsPtr = Owner<rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy>;
using NewTopicPtr = Owner<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy>;
using NewPartitionsPtr = Owner<rd_kafka_NewPartitions_t, rd_kafka_NewPartitions_destroy>;
using DeleteTopicPtr = Owner<rd_kafka_DeleteTopic_t, rd_kafka_DeleteTopic_destroy>;
using DeleteRecordsPtr = Owner<rd_kafka_DeleteRecords_t, rd_kafka_DeleteRecords_destroy>;
using DeleteGroupPtr = Owner<rd_kafka_DeleteGroup_t, rd_kafka_DeleteGroup_destroy>;
using DeleteOffsetsPtr = Owner<rd_kafka_DeleteConsumerGroupOffsets_t, rd_kafka_DeleteConsumerGroupOffsets_destroy>;
using ConfigResourcePtr = Owner<rd_kafka_ConfigResource_t, rd_kafka_ConfigResource_destroy>;
using ListOffsetsPtr = Owner<rd_kafka_ListConsumerGroupOffsets_t, rd_kafka_ListConsumerGroupOffsets_destroy>;
using AlterOffsetsPtr = Owner<rd_kafka_AlterConsumerGroupOffsets_t, rd_kafka_AlterConsumerGroupOffsets_destroy>;

/// rd_kafka_metadata_t is const when librdkafka gives it.
struct MetadataFree {
  void operator()(const rd_kafka_metadata_t* metadata) const noexcept { rd_kafka_metadata_destroy(metadata); }
};
using MetadataPtr = std::unique_ptr<const rd_kafka_metadata_t, MetadataFree>;

}  // namespace lrpc::queue::kafka
