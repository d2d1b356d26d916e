// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/prepare.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <lrpc/queue/detail/engine.hpp>

#include "engine/context.hpp"

namespace lrpc::queue::detail {
namespace {

std::unexpected<Error> too_large(std::size_t size, const TopicPolicy& policy, std::string_view topic) {
  return fail(ErrorCode::body_too_large, "topic " + std::string(topic) + ": a body of " + std::to_string(size) +
                                             " bytes is larger than max_body_size (" +
                                             std::to_string(policy.max_body_size) + ")");
}

bool fits(std::size_t size, const TopicPolicy& policy) noexcept {
  return static_cast<std::int64_t>(size) <= policy.max_body_size;
}

std::unexpected<Error> moved_from(std::string_view topic) {
  return fail(ErrorCode::invalid_argument, "topic " + std::string(topic) + ": a moved-from message");
}

// The time until the message is due (D17).
Duration delay_of(const PubOptions& options, Instant now) {
  if (options.delay) return std::min(*options.delay, kLongest);
  if (!options.deliver_at) return Duration(0);
  // Rounded up to the millisecond: never early.
  const auto due = std::chrono::ceil<std::chrono::milliseconds>(options.deliver_at->time_since_epoch());
  return std::clamp(Duration(due.count() - now.wall_ms), Duration(0), kLongest);
}

void apply(const PubOptions& options, Outgoing& out, Instant now) {
  Envelope& m = *out.message;
  if (!options.key.empty()) m.set_key(options.key);
  for (const auto& [name, value] : options.headers) m.set_header(name, value);
  if (options.expires) m.set_expires_at(expiry_after(now.wall_ms, std::min(*options.expires, kLongest)));
  out.delay = delay_of(options, now);
}

Result<void> encode(Outgoing& out, bool check_size, const TopicPolicy& policy, std::string_view topic) {
  Result<Bytes> bytes = encode_body(*out.message);
  if (!bytes) {
    bytes.error().message = "topic " + std::string(topic) + ": " + bytes.error().message;
    return std::unexpected(std::move(bytes.error()));
  }
  if (check_size && !fits(bytes->size(), policy)) return too_large(bytes->size(), policy, topic);
  EnvelopePtr encoded = Envelope::make_encoded(std::move(*bytes));
  encoded->copy_header(*out.message);
  out.message = std::move(encoded);
  return {};
}

}  // namespace

Result<void> check_options(const PubOptions& options) {
  const auto bad = [](const char* text) { return fail(ErrorCode::invalid_argument, text); };
  if (options.delay && options.deliver_at) return bad("PubOptions: set delay or deliver_at, not both");
  if (options.delay && options.delay->count() < 0) return bad("PubOptions.delay is negative");
  if (options.expires && options.expires->count() < 0) return bad("PubOptions.expires is negative; 0 means never");
  if (options.timeout && options.timeout->count() < 0) return bad("PubOptions.timeout is negative");
  return {};
}

Result<Bytes> encode_body(const Envelope& message) {
  Result<Bytes> encoded = contain<Bytes>([&] { return message.type().encode(message.body()); });
  if (!encoded) encoded.error().code = ErrorCode::codec;
  return encoded;
}

Result<EnvelopePtr> decode_envelope(const BodyType& type, const Envelope& encoded) {
  Result<EnvelopePtr> typed = contain<EnvelopePtr>([&] { return type.decode(encoded.encoded_body()); });
  if (!typed) {
    typed.error().code = ErrorCode::codec;
    return typed;
  }
  (*typed)->copy_header(encoded);
  return typed;
}

Result<void> prepare(Outgoing& out, const PubOptions* options, const TopicPolicy& policy, std::string_view topic,
                     bool serializes, Instant now) {
  if (!out.message) return moved_from(topic);
  const BodyType& type = out.message->type();
  std::optional<std::size_t> size;
  if (type.fixed_size == 0 || serializes) {
    size = type.known_size(out.message->body(), serializes);
  } else {
    size = type.fixed_size;
  }
  if (size && !fits(*size, policy)) return too_large(*size, policy, topic);
  Envelope& m = out.message.writable();
  if (!m.has_id()) m.set_id(MessageId::generate(now.wall_ms));
  if (m.timestamp() == 0) m.set_timestamp(now.wall_s());
  if (options != nullptr) apply(*options, out, now);
  const std::int64_t due_ms = now.wall_ms + out.delay.count();
  m.set_enqueued_at_ms(due_ms);
  if (!m.expiry_set()) {
    m.set_expires_at(expiry_after(due_ms, policy.message_ttl));
  } else if (out.delay.count() > 0 && m.expires_at() != 0 && due_ms / 1000 >= m.expires_at()) {
    return fail(ErrorCode::invalid_argument,
                "topic " + std::string(topic) + ": the delay of message " + m.id() + " ends after its expiry");
  }
  if (serializes) return encode(out, !size, policy, topic);
  return {};
}

}  // namespace lrpc::queue::detail
