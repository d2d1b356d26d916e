// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "config/value.hpp"

#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

namespace lrpc::queue::config_impl {
namespace {

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// The whole of `text` as a number.
template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Calls `item` with each trimmed part of a list separated by commas until it gives false.
template <class F>
bool each_item(std::string_view text, F item) {
  while (true) {
    const std::size_t comma = text.find(',');
    if (!item(trim(text.substr(0, comma)))) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::unexpected<Error> invalid(const Source& source, std::string_view path, std::string_view found,
                               std::string_view allowed) {
  return fail(ErrorCode::invalid_config, fmt::format("{}: {}: found {}, allowed: {}", source.name,
                                                     path.empty() ? "top level" : path, found, allowed));
}

std::string_view kind_of(const Json& node) {
  switch (node.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return "a truth value";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return "a number";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::object:
      return "a table";
    case Json::value_t::binary:
      return "a date or time";
    case Json::value_t::discarded:
      break;
  }
  return "nothing";
}

std::string show(const Json& node) {
  if (node.is_string()) return quote(node.get_ref<const std::string&>());
  if (node.is_number_float()) return show(node.get<double>());
  if (node.is_number() || node.is_boolean()) return node.dump();
  return std::string(kind_of(node));
}

bool parse(const Json& node, bool& out) {
  if (!node.is_boolean()) return false;
  out = node.get<bool>();
  return true;
}

bool parse(const Json& node, std::int64_t& out) {
  if (!node.is_number_integer()) return false;
  if (node.is_number_unsigned() && !std::in_range<std::int64_t>(node.get<std::uint64_t>())) return false;
  out = node.get<std::int64_t>();
  return true;
}

bool parse(const Json& node, int& out) {
  std::int64_t wide = 0;
  if (!parse(node, wide) || !std::in_range<int>(wide)) return false;
  out = static_cast<int>(wide);
  return true;
}

bool parse(const Json& node, double& out) {
  if (!node.is_number()) return false;
  out = node.get<double>();
  return true;
}

bool parse(const Json& node, Duration& out) {
  std::optional<Duration> value;
  if (node.is_number()) value = duration_from_seconds(node.get<double>());
  if (node.is_string()) value = parse_duration(node.get_ref<const std::string&>());
  if (!value) return false;
  out = *value;
  return true;
}

bool parse(const Json& node, std::string& out) {
  if (!node.is_string()) return false;
  out = node.get<std::string>();
  return true;
}

bool parse(const Json& node, Strings& out) {
  if (!node.is_array() || !std::ranges::all_of(node, [](const Json& item) { return item.is_string(); })) return false;
  out = node.get<Strings>();
  return true;
}

bool parse(const Json& node, StringMap& out) {
  if (!node.is_object() || !std::ranges::all_of(node, [](const Json& item) { return item.is_string(); })) return false;
  out = node.get<StringMap>();
  return true;
}

std::optional<Json> Text<bool>::to_json(std::string_view text) {
  if (text == "true" || text == "1") return Json(true);
  if (text == "false" || text == "0") return Json(false);
  return std::nullopt;
}

std::optional<Json> Text<std::int64_t>::to_json(std::string_view text) {
  const auto value = number<std::int64_t>(text);
  return value ? std::optional<Json>(*value) : std::nullopt;
}

std::optional<Json> Text<double>::to_json(std::string_view text) {
  const auto value = number<double>(text);
  return value ? std::optional<Json>(*value) : std::nullopt;
}

std::optional<Json> Text<Duration>::to_json(std::string_view text) {
  const auto seconds = number<double>(text);
  return seconds ? Json(*seconds) : Json(std::string(text));
}

std::optional<Json> Text<Strings>::to_json(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Json list = Json::array();
  each_item(text, [&](std::string_view item) {
    list.push_back(std::string(item));
    return true;
  });
  return list;
}

std::optional<Json> Text<StringMap>::to_json(std::string_view text) {
  Json map = Json::object();
  const bool ok = each_item(text, [&](std::string_view item) {
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0) return false;
    return map.emplace(std::string(trim(item.substr(0, equals))), std::string(trim(item.substr(equals + 1)))).second;
  });
  return ok ? std::optional<Json>(std::move(map)) : std::nullopt;
}

bool accepts(double value, const Rule& rule) { return std::isfinite(value) && value >= static_cast<double>(rule.min); }

bool accepts(Duration value, const Rule& rule) { return accepts(std::int64_t{value.count()}, rule); }

bool accepts(const std::string& value, const Rule& rule) {
  if (value.empty()) return true;
  const auto begins = [&](std::string_view prefix) { return value.starts_with(prefix); };
  return (rule.choices.empty() || std::ranges::find(rule.choices, value) != rule.choices.end()) &&
         (rule.prefixes.empty() || std::ranges::any_of(rule.prefixes, begins));
}

bool accepts(const Strings& value, const Rule& rule) {
  return (!rule.required || !value.empty()) &&
         std::ranges::none_of(value, [](const std::string& item) { return item.empty(); });
}

std::string Allowed<bool>::text(const Rule& /*rule*/, Origin origin) {
  return origin == Origin::environment ? "true, false, 1 or 0" : "true or false";
}

std::string Allowed<double>::text(const Rule& rule, Origin /*origin*/) {
  return fmt::format("a finite number of at least {}", rule.min);
}

std::string Allowed<Duration>::text(const Rule& rule, Origin origin) {
  std::string result = fmt::format("a duration of {} or more", format_duration(Duration(rule.min)));
  if (origin != Origin::code) result += R"(, as "30s", "1m30s", "24h", "250ms" or a number of seconds)";
  return result;
}

std::string Allowed<std::string>::text(const Rule& rule, Origin /*origin*/) {
  if (!rule.choices.empty()) return "one of " + join(rule.choices);
  if (!rule.prefixes.empty()) return "a string that begins with one of " + join(rule.prefixes);
  return "a string";
}

std::string Allowed<Strings>::text(const Rule& rule, Origin origin) {
  const std::string_view bound = rule.required ? ", at least one" : "";
  const std::string_view form = origin == Origin::environment ? "strings separated by commas" : "a list of strings";
  return fmt::format("{}, none of them empty{}", form, bound);
}

std::string Allowed<StringMap>::text(const Rule& /*rule*/, Origin origin) {
  return origin == Origin::environment ? "key=value pairs separated by commas, each key once"
                                       : "a table of strings; a key with a dot in it needs quotes in TOML";
}

}  // namespace lrpc::queue::config_impl
