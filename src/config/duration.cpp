// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "config/duration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace lrpc::queue::config_impl {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
/// From the largest to the smallest.
constexpr std::array<Unit, 4> kUnits{{{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr double kMaxExactMs = 9007199254740992.0;  // 2^53

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<Duration> from_ms(double ms) {
  if (!(ms >= 0) || ms > kMaxExactMs) return std::nullopt;
  const double rounded = ms > 0 ? std::max(1.0, std::round(ms)) : 0.0;
  return Duration(static_cast<std::int64_t>(rounded));
}

/// Takes "12" or "12.5" from the front of `text`.
std::optional<double> take_number(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && is_digit(text[length])) ++length;
  if (length == 0) return std::nullopt;
  if (length < text.size() && text[length] == '.') {
    const std::size_t fraction = ++length;
    while (length < text.size() && is_digit(text[length])) ++length;
    if (length == fraction) return std::nullopt;
  }
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + length, value, std::chars_format::fixed);
  if (code != std::errc() || end != text.data() + length) return std::nullopt;
  text.remove_prefix(length);
  return value;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total = 0;
  std::size_t next_unit = 0;
  while (!text.empty()) {
    const std::optional<double> number = take_number(text);
    if (!number) return std::nullopt;
    const auto length = static_cast<std::size_t>(std::ranges::find_if(text, is_digit) - text.begin());
    const std::string_view name = text.substr(0, length);
    while (next_unit < kUnits.size() && kUnits[next_unit].name != name) ++next_unit;
    if (next_unit == kUnits.size()) return std::nullopt;
    total += *number * static_cast<double>(kUnits[next_unit++].ms);
    text.remove_prefix(length);
  }
  return from_ms(total);
}

std::optional<Duration> duration_from_seconds(double seconds) { return from_ms(seconds * 1000.0); }

std::string format_duration(Duration duration) {
  if (duration.count() == 0) return "0s";
  std::string result;
  // Unsigned, so that the smallest value has a magnitude too.
  auto left = static_cast<std::uint64_t>(duration.count());
  if (duration.count() < 0) {
    left = -left;
    result = "-";
  }
  for (const Unit& unit : kUnits) {
    const auto size = static_cast<std::uint64_t>(unit.ms);
    if (left < size) continue;
    result += std::to_string(left / size);
    result += unit.name;
    left %= size;
  }
  return result;
}

}  // namespace lrpc::queue::config_impl
