// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

/// \file
/// How a message lies in a stream: the manual's six fields `id`, `body`, `timestamp`, `channel`, `expires_at`,
/// `attempts`, and ours, only when used: `headers`, `key`, `enqueued_at_ms` (docs: contract section 6).

namespace lrpc::queue::redis {

using Field = std::pair<std::string_view, std::string_view>;

/// The fields of ours that a message uses, names and values in turn. `invalid_argument` for a header that is not UTF-8:
/// headers travel as JSON.
[[nodiscard]] Result<std::vector<std::string>> further_fields(const Outgoing& out);

/// An entry as it was read.
struct Entry {
  EnvelopePtr message{};      ///< Its body still encoded. There also for a malformed entry, as far as it could be read.
  std::int64_t attempts = 0;  ///< Deliveries before this entry was made.
  std::string malformed{};    ///< Set: what is wrong with it (D13).
};

/// Reads an entry, of whatever program. Unknown fields are passed over, missing ones replaced: the id by the entry's,
/// the times by the milliseconds in it. Only an entry without body, or with a number, time or headers that are none, is
/// malformed. Never throws but std::bad_alloc.
[[nodiscard]] Entry read_entry(std::string_view entry_id, const std::vector<Field>& fields);

}  // namespace lrpc::queue::redis
