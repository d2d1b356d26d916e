// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <lrpc/queue/codec.hpp>
#include <lrpc/queue/detail/block_pool.hpp>
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/message_id.hpp>
#include <lrpc/queue/types.hpp>

/// \file
/// The message as the engine and the back ends see it: one block of memory with a reference count, a fixed header and
/// the body of a type they do not know. Users meet it as Message<T>; authors of back ends and interceptors meet it
/// here.

namespace lrpc::queue {

class Envelope;
class EnvelopePtr;

/// What the engine may do with a body without knowing its type. One static object per type.
struct BodyType {
  const std::type_info* type;                                       ///< The C++ type, for checks.
  void (*destroy)(Envelope* block) noexcept;                        ///< Destroys body and header and frees the block.
  Result<Bytes> (*encode)(const void* body);                        ///< Null when the type has no codec.
  Result<EnvelopePtr> (*decode)(std::span<const std::byte> bytes);  ///< Null when the type has no codec.
  /// The size that max_body_size counts, where it is known before encoding (D15). With `will_encode` only a size that
  /// is the same on every back end: strings, bytes, a codec's own.
  std::optional<std::size_t> (*known_size)(const void* body, bool will_encode);
  /// What known_size gives for every body that will not be encoded; 0 = it depends on the body.
  std::size_t fixed_size;

  friend bool operator==(const BodyType& a, const BodyType& b) noexcept { return *a.type == *b.type; }
};

/// The header of a message plus access to its body. Created by Message<T> or by a back end that read bytes; writable
/// only while `unique()`; from the publish on it is shared by all channels and constant. The reference count is
/// thread-safe, the setters are not.
class Envelope {
 public:
  Envelope(const Envelope&) = delete;
  Envelope& operator=(const Envelope&) = delete;

  /// The id as text. Empty only before the publish of a message that was made with an empty id.
  [[nodiscard]] std::string id() const;
  /// The text of an id that is looked for, taken apart once. Refers to the text.
  class IdQuery {
   public:
    explicit IdQuery(std::string_view text) noexcept;
    /// What `id_hash` gives for this id.
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }

   private:
    friend class Envelope;
    std::string_view text_;
    std::optional<MessageId> parsed_;
    std::uint64_t hash_;
  };
  /// Compares without building a string.
  [[nodiscard]] bool id_is(const IdQuery& id) const noexcept;
  /// A hash of the id, equal for equal texts.
  [[nodiscard]] std::uint64_t id_hash() const noexcept;
  void set_id(MessageId id) noexcept;
  void set_id(std::string_view text);
  [[nodiscard]] bool has_id() const noexcept { return (flags_ & kHasId) != 0; }

  [[nodiscard]] std::int64_t timestamp() const noexcept { return timestamp_s_; }  ///< Unix seconds of creation.
  void set_timestamp(std::int64_t unix_s) noexcept { timestamp_s_ = unix_s; }
  [[nodiscard]] std::int64_t expires_at() const noexcept { return expires_at_s_; }  ///< Unix seconds; 0 = never.
  /// Sets the expiry and marks it as the user's own, so that no message_ttl is stamped over it.
  void set_expires_at(std::int64_t unix_s) noexcept {
    expires_at_s_ = unix_s;
    flags_ |= kExpirySet;
  }
  [[nodiscard]] bool expiry_set() const noexcept { return (flags_ & kExpirySet) != 0; }
  /// Unix milliseconds at which the message first became (or becomes) ready in its channel (D12).
  [[nodiscard]] std::int64_t enqueued_at_ms() const noexcept { return enqueued_at_ms_; }
  void set_enqueued_at_ms(std::int64_t unix_ms) noexcept { enqueued_at_ms_ = unix_ms; }

  [[nodiscard]] const std::string& key() const noexcept;
  void set_key(std::string key);
  [[nodiscard]] const Headers& headers() const noexcept;
  void set_header(std::string name, std::string value);

