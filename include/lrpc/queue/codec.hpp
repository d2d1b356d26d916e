// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include <lrpc/queue/error.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue {

/// How bodies of type T become bytes and back; needed only where bytes leave the process. Specialise it for a type of
/// your own:
///
///     template <> struct lrpc::queue::codec<Point> {
///       static Result<Bytes> encode(const Point& p);
///       static Result<Point> decode(std::span<const std::byte> bytes);
///       static std::size_t size(const Point& p);   // optional: the size that max_body_size counts, without encoding
///     };
///
/// Both functions may also throw; what they throw becomes an Error of code `codec`. They are called from several
/// threads at once. The JSON codec (`json_codec.hpp`, part of the umbrella header) covers every type that
/// nlohmann::json converts.
template <class T>
struct codec;

/// Whether T has a codec.
template <class T>
concept has_codec = requires(const T& value, std::span<const std::byte> bytes) {
  { codec<T>::encode(value) } -> std::same_as<Result<Bytes>>;
  { codec<T>::decode(bytes) } -> std::same_as<Result<T>>;
};

/// Raw bytes travel as they are.
template <>
struct codec<Bytes> {
  static Result<Bytes> encode(const Bytes& value) { return value; }
  static Result<Bytes> decode(std::span<const std::byte> bytes) { return Bytes(bytes.begin(), bytes.end()); }
  static std::size_t size(const Bytes& value) noexcept { return value.size(); }
};

/// Whether T's codec tells the size of a body without encoding it.
template <class T>
concept codec_tells_size = requires(const T& value) {
  { codec<T>::size(value) } -> std::convertible_to<std::size_t>;
};

/// Whether `max_body_size` counts sizeof(T) for every T that is not encoded.
template <class T>
inline constexpr bool has_fixed_size = std::is_trivially_copyable_v<T> && !codec_tells_size<T>;

/// The size that `max_body_size` counts (D15) where it is known without encoding: strings, bytes, a codec with
/// `size(const T&)`, and, where the body will not be encoded, trivially copyable types.
template <class T>
[[nodiscard]] std::optional<std::size_t> known_body_size(const T& value, bool will_encode) {
  if constexpr (std::same_as<T, std::string> || std::same_as<T, Bytes>) {
    return value.size();
  } else if constexpr (codec_tells_size<T>) {
    return static_cast<std::size_t>(codec<T>::size(value));
  } else if constexpr (has_fixed_size<T>) {
    return will_encode ? std::nullopt : std::optional(sizeof(T));
  } else {
    return std::nullopt;
  }
}

}  // namespace lrpc::queue
