// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <exception>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <lrpc/queue/codec.hpp>

namespace lrpc::queue {

namespace detail {

/// Types that nlohmann::json converts both ways, through `to_json`/`from_json` or by itself.
template <class T>
concept json_convertible = requires(const T& value, const nlohmann::json& json) {
  { nlohmann::json(value) };
  { json.get<T>() } -> std::same_as<T>;
};

/// Whether a number is one of T's; nlohmann::json would cut it to size, which for a float is undefined behaviour.
template <std::integral T>
[[nodiscard]] bool fits(const nlohmann::json& number) {
  using Limits = std::numeric_limits<T>;
  if (number.is_number_float()) {
    const auto value = number.get<double>();
    const double end = std::ldexp(1.0, Limits::digits);
    return std::trunc(value) == value && value < end && value >= (Limits::is_signed ? -end : 0.0);
  }
  if (number.is_number_unsigned()) return number.get<std::uint64_t>() <= static_cast<std::uint64_t>(Limits::max());
  // Parsed, so it is negative: what is not is unsigned.
  return Limits::is_signed && number.get<std::int64_t>() >= static_cast<std::int64_t>(Limits::min());
}

}  // namespace detail

/// The default codec: compact JSON text (RFC 8259). A string that is not UTF-8 is refused with `codec`: use Bytes. So
/// is a number that is none of T's, where T is an integer; of integers inside of other types nlohmann::json takes what
/// fits and leaves off the rest.
template <class T>
  requires detail::json_convertible<T>
struct codec<T> {
  static Result<Bytes> encode(const T& value) {
    try {
      const std::string text = nlohmann::json(value).dump();
      const auto bytes = std::as_bytes(std::span(text));
      return Bytes(bytes.begin(), bytes.end());
    } catch (const std::exception& e) {
      return fail(ErrorCode::codec, std::string("cannot write the body as JSON: ") + e.what() +
                                        " (for bytes that are not UTF-8 use std::vector<std::byte>)");
    }
  }

  static Result<T> decode(std::span<const std::byte> bytes) {
    try {
      const auto* const text = reinterpret_cast<const char*>(bytes.data());
      const nlohmann::json json = nlohmann::json::parse(text, text + bytes.size());
      if constexpr (std::integral<T> && !std::same_as<T, bool>) {
        if (json.is_number() && !detail::fits<T>(json)) {
          return fail(ErrorCode::codec, "cannot read the body as JSON: " + json.dump() + " is no integer of " +
                                            std::to_string(sizeof(T)) + " bytes");
        }
      }
      return json.template get<T>();
    } catch (const std::exception& e) {
      return fail(ErrorCode::codec, std::string("cannot read the body as JSON: ") + e.what());
    }
  }
};

}  // namespace lrpc::queue
