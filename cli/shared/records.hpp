// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <lrpc/queue/channel.hpp>
#include <lrpc/queue/message.hpp>
#include <lrpc/queue/types.hpp>

#include "shared/raw_body.hpp"

/// \file
/// Messages as lines of output. Every line includes its newline.

namespace lrpc::queue::cli {

/// A message given up.
struct DeadLetterRecord {
  std::string id{};
  std::string_view body{};  ///< Encoded.
  int attempts = 0;
  std::string_view reason{};
  std::string_view error{};
  TimePoint first_at{};
  TimePoint last_at{};
};

/// The letter as a record, which refers to it.
[[nodiscard]] DeadLetterRecord record_of(const DeadLetter<RawBody>& letter);
/// The record as one line of JSON. Instants are RFC 3339 in UTC with milliseconds.
[[nodiscard]] std::string to_json_line(const DeadLetterRecord& record);
/// The same for people: id, last_at, reason, attempts, error and body, with tabs between them.
[[nodiscard]] std::string to_text_line(const DeadLetterRecord& record);

/// A message as one line of JSON with the keys id, body, attempts, key, headers, timestamp.
[[nodiscard]] std::string to_json_line(const Message<RawBody>& message);
/// Its body alone, a JSON string as its text.
[[nodiscard]] std::string to_text_line(const Message<RawBody>& message);
/// One of the two.
[[nodiscard]] std::string to_line(const Message<RawBody>& message, bool json);

}  // namespace lrpc::queue::cli