  [[nodiscard]] const BodyType& type() const noexcept { return *type_; }
  [[nodiscard]] const void* body() const noexcept { return body_; }
  /// The body as T, or null when it is of another type.
  template <class T>
  [[nodiscard]] const T* body_as() const noexcept;
  /// True for a body that is still in its encoded form (bytes that stand for a T).
  [[nodiscard]] bool encoded() const noexcept { return (flags_ & kEncoded) != 0; }
  /// The encoded bytes, which live as long as the envelope; only when `encoded()`.
  [[nodiscard]] std::span<const std::byte> encoded_body() const noexcept {
    return *static_cast<const std::span<const std::byte>*>(body_);
  }

  /// Whether the caller's reference is the only one.
  [[nodiscard]] bool unique() const noexcept { return refs_.load(std::memory_order_acquire) == 1; }
  /// Adds `n` references, to be given to EnvelopePtr::adopt one by one.
  void add_refs(std::uint32_t n) noexcept { refs_.fetch_add(n, std::memory_order_relaxed); }
  /// Sets the count of an envelope that only the caller holds: cheaper than add_refs.
  void set_refs(std::uint32_t n) noexcept { refs_.store(n, std::memory_order_relaxed); }
  /// Drops `n` references and frees the block with the last one.
  static void drop_refs(Envelope* block, std::uint32_t n = 1) noexcept {
    // When the count equals ours nobody else can raise it: no atomic write needed.
    if (block->refs_.load(std::memory_order_acquire) == n ||
        block->refs_.fetch_sub(n, std::memory_order_acq_rel) == n) {
      destroy(block);
    }
  }

  /// A new envelope around a body made of `body`, without id, timestamp or expiry.
  template <class T, class U = T>
  [[nodiscard]] static EnvelopePtr make(U&& body);
  /// A new envelope whose body is the encoded form of a T: what a back end that serialises stores and returns.
  [[nodiscard]] static EnvelopePtr make_encoded(Bytes bytes);
  /// The same with a copy of `bytes`, in one block of memory with the header: for what was just read.
  [[nodiscard]] static EnvelopePtr copy_encoded(std::span<const std::byte> bytes);
  /// A new header, equal to `source`'s and writable, over the same body.
  [[nodiscard]] static EnvelopePtr alias(const EnvelopePtr& source);
  /// Copies id, times, key and headers of `source` into this unique envelope.
  void copy_header(const Envelope& source);

  /// The envelope that stores the body (an alias points to another).
  [[nodiscard]] Envelope& body_owner() noexcept { return (flags_ & kAlias) != 0 ? *alias_origin() : *this; }

 protected:
  struct Extras {
    std::string key{};
    Headers headers{};
    std::string id{};  // an id that is no ULID
  };
  static constexpr std::uint32_t kHasId = 1;
  static constexpr std::uint32_t kExpirySet = 2;
  static constexpr std::uint32_t kEncoded = 4;
  static constexpr std::uint32_t kAlias = 8;

  explicit Envelope(const BodyType& type, const void* body) noexcept : type_(&type), body_(body) {}
  ~Envelope() = default;

 private:
  friend class EnvelopePtr;
  template <class T>
  friend struct TypedEnvelope;
  struct AliasEnvelope;
  struct EncodedEnvelope;

  static void destroy(Envelope* block) noexcept;
  [[nodiscard]] Envelope* alias_origin() noexcept;
  Extras& extras();

  // A cache line with all that every delivery needs, then the rest.
  std::atomic<std::uint32_t> refs_{1};
  std::uint32_t flags_ = 0;
  MessageId id_{};
  const BodyType* type_;
  const void* body_;
  std::unique_ptr<Extras> extras_;  // key, headers and an id that is no ULID: absent in most messages
  std::int64_t expires_at_s_ = 0;
  std::int64_t enqueued_at_ms_ = 0;
  std::int64_t timestamp_s_ = 0;
};

