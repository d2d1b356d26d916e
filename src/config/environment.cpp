// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include <lrpc/queue/config.hpp>

#include "config/bind.hpp"
#include "config/text.hpp"

namespace lrpc::queue {
namespace config_impl {
namespace {

constexpr std::string_view kPrefix = "LRPC_QUEUE_";

/// "redis_config.addr" is LRPC_QUEUE_REDIS_CONFIG_ADDR.
std::string variable_name(std::string_view path) {
  std::string result(kPrefix);
  for (const char c : path) {
    result += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return result;
}

/// All variables of ours. Of one that is set twice the first counts, as for getenv.
std::map<std::string, std::string> our_variables() {
  std::map<std::string, std::string> result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    result.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

/// Lays variables over a configuration and forgets those that it has used.
class Overlay {
 public:
  explicit Overlay(std::map<std::string, std::string> variables) : variables_(std::move(variables)) {}

  template <Section S>
  Result<void> apply(const std::string& section, S& out) {
    return for_each_field<S>([&](const auto& each) -> Result<void> {
      return apply_value(join_path(section, each.name), each.rule, out.*(each.member));
    });
  }

  /// An error for the first variable that no field has used.
  [[nodiscard]] Result<void> check_all_used() const {
    if (variables_.empty()) return {};
    std::vector<std::string> names;
    append_paths<Config>("", names);
    std::ranges::transform(names, names.begin(), variable_name);
    const std::string& name = variables_.begin()->first;
    std::string suggestion = nearest(name.substr(kPrefix.size()), without_prefix(names));
    if (suggestion.empty()) suggestion = with_section(name.substr(kPrefix.size()), without_prefix(names));
    return fail(ErrorCode::invalid_config,
                fmt::format("environment variable {}: no such setting{}", show_key(name),
                            suggestion.empty() ? "" : fmt::format(", did you mean {}{}?", kPrefix, suggestion)));
  }

 private:
  /// The prefix would make every two names alike.
  static std::vector<std::string> without_prefix(std::vector<std::string> names) {
    for (std::string& name : names) name.erase(0, kPrefix.size());
    return names;
  }

  /// What REDIS_ADDR means is REDIS_CONFIG_ADDR.
  static std::string with_section(const std::string& word, const std::vector<std::string>& names) {
    constexpr std::string_view kSection = "_CONFIG";
    const auto meant = std::ranges::find_if(names, [&](std::string name) {
      const std::size_t at = name.find(kSection);
      return at != std::string::npos && name.erase(at, kSection.size()) == word;
    });
    return meant == names.end() ? std::string() : *meant;
  }

  template <class T>
  Result<void> apply_value(const std::string& path, const Rule& rule, T& out) {
    if constexpr (Optional<T>) {
      const std::size_t before = variables_.size();
      typename T::value_type value = out.value_or(typename T::value_type{});
      Result<void> result = apply_value(path, rule, value);
      if (result && variables_.size() != before) out = std::move(value);
      return result;
    } else if constexpr (Section<T>) {
      return apply(path, out);
    } else {
      const auto variable = variables_.extract(variable_name(path));
      if (variable.empty()) return {};
      const std::string& text = variable.mapped();
      const Source source{Origin::environment, "environment variable " + variable.key()};
      const std::string found = rule.secret ? "another text" : quote(text);
      const std::optional<Json> node = Text<T>::to_json(text);
      if (!node) return invalid(source, path, found, Allowed<T>::text(rule, source.origin));
      return bind_leaf(source, path, rule, *node, found, out);
    }
  }

  std::map<std::string, std::string> variables_;
};

}  // namespace
}  // namespace config_impl

Result<Config> Config::from_env() { return from_env(Config{}); }

Result<Config> Config::from_env(Config base) {
  config_impl::Overlay overlay(config_impl::our_variables());
  Result<void> result = overlay.apply("", base);
  if (result) result = overlay.check_all_used();
  if (!result) return std::unexpected(std::move(result.error()));
  return base;
}

}  // namespace lrpc::queue
