// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/records.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace lrpc::queue::cli {

namespace {

std::string rfc3339(TimePoint instant) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(instant);
  const auto s = std::chrono::floor<std::chrono::seconds>(ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(s), (ms - s).count());
}

/// `text` without what would end a column or a line, or drive a terminal.
std::string printable(std::string_view text) {
  std::string result(text);
  std::ranges::replace_if(result, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return result;
}

}  // namespace

DeadLetterRecord record_of(const DeadLetter<RawBody>& letter) {
  const auto* const raw = reinterpret_cast<const char*>(letter.raw.data());
  return {.id = letter.id,
          .body = letter.message ? std::string_view(letter.message->body().bytes)
                                 : std::string_view(raw, letter.raw.size()),
          .attempts = letter.attempts,
          .reason = letter.reason,
          .error = letter.error,
          .first_at = letter.first_at,
          .last_at = letter.last_at};
}

std::string to_json_line(const DeadLetterRecord& record) {
  return fmt::format(
      "{{\"id\":{},{},\"attempts\":{},\"reason\":{},\"error\":{},\"first_at\":\"{}\",\"last_at\":\"{}\"}}\n",
      json_quoted(record.id), body_members(record.body), record.attempts, json_quoted(record.reason),
      json_quoted(record.error), rfc3339(record.first_at), rfc3339(record.last_at));
}

std::string to_text_line(const DeadLetterRecord& record) {
  return fmt::format("{}\t{}\t{}\t{}\t{}\t{}\n", printable(record.id), rfc3339(record.last_at), record.reason,
                     record.attempts, printable(record.error), printable(record.body));
}

std::string to_json_line(const Message<RawBody>& message) {
  std::string headers;
  for (const auto& [name, value] : message.headers()) {
    headers += fmt::format("{}{}:{}", headers.empty() ? "" : ",", json_quoted(name), json_quoted(value));
  }
  return fmt::format("{{\"id\":{},{},\"attempts\":{},\"key\":{},\"headers\":{{{}}},\"timestamp\":{}}}\n",
                     json_quoted(message.id()), body_members(message.body().bytes), message.attempts(),
                     json_quoted(message.key()), headers, message.timestamp());
}

std::string to_text_line(const Message<RawBody>& message) { return body_text(message.body()) + '\n'; }

std::string to_line(const Message<RawBody>& message, bool json) {
  return json ? to_json_line(message) : to_text_line(message);
}

}  // namespace lrpc::queue::cli
