// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

/// \file
/// How a message lies in a record: value, key and the manual's five headers `id`, `timestamp`, `expires_at`,
/// `attempts`, `channel`; ours only when used: `retry_due_ms` (when it is due) and `retry_enqueued_ms` (when it first
/// became ready, where the record's own time does not tell). All others are the user's (contract section 7).

namespace lrpc::queue::kafka {

using RecordHeaders = std::vector<std::pair<std::string, std::string>>;
/// A header, name and value, that lies elsewhere.
using RecordHeader = std::pair<std::string_view, std::string_view>;

/// The headers of a message.
struct Stamp {
  std::int64_t attempts = 0;             ///< Deliveries before this record.
  std::string_view channel{};            ///< Empty when published to the topic.
  std::optional<std::int64_t> due_ms{};  ///< Not to be delivered before, on the wall clock.
  bool other_time = false;               ///< The record bears another time than the message's enqueued_at.
};
/// The time that a record is to bear for `wall_ms`; 0 where brokers might refuse that, because it is not near the
/// machine's own time: then they get that.
[[nodiscard]] std::int64_t record_time(std::int64_t wall_ms);
[[nodiscard]] RecordHeaders headers_of(const Envelope& message, const Stamp& stamp);

/// The same without copies.
class HeaderList {
 public:
  /// What is given must live as long as the result, which the next call replaces.
  std::span<const RecordHeader> set(const Envelope& message, std::string_view id, const Stamp& stamp);

 private:
  void add_number(std::string_view name, std::int64_t value);

  static constexpr std::size_t kNumbers = 5;
  std::vector<RecordHeader> list_;
  std::array<std::array<char, 20>, kNumbers> digits_{};  // of the list's numbers
  std::size_t numbers_ = 0;
};

/// The record's key: the message's own, else its id.
[[nodiscard]] std::string key_of(const Envelope& message);
/// `invalid_argument` for a header that bears a reserved name.
[[nodiscard]] Result<void> check_headers(const Envelope& message);

/// A record as it was read.
struct ReadRecord {
  EnvelopePtr message{};  ///< Its body still encoded. There also for a malformed record, as far as it could be read.
  std::int64_t attempts = 0;  ///< Deliveries before this record was made.
  std::optional<std::int64_t> due_ms{};
  std::string malformed{};  ///< Set: what is wrong with it (D13).
};

/// Reads a record, of whatever program: missing headers are replaced (the id by the key, the times by the record's
/// own), those that are no numbers make it malformed. `timestamp_ms` is the record's; `place` its id where it has
/// neither header nor key. Never throws but std::bad_alloc.
[[nodiscard]] ReadRecord read_record(std::string_view key, std::span<const std::byte> value,
                                     std::span<const RecordHeader> headers, std::int64_t timestamp_ms,
                                     std::string_view place);

/// A number from 0 on, in decimal; nothing else.
[[nodiscard]] std::optional<std::int64_t> parse_number(std::string_view text);

}  // namespace lrpc::queue::kafka
