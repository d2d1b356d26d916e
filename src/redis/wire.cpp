// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/wire.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include <nlohmann/json.hpp>

namespace lrpc::queue::redis {
namespace {

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// Reads a JSON object of strings; false for anything else.
bool read_headers(std::string_view text, Envelope& message) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) return false;
    message.set_header(name, value.get<std::string>());
  }
  return true;
}

/// Takes the fields of an entry in, one by one.
class FieldReader {
 public:
  FieldReader(Entry& entry, std::string_view entry_id) : entry_(entry), entry_id_(entry_id) {
    // "<milliseconds>-<number>"
    enqueued_at_ms_ = number(entry_id.substr(0, entry_id.find('-'))).value_or(0);
    timestamp_ = enqueued_at_ms_ / 1000;
  }

  void take(const Field& field) {
    const auto& [name, value] = field;
    if (name == "timestamp") {
      take_number(name, value, timestamp_);
    } else if (name == "expires_at") {
      take_number(name, value, expires_at_);
    } else if (name == "attempts") {
      take_number(name, value, entry_.attempts);
    } else if (name == "enqueued_at_ms") {
      take_number(name, value, enqueued_at_ms_);
    } else if (name == "id") {
      if (!value.empty()) entry_.message->set_id(value);
    } else if (name == "key") {
      entry_.message->set_key(std::string(value));
    } else if (name == "headers" && !read_headers(value, *entry_.message)) {
      complain("headers is no JSON object of strings");
    }
  }

  void finish() {
    Envelope& m = *entry_.message;
    if (!m.has_id()) m.set_id(entry_id_);
    m.set_timestamp(timestamp_);
    m.set_expires_at(expires_at_);
    m.set_enqueued_at_ms(enqueued_at_ms_);
  }

  void complain(std::string what) {
    if (entry_.malformed.empty()) entry_.malformed = std::move(what);
  }

 private:
  void take_number(std::string_view name, std::string_view value, std::int64_t& into) {
    if (const auto read = number(value)) {
      into = *read;
    } else {
      complain(std::string(name) + " is no number from 0 on");
    }
  }

  Entry& entry_;
  const std::string_view entry_id_;
  std::int64_t timestamp_ = 0;
  std::int64_t expires_at_ = 0;
  std::int64_t enqueued_at_ms_ = 0;
};

}  // namespace

Result<std::vector<std::string>> further_fields(const Outgoing& out) {
  const Envelope& m = *out.message;
  std::vector<std::string> fields;
  if (!m.headers().empty()) {
    try {
      fields.insert(fields.end(), {"headers", nlohmann::json(m.headers()).dump()});
    } catch (const nlohmann::json::exception&) {
      return fail(ErrorCode::invalid_argument,
                  "message " + m.id() + ": a header is not UTF-8, which Redis's wire format (JSON) needs");
    }
  }
  if (!m.key().empty()) fields.insert(fields.end(), {"key", m.key()});
  if (out.delay.count() > 0) fields.insert(fields.end(), {"enqueued_at_ms", std::to_string(m.enqueued_at_ms())});
  return fields;
}

Entry read_entry(std::string_view entry_id, const std::vector<Field>& fields) {
  Entry entry;
  const auto body = std::ranges::find(fields, "body", &Field::first);
  const std::string_view bytes = body != fields.end() ? std::string_view(body->second) : std::string_view();
  entry.message = Envelope::copy_encoded(std::as_bytes(std::span(bytes)));
  FieldReader reader(entry, entry_id);
  if (body == fields.end()) reader.complain("the entry has no body");
  for (const Field& field : fields) reader.take(field);
  // A number of deliveries that no message can have had would overflow later.
  if (entry.attempts > std::numeric_limits<int>::max() / 2) reader.complain("attempts is too large");
  reader.finish();
  return entry;
}

}  // namespace lrpc::queue::redis
