// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <lrpc/queue/codec.hpp>
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue::cli {

/// The body type of the command line: a JSON text, kept byte for byte.
struct RawJson {
  std::string json{};
};

/// The body that an input line stands for: a line that is valid JSON is that value, byte for byte; any other line, and
/// with `as_text` every line, is a JSON string. `codec` for text that is not UTF-8.
[[nodiscard]] Result<RawJson> body_from_line(std::string_view line, bool as_text);

/// What people and programs are shown of a body: a JSON string as its text, anything else as its JSON.
[[nodiscard]] std::string body_text(const RawJson& body);

/// `text` as a JSON string, quotes included; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string json_quoted(std::string_view text);

}  // namespace lrpc::queue::cli

template <>
struct lrpc::queue::codec<lrpc::queue::cli::RawJson> {
  static Result<Bytes> encode(const cli::RawJson& body);
  static Result<cli::RawJson> decode(std::span<const std::byte> bytes);
  static std::size_t size(const cli::RawJson& body) noexcept { return body.json.size(); }
};
