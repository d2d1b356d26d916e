// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/envelope.hpp>

#include <functional>

namespace lrpc::queue {
namespace {

std::uint64_t mix(MessageId id) noexcept {
  // One multiplication folded over itself: enough for a hash table of ids that are half random already.
  const auto product = static_cast<unsigned __int128>(id.low ^ 0x9e3779b97f4a7c15U) * (id.high | 1U);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

}  // namespace

/// A header of its own over a body that another envelope holds.
struct Envelope::AliasEnvelope final : Envelope {
  explicit AliasEnvelope(EnvelopePtr source) : Envelope(source->type(), source->body()), origin(std::move(source)) {
    flags_ |= kAlias;
  }
  EnvelopePtr origin;
};

std::string Envelope::id() const {
  if (!has_id()) return {};
  return extras_ && !extras_->id.empty() ? extras_->id : id_.to_string();
}

Envelope::IdQuery::IdQuery(std::string_view text) noexcept
    : text_(text),
      parsed_(MessageId::parse(text)),
      hash_(parsed_ ? mix(*parsed_) : std::hash<std::string_view>{}(text)) {}

bool Envelope::id_is(const IdQuery& id) const noexcept {
  if (extras_ && !extras_->id.empty()) return extras_->id == id.text_;
  return has_id() && id.parsed_ && *id.parsed_ == id_;
}

std::uint64_t Envelope::id_hash() const noexcept {
  return extras_ && !extras_->id.empty() ? std::hash<std::string_view>{}(extras_->id) : mix(id_);
}

void Envelope::set_id(MessageId id) noexcept {
  if (extras_) extras_->id.clear();
  id_ = id;
  flags_ |= kHasId;
}

void Envelope::set_id(std::string_view text) {
  if (const auto parsed = MessageId::parse(text)) {
    set_id(*parsed);
  } else {
    extras().id = text;
    flags_ |= kHasId;
  }
}

const std::string& Envelope::key() const noexcept {
  static const std::string none;
  return extras_ ? extras_->key : none;
}

void Envelope::set_key(std::string key) {
  if (extras_ || !key.empty()) extras().key = std::move(key);
}

const Headers& Envelope::headers() const noexcept {
  static const Headers none;
  return extras_ ? extras_->headers : none;
}

void Envelope::set_header(std::string name, std::string value) {
  extras().headers.insert_or_assign(std::move(name), std::move(value));
}

Envelope::Extras& Envelope::extras() {
  if (!extras_) extras_ = std::make_unique<Extras>();
  return *extras_;
}

EnvelopePtr Envelope::make_encoded(Bytes bytes) {
  EnvelopePtr result = make<Bytes>(std::move(bytes));
  result->flags_ |= kEncoded;
  return result;
}

EnvelopePtr Envelope::alias(const EnvelopePtr& source) {
  const bool is_alias = (source->flags_ & kAlias) != 0;
  // An alias of an alias points to the envelope that stores the body: chains do not grow.
  EnvelopePtr origin = is_alias ? static_cast<AliasEnvelope*>(source.get())->origin : source;
  auto result = EnvelopePtr::adopt(new AliasEnvelope(std::move(origin)));
  result->copy_header(*source);
  result->flags_ |= source->flags_ & kEncoded;
  return result;
}

void Envelope::copy_header(const Envelope& source) {
  id_ = source.id_;
  timestamp_s_ = source.timestamp_s_;
  expires_at_s_ = source.expires_at_s_;
  enqueued_at_ms_ = source.enqueued_at_ms_;
  extras_ = source.extras_ ? std::make_unique<Extras>(*source.extras_) : nullptr;
  constexpr std::uint32_t kCopied = kHasId | kExpirySet;
  flags_ = (flags_ & ~kCopied) | (source.flags_ & kCopied);
}

Envelope* Envelope::alias_origin() noexcept { return static_cast<AliasEnvelope*>(this)->origin.get(); }

void Envelope::destroy(Envelope* block) noexcept {
  if ((block->flags_ & kAlias) != 0) {
    delete static_cast<AliasEnvelope*>(block);
  } else {
    block->type_->destroy(block);
  }
}

}  // namespace lrpc::queue
