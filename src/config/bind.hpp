// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "config/schema.hpp"
#include "config/value.hpp"

/// \file
/// Puts values of a document or the environment into a configuration struct, as its schema says.

namespace lrpc::queue::config_impl {

/// Says what is wrong with a key that no field of the section S has.
[[nodiscard]] std::unexpected<Error> unknown_key(const Source& source, std::string_view section, std::string_view key,
                                                 std::span<const std::string_view> known);

/// Reads one value, of a type that is no section.
template <class T>
Result<void> bind_leaf(const Source& source, const std::string& path, const Rule& rule, const Json& node,
                       std::string_view found, T& out) {
  T value{};
  if (!parse(node, value) || !accepts(value, rule)) {
    return invalid(source, path, found, Allowed<T>::text(rule, source.origin));
  }
  out = std::move(value);
  return {};
}

template <Section S>
Result<void> bind_section(const Source& source, const std::string& path, const Json& node, S& out);

template <class T>
Result<void> bind_value(const Source& source, const std::string& path, const Rule& rule, const Json& node, T& out) {
  if constexpr (Optional<T>) {
    if (node.is_null()) {
      out.reset();
      return {};
    }
    typename T::value_type value = out.value_or(typename T::value_type{});
    Result<void> result = bind_value(source, path, rule, node, value);
    if (result) out = std::move(value);
    return result;
  } else if constexpr (Section<T>) {
    return bind_section(source, path, node, out);
  } else {
    return bind_leaf(source, path, rule, node, rule.secret ? std::string(kind_of(node)) : show(node), out);
  }
}

/// Reads the fields of S that the table `node` names; the others keep their values.
template <Section S>
Result<void> bind_section(const Source& source, const std::string& path, const Json& node, S& out) {
  if (!node.is_object()) {
    // Only the kind: a text in the place of a section may be a URL with a password.
    return invalid(source, path, kind_of(node), Allowed<S>::text({}, source.origin));
  }
  std::vector<std::string_view> names;
  Result<void> result = for_each_field<S>([&](const auto& each) -> Result<void> {
    names.push_back(each.name);
    const auto found = node.find(each.name);
    if (found == node.end()) return {};
    return bind_value(source, join_path(path, each.name), each.rule, *found, out.*(each.member));
  });
  if (!result) return result;
  for (const auto& [key, value] : node.items()) {
    if (std::ranges::find(names, key) == names.end()) return unknown_key(source, path, key, names);
  }
  return {};
}

}  // namespace lrpc::queue::config_impl
