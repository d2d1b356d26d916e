// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <toml++/toml.h>
#include <nlohmann/json.hpp>

#include "config/document.hpp"

namespace lrpc::queue::config_impl {
namespace {

/// Each dot of a key nests one level deeper, and toml++ frees its tables recursively, so that a file full of dots
/// would overflow the stack. Our own keys need a few dozen outside of strings.
constexpr std::size_t kMaxDots = 1000;

/// The offset of dot number kMaxDots + 1 outside of strings and comments, or npos.
std::size_t find_dot_beyond_limit(std::string_view text) {
  std::size_t dots = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '#') {
      at = text.find('\n', at);
    } else if (c == '"' || c == '\'') {
      const std::string_view rest = text.substr(at);
      const bool multiline = rest.size() >= 3 && rest[1] == c && rest[2] == c;
      const std::size_t width = multiline ? 3 : 1;
      std::size_t end = at + width;
      while (end < text.size() && !(text[end] == '\n' && !multiline) &&
             text.substr(end, width) != text.substr(at, width)) {
        end += text[end] == '\\' && c == '"' ? 2 : 1;
      }
      at = end + width;
      // Up to two quotes before the closing three belong to the text.
      for (int i = 0; multiline && i < 2 && at < text.size() && text[at] == c; ++i) ++at;
    } else {
      if (c == '.' && ++dots > kMaxDots) return at;
      ++at;
    }
  }
  return std::string_view::npos;
}

/// Depth is bounded by kMaxDots and by toml++'s own limit on nested values.
Json to_tree(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: {
      Json result = Json::object();
      for (const auto& [key, value] : *node.as_table()) result.emplace(std::string(key.str()), to_tree(value));
      return result;
    }
    case toml::node_type::array: {
      Json result = Json::array();
      for (const toml::node& item : *node.as_array()) result.push_back(to_tree(item));
      return result;
    }
    case toml::node_type::string:
      return node.as_string()->get();
    case toml::node_type::integer:
      return node.as_integer()->get();
    case toml::node_type::floating_point:
      return node.as_floating_point()->get();
    case toml::node_type::boolean:
      return node.as_boolean()->get();
    default:
      return Json::binary({});  // the four kinds of dates and times
  }
}

/// toml++'s reason without what it quotes of the text: "Error while parsing <kind of thing>".
std::string reason_of(std::string_view description) {
  std::string reason(description.substr(0, description.find(':')));
  if (description.find("cannot redefine existing") != std::string_view::npos) reason += ": a key is given twice";
  return reason;
}

}  // namespace

Result<Json> parse_toml(std::string_view text, const std::string& name) {
  if (const std::size_t offset = find_dot_beyond_limit(text); offset != std::string_view::npos) {
    return document_error(name, text, offset, "more than " + std::to_string(kMaxDots) + " dots outside of strings");
  }
  try {
    return to_tree(toml::parse(text));
  } catch (const toml::parse_error& error) {
    const toml::source_position where = error.source().begin;
    return document_error(name, where.line, where.column, reason_of(error.description()));
  }
}

}  // namespace lrpc::queue::config_impl
