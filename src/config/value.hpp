// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <lrpc/queue/config.hpp>

#include "config/document.hpp"
#include "config/duration.hpp"
#include "config/schema.hpp"
#include "config/text.hpp"

/// \file
/// The values of single fields, one set of overloads per type: reading from a document (`parse`) and from the text of
/// an environment variable (`from_text`), the range rule (`accepts`), and the texts of an error message (`show`,
/// `allowed`). A document is a nlohmann::json; a date or time, which only TOML has, is a binary value in it.

namespace lrpc::queue::config_impl {

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;

/// Where a value comes from.
enum class Origin { file, environment, code };
struct Source {
  Origin origin;
  std::string name;  ///< "queue.yaml", "environment variable X", "config".
};

template <class T>
concept Integer = std::same_as<T, int> || std::same_as<T, std::int64_t>;

/// `invalid_config` in the one form that all such errors have.
[[nodiscard]] std::unexpected<Error> invalid(const Source& source, std::string_view path, std::string_view found,
                                             std::string_view allowed);
/// "a string", "a list", ...
[[nodiscard]] std::string_view kind_of(const Json& node);
/// The value as written, for scalars; else its kind.
[[nodiscard]] std::string show(const Json& node);

// parse: false when the document's value is of another type or cannot be represented.

[[nodiscard]] bool parse(const Json& node, bool& out);
[[nodiscard]] bool parse(const Json& node, std::int64_t& out);
[[nodiscard]] bool parse(const Json& node, int& out);
[[nodiscard]] bool parse(const Json& node, double& out);
[[nodiscard]] bool parse(const Json& node, Duration& out);
[[nodiscard]] bool parse(const Json& node, std::string& out);
[[nodiscard]] bool parse(const Json& node, Strings& out);
[[nodiscard]] bool parse(const Json& node, StringMap& out);
template <NamedEnum E>
[[nodiscard]] bool parse(const Json& node, E& out) {
  if (!node.is_string()) return false;
  const auto& names = EnumNames<E>::names;
  const auto* const found = std::ranges::find(names, node.get_ref<const std::string&>());
  if (found == names.end()) return false;
  out = static_cast<E>(found - names.begin());
  return true;
}

// from_text: what `parse` reads, made of an environment variable's text; empty when it is not even of that form.

template <class T>
struct Text {
  static std::optional<Json> to_json(std::string_view text) { return Json(std::string(text)); }
};
template <>
struct Text<bool> {
  static std::optional<Json> to_json(std::string_view text);
};
template <>
struct Text<std::int64_t> {
  static std::optional<Json> to_json(std::string_view text);
};
template <>
struct Text<int> : Text<std::int64_t> {};
template <>
struct Text<double> {
  static std::optional<Json> to_json(std::string_view text);
};
template <>
struct Text<Duration> {
  static std::optional<Json> to_json(std::string_view text);
};
template <>
struct Text<Strings> {
  static std::optional<Json> to_json(std::string_view text);
};
template <>
struct Text<StringMap> {
  static std::optional<Json> to_json(std::string_view text);
};

// accepts: whether the rule admits the value.

[[nodiscard]] bool accepts(double value, const Rule& rule);
[[nodiscard]] bool accepts(Duration value, const Rule& rule);
[[nodiscard]] bool accepts(const std::string& value, const Rule& rule);
[[nodiscard]] bool accepts(const Strings& value, const Rule& rule);
[[nodiscard]] inline bool accepts(bool /*value*/, const Rule& /*rule*/) { return true; }
[[nodiscard]] inline bool accepts(const StringMap& /*value*/, const Rule& /*rule*/) { return true; }
template <Integer T>
[[nodiscard]] bool accepts(T value, const Rule& rule) {
  return value >= rule.min && value <= rule.max;
}
template <NamedEnum E>
[[nodiscard]] bool accepts(E value, const Rule& /*rule*/) {
  return static_cast<std::size_t>(value) < EnumNames<E>::names.size();
}

// show: a value set in code. Only those need it that a rule can refuse.

[[nodiscard]] inline std::string show(double value) { return fmt::format("{}", value); }
[[nodiscard]] inline std::string show(Duration value) { return format_duration(value); }
[[nodiscard]] inline std::string show(const std::string& value) { return quote(value); }
[[nodiscard]] inline std::string show(const Strings& value) {
  return value.empty() ? "an empty list" : "a list with an empty string";
}
[[nodiscard]] inline std::string show(const StringMap& /*value*/) { return "a table"; }
template <Integer T>
[[nodiscard]] std::string show(T value) {
  return fmt::format("{}", value);
}
[[nodiscard]] inline std::string show(bool value) { return value ? "true" : "false"; }
template <NamedEnum E>
[[nodiscard]] std::string show(E value) {
  return fmt::format("the unknown enumerator {}", static_cast<int>(value));
}

// allowed: what a field accepts, in words.

template <class T>
struct Allowed {};
template <>
struct Allowed<bool> {
  static std::string text(const Rule& rule, Origin origin);
};
template <>
struct Allowed<double> {
  static std::string text(const Rule& rule, Origin origin);
};
template <>
struct Allowed<Duration> {
  static std::string text(const Rule& rule, Origin origin);
};
template <>
struct Allowed<std::string> {
  static std::string text(const Rule& rule, Origin origin);
};
template <>
struct Allowed<Strings> {
  static std::string text(const Rule& rule, Origin origin);
};
template <>
struct Allowed<StringMap> {
  static std::string text(const Rule& rule, Origin origin);
};
template <Integer T>
struct Allowed<T> {
  static std::string text(const Rule& rule, Origin /*origin*/) {
    return fmt::format("an integer from {} to {}", std::max<std::int64_t>(rule.min, std::numeric_limits<T>::min()),
                       std::min<std::int64_t>(rule.max, std::numeric_limits<T>::max()));
  }
};
template <NamedEnum E>
struct Allowed<E> {
  static std::string text(const Rule& /*rule*/, Origin /*origin*/) { return "one of " + join(EnumNames<E>::names); }
};
template <Section S>
struct Allowed<S> {
  static std::string text(const Rule& /*rule*/, Origin /*origin*/) {
    std::vector<std::string_view> names;
    static_cast<void>(for_each_field<S>([&](const auto& each) -> Result<void> {
      names.push_back(each.name);
      return {};
    }));
    return "a table with the keys " + join(names);
  }
};

}  // namespace lrpc::queue::config_impl
