// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include <lrpc/queue/config.hpp>

#include "config/schema.hpp"
#include "config/text.hpp"

namespace lrpc::queue {
namespace {

constexpr std::size_t kMaxNameLength = 200;

/// ASCII letters, digits and '_', whatever the locale.
constexpr bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

template <config_impl::NamedEnum E>
constexpr std::string_view name_of(E value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  return index < config_impl::EnumNames<E>::names.size() ? config_impl::EnumNames<E>::names[index] : "unknown";
}

}  // namespace

std::string_view to_string(StorageType value) noexcept { return name_of(value); }
std::string_view to_string(Overflow value) noexcept { return name_of(value); }
std::string_view to_string(Compression value) noexcept { return name_of(value); }
std::string_view to_string(Balancer value) noexcept { return name_of(value); }
std::string_view to_string(StartOffset value) noexcept { return name_of(value); }
std::string_view to_string(IsolationLevel value) noexcept { return name_of(value); }

Result<void> validate_name(std::string_view what, std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    std::string message(what);
    message.append(" name ").append(config_impl::quote(name)).append(" ").append(why);
    return fail(ErrorCode::invalid_argument, std::move(message));
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kMaxNameLength) return refuse("is longer than 200 characters");
  if (!std::ranges::all_of(name, [](char c) { return is_word(c) || c == '.' || c == '-'; })) {
    return refuse("may contain only A-Z, a-z, 0-9, '_', '.' and '-'");
  }
  if (!is_word(name.front()) || !is_word(name.back())) return refuse("must begin and end with a letter, digit or '_'");
  return {};
}

}  // namespace lrpc::queue
