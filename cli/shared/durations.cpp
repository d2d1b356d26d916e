// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/durations.hpp"

#include <fmt/format.h>

#include "config/duration.hpp"  // the library's own: the texts must mean the same here and in files

namespace lrpc::queue::cli {

namespace {

std::optional<Duration> parse(const std::string& text) {
  double seconds = 0;
  if (CLI::detail::lexical_cast(text, seconds)) return config_impl::duration_from_seconds(seconds);
  return config_impl::parse_duration(text);
}

}  // namespace

CLI::Option* add_duration(CLI::App& app, const std::string& name, std::optional<Duration>& target,
                          const std::string& description) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name](const std::string& text) {
            target = parse(text);
            if (!target) {
              throw CLI::ValidationError(
                  name, fmt::format("\"{}\" is no duration (30s, 1m30s, 250ms or a number of seconds)", text));
            }
          },
          description)
      ->type_name("DURATION");
}

std::string format_duration(Duration duration) { return config_impl::format_duration(duration); }

}  // namespace lrpc::queue::cli
