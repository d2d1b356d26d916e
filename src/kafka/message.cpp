// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/message.hpp"

#include <string>
#include <utility>

namespace lrpc::queue::kafka {

namespace {

/// They lie in the message; the list is the thread's, until the next call.
std::span<const RecordHeader> views_of(const rd_kafka_message_t& message) {
  thread_local std::vector<RecordHeader> headers;
  headers.clear();
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

}  // namespace

RecordHeaders headers_of(const rd_kafka_message_t& message) {
  const auto views = views_of(message);
  return {views.begin(), views.end()};
}

ReadRecord read_message(const rd_kafka_message_t& message) {
  // Only who has no key may need it.
  const std::string place =
      message.key_len == 0 ? std::to_string(message.partition) + "-" + std::to_string(message.offset) : std::string();
  return read_record(bytes_of(message.key, message.key_len),
                     std::as_bytes(std::span(bytes_of(message.payload, message.len))), views_of(message),
                     rd_kafka_message_timestamp(&message, nullptr), place);
}

}  // namespace lrpc::queue::kafka
