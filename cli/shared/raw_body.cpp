// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/raw_body.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace lrpc::queue::cli {

namespace {

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(bytes.size() - i, 3);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = (group << 8U) | (j < have ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) text += j <= have ? kDigits[(group >> (18U - 6U * j)) & 63U] : '=';
  }
  return text;
}

}  // namespace

Result<RawBody> body_from_line(std::string_view line, bool as_text) {
  if (!as_text && nlohmann::json::accept(line)) return RawBody{std::string(line)};
  try {
    return RawBody{nlohmann::json(line).dump()};
  } catch (const nlohmann::json::type_error&) {
    return fail(ErrorCode::codec, "neither JSON nor UTF-8 text");
  }
}

std::string body_text(const RawBody& body) {
  const std::size_t start = body.bytes.find_first_not_of(" \t\r\n");
  if (start == std::string::npos || body.bytes[start] != '"') return body.bytes;
  const auto value = nlohmann::json::parse(body.bytes, nullptr, /*allow_exceptions=*/false);
  return value.is_string() ? value.get<std::string>() : body.bytes;
}

std::string body_members(std::string_view bytes) {
  if (!nlohmann::json::accept(bytes)) return fmt::format(R"("body":null,"body_base64":"{}")", base64(bytes));
  std::string line(bytes);
  // In valid JSON these stand between tokens only.
  std::ranges::replace(line, '\n', ' ');
  std::ranges::replace(line, '\r', ' ');
  return fmt::format("\"body\":{}", line);
}

std::string json_quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lrpc::queue::cli

namespace lrpc::queue {

Result<Bytes> codec<cli::RawBody>::encode(const cli::RawBody& body) {
  const auto bytes = std::as_bytes(std::span(body.bytes));
  return Bytes(bytes.begin(), bytes.end());
}

Result<cli::RawBody> codec<cli::RawBody>::decode(std::span<const std::byte> bytes) {
  return cli::RawBody{std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
}

}  // namespace lrpc::queue
