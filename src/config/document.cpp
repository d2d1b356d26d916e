// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "config/document.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>

#include <fmt/core.h>

#include "config/text.hpp"

namespace lrpc::queue::config_impl {

std::optional<Format> format_of(std::string_view path) {
  std::string extension = std::filesystem::path(path).extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (extension == ".json") return Format::json;
  if (extension == ".yaml" || extension == ".yml") return Format::yaml;
  if (extension == ".toml") return Format::toml;
  return std::nullopt;
}

Result<nlohmann::json> parse_document(Format format, std::string_view text, const std::string& name) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (const auto offset = find_invalid_utf8(text)) return document_error(name, text, *offset, "invalid UTF-8");
  // One rule for all formats; yaml-cpp would even take byte 4 for the end of the file.
  const auto control = std::ranges::find_if(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F;
  });
  if (control != text.end()) {
    return document_error(name, text, static_cast<std::size_t>(control - text.begin()), "control character");
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return nlohmann::json::object();
  try {
    switch (format) {
      case Format::json:
        return parse_json(text, name);
      case Format::yaml:
        return parse_yaml(text, name);
      case Format::toml:
        return parse_toml(text, name);
    }
  } catch (const std::exception&) {
    // Only lack of memory comes here: the parsers contain their libraries' own exceptions.
  }
  return fail(ErrorCode::invalid_config, fmt::format("{}: cannot be parsed with the memory available", name));
}

std::unexpected<Error> document_error(std::string_view name, std::size_t line, std::size_t column,
                                      std::string_view reason) {
  return fail(ErrorCode::invalid_config, fmt::format("{}:{}:{}: {}", name, line, column, reason));
}

std::unexpected<Error> document_error(std::string_view name, std::string_view text, std::size_t offset,
                                      std::string_view reason) {
  const std::string_view before = text.substr(0, offset);
  const auto line = static_cast<std::size_t>(std::ranges::count(before, '\n')) + 1;
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return document_error(name, line, offset - line_start + 1, reason);
}

}  // namespace lrpc::queue::config_impl
