// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/raw_json.hpp"

#include <exception>
#include <nlohmann/json.hpp>

namespace lrpc::queue::cli {

Result<RawJson> body_from_line(std::string_view line, bool as_text) {
  if (!as_text && nlohmann::json::accept(line)) return RawJson{std::string(line)};
  try {
    return RawJson{nlohmann::json(line).dump()};
  } catch (const nlohmann::json::type_error&) {
    return fail(ErrorCode::codec, "neither JSON nor UTF-8 text");
  }
}

std::string body_text(const RawJson& body) {
  const std::size_t start = body.json.find_first_not_of(" \t\r\n");
  if (start == std::string::npos || body.json[start] != '"') return body.json;
  const auto value = nlohmann::json::parse(body.json, nullptr, /*allow_exceptions=*/false);
  return value.is_string() ? value.get<std::string>() : body.json;
}

std::string json_quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lrpc::queue::cli

namespace lrpc::queue {

Result<Bytes> codec<cli::RawJson>::encode(const cli::RawJson& body) {
  const auto bytes = std::as_bytes(std::span(body.json));
  return Bytes(bytes.begin(), bytes.end());
}

Result<cli::RawJson> codec<cli::RawJson>::decode(std::span<const std::byte> bytes) {
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!nlohmann::json::accept(text)) return fail(ErrorCode::codec, "the body is not JSON");
  return cli::RawJson{std::move(text)};
}

}  // namespace lrpc::queue
