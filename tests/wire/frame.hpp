// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include <lrpc/queue/envelope.hpp>
#include <lrpc/queue/types.hpp>

/// \file
/// The bytes of the wire back end: little-endian integers, strings and byte blocks with a 32-bit length before them,
/// and the frame in which a message is stored.

namespace lrpc::queue::wire {

/// Appends values to a byte buffer.
class Writer {
 public:
  Writer& u8(std::uint8_t value) { return number(value, 1); }
  Writer& u32(std::uint32_t value) { return number(value, 4); }
  Writer& u64(std::uint64_t value) { return number(value, 8); }
  Writer& i64(std::int64_t value) { return u64(static_cast<std::uint64_t>(value)); }
  Writer& flag(bool value) { return u8(value ? 1 : 0); }
  Writer& block(std::span<const std::byte> bytes);
  /// Bytes without a length before them.
  Writer& raw(const Bytes& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Writer& text(std::string_view text) { return block(std::as_bytes(std::span(text))); }

  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }
  [[nodiscard]] Bytes take() noexcept { return std::move(bytes_); }

 private:
  Writer& number(std::uint64_t value, int width);
  Bytes bytes_;
};

/// Reads values from a byte buffer. What is missing or out of range reads as zero or empty and makes `complete` false
/// for good, so that callers check once at the end.
class Reader {
 public:
  Reader() = default;
  explicit Reader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::int64_t i64() { return static_cast<std::int64_t>(number(8)); }
  bool flag();
  std::span<const std::byte> block();
  std::string text();
  /// A count of elements that take at least one byte each: never more than there are bytes left.
  std::uint32_t count();

  /// Nothing was missing so far.
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  /// Nothing was missing and nothing is left over.
  [[nodiscard]] bool complete() const noexcept { return ok_ && rest_.empty(); }

 private:
  std::uint64_t number(std::size_t width);
  std::span<const std::byte> take(std::size_t size);

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

/// A message as stored.
struct StoredMessage {
  std::string id{};
  Bytes body{};
  std::int64_t timestamp = 0;       ///< Unix seconds.
  std::int64_t expires_at = 0;      ///< Unix seconds, 0 = never.
  bool expiry_set = false;          ///< The expiry is the user's own: a channel's ttl does not cap "never" (D12).
  std::int64_t attempts = 0;        ///< Deliveries before this entry was stored.
  std::int64_t enqueued_at_ms = 0;  ///< Unix milliseconds.
  std::string key{};
  Headers headers{};

  friend bool operator==(const StoredMessage&, const StoredMessage&) = default;
};

[[nodiscard]] Bytes encode_frame(const StoredMessage& message);
/// The inverse. Strict: anything that encode_frame would not have written is refused, with the reason.
[[nodiscard]] std::expected<StoredMessage, std::string> decode_frame(std::span<const std::byte> frame);

/// What the frame of an encoded envelope holds.
[[nodiscard]] StoredMessage to_stored(const Envelope& envelope);
/// The envelope of a stored message, its body still encoded.
[[nodiscard]] EnvelopePtr to_envelope(StoredMessage message);
/// Stands in for a frame that cannot be read: its bytes as the body, an id made of the entry's number.
[[nodiscard]] EnvelopePtr malformed_envelope(std::span<const std::byte> frame, std::uint64_t slot);
/// The id that malformed_envelope gives.
[[nodiscard]] std::string malformed_id(std::uint64_t slot);

}  // namespace lrpc::queue::wire