/// Owns one reference to an Envelope.
class EnvelopePtr {
 public:
  EnvelopePtr() noexcept = default;
  EnvelopePtr(const EnvelopePtr& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) block_->add_refs(1);
  }
  EnvelopePtr(EnvelopePtr&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  EnvelopePtr& operator=(EnvelopePtr other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~EnvelopePtr() {
    if (block_ != nullptr) Envelope::drop_refs(block_);
  }

  /// Takes over a reference that the caller owns.
  [[nodiscard]] static EnvelopePtr adopt(Envelope* block) noexcept {
    EnvelopePtr result;
    result.block_ = block;
    return result;
  }
  /// Gives the reference to the caller.
  [[nodiscard]] Envelope* release() noexcept { return std::exchange(block_, nullptr); }

  [[nodiscard]] Envelope* get() const noexcept { return block_; }
  Envelope& operator*() const noexcept { return *block_; }
  Envelope* operator->() const noexcept { return block_; }
  explicit operator bool() const noexcept { return block_ != nullptr; }

  /// The envelope for writing: itself when nobody shares it, else this pointer is moved to an alias first.
  Envelope& writable() {
    if (!block_->unique()) *this = Envelope::alias(*this);
    return *block_;
  }

 private:
  Envelope* block_ = nullptr;
};

/// The block of an envelope with its body in place.
template <class T>
struct TypedEnvelope final : Envelope {
  template <class U>
  explicit TypedEnvelope(std::in_place_t /*in place*/, U&& value)
      : Envelope(kType, &stored), stored(convert(std::forward<U>(value))) {}

  T stored;

  template <class U>
  [[nodiscard]] static Envelope* create(U&& value) {
    if constexpr (!pooled()) {
      return new TypedEnvelope(std::in_place, std::forward<U>(value));
    } else {
      void* const block = detail::allocate_block(sizeof(TypedEnvelope));
      if constexpr (std::is_nothrow_convertible_v<U, T>) {
        return new (block) TypedEnvelope(std::in_place, std::forward<U>(value));
      } else {
        try {
          return new (block) TypedEnvelope(std::in_place, std::forward<U>(value));
        } catch (...) {
          detail::free_block(block, sizeof(TypedEnvelope));
          throw;
        }
      }
    }
  }
  static void destroy_block(Envelope* block) noexcept {
    auto* const typed = static_cast<TypedEnvelope*>(block);
    if constexpr (!pooled()) {
      delete typed;
    } else {
      typed->~TypedEnvelope();
      detail::free_block(typed, sizeof(TypedEnvelope));
    }
  }
  /// An implicit conversion, as of a function's argument; made in place all the same.
  template <class U>
  static T convert(U&& value) {
    return std::forward<U>(value);
  }
  static constexpr bool pooled() noexcept {
    return sizeof(TypedEnvelope) <= detail::kLargestBlock && alignof(TypedEnvelope) <= detail::kBlockAlignment;
  }
  static Result<Bytes> encode(const void* body)
    requires has_codec<T>
  {
    return codec<T>::encode(*static_cast<const T*>(body));
  }
  static Result<EnvelopePtr> decode(std::span<const std::byte> bytes)
    requires has_codec<T>
  {
    return detail::map_result(codec<T>::decode(bytes), [](T&& value) { return Envelope::make<T>(std::move(value)); });
  }
  static std::optional<std::size_t> size_of(const void* body, bool will_encode) {
    return known_body_size(*static_cast<const T*>(body), will_encode);
  }

  static constexpr BodyType describe() noexcept {
    BodyType result{.type = &typeid(T),
                    .destroy = &destroy_block,
                    .encode = nullptr,
                    .decode = nullptr,
                    .known_size = &size_of,
                    .fixed_size = has_fixed_size<T> ? sizeof(T) : 0};
    if constexpr (has_codec<T>) {
      result.encode = &encode;
      result.decode = &decode;
    }
    return result;
  }
  static const BodyType kType;
};

template <class T>
inline constexpr BodyType TypedEnvelope<T>::kType = TypedEnvelope<T>::describe();

template <class T, class U>
EnvelopePtr Envelope::make(U&& body) {
  return EnvelopePtr::adopt(TypedEnvelope<T>::create(std::forward<U>(body)));
}

template <class T>
const T* Envelope::body_as() const noexcept {
  return !encoded() && *type_->type == typeid(T) ? static_cast<const T*>(body_) : nullptr;
}

}  // namespace lrpc::queue
