// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lrpc/queue/types.hpp>

/// \file
/// The text form of durations. Anything finer than a millisecond is rounded to the nearest one, but never to zero,
/// because zero often means "off" or "never".

namespace lrpc::queue::config_impl {

/// "24h", "1m30s", "1.5s", "250ms": numbers with the units h, m, s, ms, from the largest to the smallest, each at most
/// once. Empty for anything else, a sign included, and for what is too large to count exactly.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);
/// A number of seconds. Empty when negative, not finite or too large to count exactly.
[[nodiscard]] std::optional<Duration> duration_from_seconds(double seconds);
/// The form that `parse_duration` reads, with a leading '-' when negative.
[[nodiscard]] std::string format_duration(Duration duration);

}  // namespace lrpc::queue::config_impl
