// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/message.hpp"

#include <string>
#include <utility>

namespace lrpc::queue::kafka {

RecordHeaders headers_of(const rd_kafka_message_t& message) {
  RecordHeaders headers;
  rd_kafka_headers_t* raw = nullptr;
  if (rd_kafka_message_headers(&message, &raw) != RD_KAFKA_RESP_ERR_NO_ERROR) return headers;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(raw, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    headers.emplace_back(name, bytes_of(value, size));
  }
  return headers;
}

ReadRecord read_message(const rd_kafka_message_t& message) {
  Bytes value;
  if (const auto* const body = static_cast<const std::byte*>(message.payload)) value.assign(body, body + message.len);
  const std::string place = std::to_string(message.partition) + "-" + std::to_string(message.offset);
  return read_record(bytes_of(message.key, message.key_len), std::move(value), headers_of(message),
                     rd_kafka_message_timestamp(&message, nullptr), place);
}

}  // namespace lrpc::queue::kafka
