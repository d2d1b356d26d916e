// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "frame.hpp"

#include <limits>
#include <utility>

namespace lrpc::queue::wire {

namespace {

constexpr std::uint32_t kMagic = 0x5751524c;  // "LRQW"
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kChecksumSize = 4;

/// FNV-1a: enough to notice a damaged frame, not meant against an adversary.
std::uint32_t checksum(std::span<const std::byte> bytes) {
  std::uint32_t hash = 2166136261U;
  for (const std::byte b : bytes) hash = (hash ^ static_cast<std::uint32_t>(b)) * 16777619U;
  return hash;
}

}  // namespace

Writer& Writer::number(std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
  return *this;
}

Writer& Writer::block(std::span<const std::byte> bytes) {
  u32(static_cast<std::uint32_t>(bytes.size()));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  return *this;
}

std::span<const std::byte> Reader::take(std::size_t size) {
  if (!ok_ || size > rest_.size()) {
    ok_ = false;
    return {};
  }
  const auto front = rest_.first(size);
  rest_ = rest_.subspan(size);
  return front;
}

std::uint64_t Reader::number(std::size_t width) {
  std::uint64_t value = 0;
  std::size_t shift = 0;
  for (const std::byte b : take(width)) {
    value |= static_cast<std::uint64_t>(b) << shift;
    shift += 8;
  }
  return value;
}

bool Reader::flag() {
  const std::uint8_t value = u8();
  if (value > 1) ok_ = false;
  return value == 1;
}

std::span<const std::byte> Reader::block() { return take(u32()); }

std::string Reader::text() {
  const auto bytes = block();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint32_t Reader::count() {
  const std::uint32_t value = u32();
  if (value > rest_.size()) ok_ = false;
  return ok_ ? value : 0;
}

Bytes encode_frame(const StoredMessage& message) {
  Writer out;
  out.u32(kMagic).u8(kVersion).text(message.id).block(message.body);
  out.i64(message.timestamp).i64(message.expires_at).flag(message.expiry_set);
  out.i64(message.attempts).i64(message.enqueued_at_ms).text(message.key);
  out.u32(static_cast<std::uint32_t>(message.headers.size()));
  for (const auto& [name, value] : message.headers) out.text(name).text(value);
  out.u32(checksum(out.bytes()));
  return out.take();
}

std::expected<StoredMessage, std::string> decode_frame(std::span<const std::byte> frame) {
  if (frame.size() < kChecksumSize) return std::unexpected("the frame is too short");
  const auto content = frame.first(frame.size() - kChecksumSize);
  if (Reader(frame.last(kChecksumSize)).u32() != checksum(content)) return std::unexpected("the checksum is wrong");

  Reader in(content);
  if (in.u32() != kMagic) return std::unexpected("the frame does not begin with LRQW");
  if (const auto version = in.u8(); version != kVersion) {
    return std::unexpected("frame version " + std::to_string(version) + " is unknown");
  }
  StoredMessage message;
  message.id = in.text();
  const auto body = in.block();
  message.body.assign(body.begin(), body.end());
  message.timestamp = in.i64();
  message.expires_at = in.i64();
  message.expiry_set = in.flag();
  message.attempts = in.i64();
  message.enqueued_at_ms = in.i64();
  message.key = in.text();
  for (std::uint32_t left = in.count(); left > 0 && in.ok(); --left) {
    std::string name = in.text();
    std::string value = in.text();
    if (!message.headers.empty() && message.headers.rbegin()->first >= name) {
      return std::unexpected("the headers are not sorted");
    }
    message.headers.emplace_hint(message.headers.end(), std::move(name), std::move(value));
  }
  if (!in.complete()) return std::unexpected("a field is cut off or bytes are left over");
  if (message.id.empty()) return std::unexpected("the id is missing");
  if (message.attempts < 0 || message.attempts >= std::numeric_limits<int>::max()) {
    return std::unexpected("attempts is out of range");
  }
  return message;
}

StoredMessage to_stored(const Envelope& envelope) {
  const auto body = envelope.encoded_body();
  return {.id = envelope.id(),
          .body = Bytes(body.begin(), body.end()),
          .timestamp = envelope.timestamp(),
          .expires_at = envelope.expires_at(),
          .expiry_set = envelope.expiry_set(),
          .attempts = 0,
          .enqueued_at_ms = envelope.enqueued_at_ms(),
          .key = envelope.key(),
          .headers = envelope.headers()};
}

EnvelopePtr to_envelope(StoredMessage message) {
  EnvelopePtr envelope = Envelope::make_encoded(std::move(message.body));
  envelope->set_id(message.id);
  envelope->set_timestamp(message.timestamp);
  if (message.expiry_set || message.expires_at != 0) envelope->set_expires_at(message.expires_at);
  envelope->set_enqueued_at_ms(message.enqueued_at_ms);
  if (!message.key.empty()) envelope->set_key(std::move(message.key));
  for (auto& [name, value] : message.headers) envelope->set_header(name, std::move(value));
  return envelope;
}

std::string malformed_id(std::uint64_t slot) { return "entry-" + std::to_string(slot); }

EnvelopePtr malformed_envelope(std::span<const std::byte> frame, std::uint64_t slot) {
  EnvelopePtr envelope = Envelope::make_encoded(Bytes(frame.begin(), frame.end()));
  envelope->set_id(malformed_id(slot));
  return envelope;
}

}  // namespace lrpc::queue::wire
