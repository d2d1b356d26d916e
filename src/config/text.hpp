// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// \file
/// Texts of error messages: showing what was found without passing on control characters, and suggesting what was
/// probably meant.

namespace lrpc::queue::config_impl {

/// `text` in double quotes, shortened when long, with control characters and invalid UTF-8 escaped.
[[nodiscard]] std::string quote(std::string_view text);
/// A key for display. What follows a character that no key contains is left out: it may be a value, even a password,
/// that a slip of the pen made part of the key.
[[nodiscard]] std::string show_key(std::string_view key);
/// The offset of the first byte that is not part of valid UTF-8.
[[nodiscard]] std::optional<std::size_t> find_invalid_utf8(std::string_view text);
/// The candidate most like `word`, regardless of case and of '-' or '_'; empty when none is close.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> candidates);
/// "a, b, c".
[[nodiscard]] std::string join(std::span<const std::string_view> parts);

}  // namespace lrpc::queue::config_impl
