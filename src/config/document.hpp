// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <lrpc/queue/error.hpp>

/// \file
/// Text of a configuration file to a tree that is the same for all formats. Every parser here refuses duplicate keys
/// and deep nesting, throws nothing and quotes nothing of the text in its errors, because it may be a password.
/// Errors are `invalid_config` and begin with `name`, mostly followed by line and column.

namespace lrpc::queue::config_impl {

using Json = nlohmann::json;

enum class Format { json, yaml, toml };

/// By the extension of `path`, in any case of letters.
[[nodiscard]] std::optional<Format> format_of(std::string_view path);

/// Parses `text`; a text without content is an empty object. A date or time becomes a binary value.
[[nodiscard]] Result<Json> parse_document(Format format, std::string_view text, const std::string& name);

// What parse_document is made of; each expects valid UTF-8 without control characters.
[[nodiscard]] Result<Json> parse_json(std::string_view text, const std::string& name);
[[nodiscard]] Result<Json> parse_yaml(std::string_view text, const std::string& name);
[[nodiscard]] Result<Json> parse_toml(std::string_view text, const std::string& name);

/// "name:line:column: reason".
[[nodiscard]] std::unexpected<Error> document_error(std::string_view name, std::size_t line, std::size_t column,
                                                    std::string_view reason);
/// The same for a byte offset.
[[nodiscard]] std::unexpected<Error> document_error(std::string_view name, std::string_view text, std::size_t offset,
                                                    std::string_view reason);

}  // namespace lrpc::queue::config_impl
