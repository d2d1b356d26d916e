// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/envelope.hpp>

#include <algorithm>
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

/// A body in its encoded form: bytes that follow the envelope in its block, or that were handed over.
struct Envelope::EncodedEnvelope final : Envelope {
  static const BodyType kType;

  explicit EncodedEnvelope(std::size_t inline_size) noexcept : Envelope(kType, &bytes), room(inline_size) {
    flags_ |= kEncoded;
  }
  /// With room for `inline_size` bytes behind it.
  [[nodiscard]] static EncodedEnvelope* create(std::size_t inline_size) {
    const std::size_t size = sizeof(EncodedEnvelope) + inline_size;
    void* const block = size <= detail::kLargestBlock ? detail::allocate_block(size) : ::operator new(size);
    return new (block) EncodedEnvelope(inline_size);
  }
  static void destroy_block(Envelope* envelope) noexcept {
    auto* const block = static_cast<EncodedEnvelope*>(envelope);
    const std::size_t size = sizeof(EncodedEnvelope) + block->room;
    block->~EncodedEnvelope();
    if (size <= detail::kLargestBlock) {
      detail::free_block(block, size);
    } else {
      ::operator delete(block, size);
    }
  }
  [[nodiscard]] std::byte* behind() noexcept { return reinterpret_cast<std::byte*>(this + 1); }

  std::span<const std::byte> bytes{};
  Bytes kept{};
  std::size_t room;
};

// To the outside a Bytes that is encoded.
constinit const BodyType Envelope::EncodedEnvelope::kType{
    .type = &typeid(Bytes),
    .destroy = &destroy_block,
    .encode = [](const void* body) -> Result<Bytes> {
      const auto bytes = *static_cast<const std::span<const std::byte>*>(body);
      return Bytes(bytes.begin(), bytes.end());
    },
    .decode = &TypedEnvelope<Bytes>::decode,
    .known_size = [](const void* body, bool) -> std::optional<std::size_t> {
      return static_cast<const std::span<const std::byte>*>(body)->size();
    },
    .fixed_size = 0};

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
  auto* const block = EncodedEnvelope::create(0);
  block->kept = std::move(bytes);
  block->bytes = block->kept;
  return EnvelopePtr::adopt(block);
}

EnvelopePtr Envelope::copy_encoded(std::span<const std::byte> bytes) {
  auto* const block = EncodedEnvelope::create(bytes.size());
  std::ranges::copy(bytes, block->behind());
  block->bytes = {block->behind(), bytes.size()};
  return EnvelopePtr::adopt(block);
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
