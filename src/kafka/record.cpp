// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/record.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>

namespace lrpc::queue::kafka {
namespace {

constexpr std::string_view kId = "id";
constexpr std::string_view kTimestamp = "timestamp";
constexpr std::string_view kExpiresAt = "expires_at";
constexpr std::string_view kAttempts = "attempts";
constexpr std::string_view kChannel = "channel";
constexpr std::string_view kDue = "retry_due_ms";
constexpr std::string_view kEnqueued = "retry_enqueued_ms";
constexpr std::array kManualHeaders{kId, kTimestamp, kExpiresAt, kAttempts, kChannel};

bool is_reserved(std::string_view name) {
  return std::ranges::find(kManualHeaders, name) != kManualHeaders.end() || name.starts_with("dlq_") ||
         name.starts_with("retry_");
}

}  // namespace

std::int64_t record_time(std::int64_t wall_ms) {
  // A broker's own default for what lies ahead is an hour.
  constexpr std::chrono::minutes kNear(10);
  const auto off = std::chrono::system_clock::now().time_since_epoch() - std::chrono::milliseconds(wall_ms);
  return off < kNear && off > -kNear ? wall_ms : 0;
}

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

void HeaderList::add_number(std::string_view name, std::int64_t value) {
  auto& digits = digits_.at(numbers_++);
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  list_.emplace_back(name, std::string_view(digits.data(), end));
}

std::span<const RecordHeader> HeaderList::set(const Envelope& message, std::string_view id, const Stamp& stamp) {
  list_.clear();
  numbers_ = 0;
  list_.emplace_back(kId, id);
  add_number(kTimestamp, message.timestamp());
  add_number(kExpiresAt, message.expires_at());
  add_number(kAttempts, stamp.attempts);
  list_.emplace_back(kChannel, stamp.channel);
  if (stamp.due_ms) add_number(kDue, *stamp.due_ms);
  if (stamp.other_time || message.enqueued_at_ms() / 1000 != message.timestamp() ||
      record_time(message.enqueued_at_ms()) == 0) {
    add_number(kEnqueued, message.enqueued_at_ms());
  }
  for (const auto& [name, value] : message.headers()) list_.emplace_back(name, value);
  return list_;
}

RecordHeaders headers_of(const Envelope& message, const Stamp& stamp) {
  HeaderList list;
  const std::string id = message.id();
  const auto headers = list.set(message, id, stamp);
  return {headers.begin(), headers.end()};
}

std::string key_of(const Envelope& message) { return message.key().empty() ? message.id() : message.key(); }

Result<void> check_headers(const Envelope& message) {
  for (const auto& [name, value] : message.headers()) {
    if (!is_reserved(name)) continue;
    return fail(ErrorCode::invalid_argument, "message " + message.id() + ": the header " + name +
                                                 " is reserved on Kafka (id, timestamp, expires_at, attempts, channel, "
                                                 "and what begins with dlq_ or retry_)");
  }
  return {};
}

ReadRecord read_record(std::string_view key, std::span<const std::byte> value, std::span<const RecordHeader> headers,
                       std::int64_t timestamp_ms, std::string_view place) {
  timestamp_ms = std::max<std::int64_t>(timestamp_ms, 0);  // -1: it has none
  ReadRecord record{.message = Envelope::copy_encoded(value)};
  Envelope& message = *record.message;
  std::string_view id = key.empty() ? place : key;
  constexpr std::int64_t kAbsent = -1;
  std::int64_t timestamp = timestamp_ms / 1000;
  std::int64_t enqueued_ms = kAbsent;
  std::int64_t due_ms = kAbsent;
  std::int64_t expires_at = 0;
  const auto take = [&](std::string_view name, std::string_view text, std::int64_t& into) {
    if (const auto number = parse_number(text)) {
      into = *number;
    } else if (record.malformed.empty()) {
      record.malformed = "the header " + std::string(name) + " is no number from 0 on";
    }
  };
  for (const auto& [name, text] : headers) {
    if (name == kId) {
      if (!text.empty()) id = text;
    } else if (name == kTimestamp) {
      take(name, text, timestamp);
    } else if (name == kExpiresAt) {
      take(name, text, expires_at);
    } else if (name == kAttempts) {
      take(name, text, record.attempts);
    } else if (name == kDue) {
      take(name, text, due_ms);
    } else if (name == kEnqueued) {
      take(name, text, enqueued_ms);
    } else if (!is_reserved(name)) {
      message.set_header(std::string(name), std::string(text));
    }
  }
  constexpr std::int64_t kMostSeconds = std::numeric_limits<std::int64_t>::max() / 1000;
  if (timestamp > kMostSeconds) {
    timestamp = kMostSeconds;
    if (record.malformed.empty()) record.malformed = "the header timestamp is no time in seconds";
  }
  message.set_id(id);
  if (key != id) message.set_key(std::string(key));
  if (due_ms != kAbsent) record.due_ms = due_ms;
  message.set_timestamp(timestamp);
  message.set_expires_at(expires_at);
  // The record's own time is finer than the second of the header, but another program's clock may have set it.
  const bool same_second = timestamp_ms / 1000 == message.timestamp();
  if (enqueued_ms == kAbsent) enqueued_ms = same_second ? timestamp_ms : message.timestamp() * 1000;
  message.set_enqueued_at_ms(enqueued_ms);
  return record;
}

}  // namespace lrpc::queue::kafka
