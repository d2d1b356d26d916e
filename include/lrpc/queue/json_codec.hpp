// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <exception>
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

}  // namespace detail

/// The default codec: compact JSON text (RFC 8259). A string that is not UTF-8 is refused with `codec`: use Bytes.
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
      return nlohmann::json::parse(text, text + bytes.size()).template get<T>();
    } catch (const std::exception& e) {
      return fail(ErrorCode::codec, std::string("cannot read the body as JSON: ") + e.what());
    }
  }
};

}  // namespace lrpc::queue
