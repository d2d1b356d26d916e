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

/// The body type of the command line: the encoded bytes, kept as they are. What it publishes is JSON text; what it
/// receives is whatever another program's codec wrote, which is no reason to refuse it.
struct RawBody {
  std::string bytes{};
};

/// The body that an input line stands for: a line that is valid JSON is that value, byte for byte; any other line, and
/// with `as_text` every line, is a JSON string. `codec` for text that is not UTF-8.
[[nodiscard]] Result<RawBody> body_from_line(std::string_view line, bool as_text);

/// What people and programs are shown of a body: a JSON string as its text, anything else as it is.
[[nodiscard]] std::string body_text(const RawBody& body);

/// The members of a JSON object that hold a body, on one line: `"body":JSON`, or for bytes that are no JSON
/// `"body":null,"body_base64":"..."`.
[[nodiscard]] std::string body_members(std::string_view bytes);

/// `text` as a JSON string, quotes included; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string json_quoted(std::string_view text);

}  // namespace lrpc::queue::cli

template <>
struct lrpc::queue::codec<lrpc::queue::cli::RawBody> {
  static Result<Bytes> encode(const cli::RawBody& body);
  static Result<cli::RawBody> decode(std::span<const std::byte> bytes);
  static std::size_t size(const cli::RawBody& body) noexcept { return body.bytes.size(); }
};
