// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lrpc::queue {

/// A ULID in its 16-byte form: 48 bits of unix milliseconds, then 80 bits of randomness
/// (https://github.com/ulid/spec). Ids that are not ULIDs are kept as strings by the message.
struct MessageId {
  std::uint64_t high = 0;  ///< 48 bits of time, 16 bits of randomness.
  std::uint64_t low = 0;   ///< 64 bits of randomness.

  friend constexpr auto operator<=>(const MessageId&, const MessageId&) = default;

  /// The 26 characters of Crockford's base 32, upper case.
  [[nodiscard]] std::string to_string() const;
  /// The unix time in milliseconds that the id carries.
  [[nodiscard]] std::int64_t unix_ms() const noexcept { return static_cast<std::int64_t>(high >> 16U); }
  /// The id that `to_string` would print as `text`; empty for anything else (lower case and aliases included, so
  /// that a parsed id always prints as it was written).
  [[nodiscard]] static std::optional<MessageId> parse(std::string_view text) noexcept;
  /// A new id for the wall-clock time `unix_ms`. Ids made by one thread strictly increase, also within a
  /// millisecond and when the clock goes backwards; ids of several threads and processes differ by their
  /// 80 random bits. Thread-safe, no lock, safe after fork.
  [[nodiscard]] static MessageId generate(std::int64_t unix_ms) noexcept;
};

/// A new message id as text: a ULID of now, monotonic within the calling thread.
[[nodiscard]] std::string generate_message_id();

}  // namespace lrpc::queue
