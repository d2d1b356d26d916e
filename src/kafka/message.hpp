// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <librdkafka/rdkafka.h>

#include "kafka/record.hpp"

/// \file
/// A message of librdkafka as our record.

namespace lrpc::queue::kafka {

[[nodiscard]] inline std::string_view bytes_of(const void* data, std::size_t size) {
  return data == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(data), size);
}

[[nodiscard]] RecordHeaders headers_of(const rd_kafka_message_t& message);
[[nodiscard]] ReadRecord read_message(const rd_kafka_message_t& message);

}  // namespace lrpc::queue::kafka
