// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "config/bind.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "config/text.hpp"

namespace lrpc::queue::config_impl {
namespace {

/// Where a key of this name lives when it was put into the wrong section.
std::string same_name_elsewhere(std::string_view key) {
  std::vector<std::string> paths;
  append_paths<Config>("", paths);
  const std::string suffix = "." + std::string(key);
  const auto found =
      std::ranges::find_if(paths, [&](const std::string& path) { return path == key || path.ends_with(suffix); });
  return found == paths.end() ? std::string() : *found;
}

}  // namespace

std::unexpected<Error> unknown_key(const Source& source, std::string_view section, std::string_view key,
                                   std::span<const std::string_view> known) {
  const std::vector<std::string> candidates(known.begin(), known.end());
  std::string suggestion = nearest(key, candidates);
  suggestion = suggestion.empty() ? same_name_elsewhere(key) : join_path(section, suggestion);
  const std::string hint = suggestion.empty() ? "" : fmt::format(", did you mean {}?", suggestion);
  const std::string where = section.empty() ? "" : fmt::format(" in {}", section);
  return fail(ErrorCode::invalid_config, fmt::format("{}: unknown key {}{}{} Allowed: {}", source.name, show_key(key),
                                                     where, hint.empty() ? "." : hint, join(known)));
}

}  // namespace lrpc::queue::config_impl
