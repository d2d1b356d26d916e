// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "config/text.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace lrpc::queue::config_impl {
namespace {

constexpr std::size_t kMaxShown = 60;
constexpr std::size_t kMaxCompared = 128;

constexpr bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/// The length of the UTF-8 sequence at the front of `text`, 0 when it is invalid.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  // Overlong forms, surrogates and what lies beyond U+10FFFF are told by the second byte.
  const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

/// Lower case without '-' and '_', so that "maxRetries" and "max-retries" equal "max_retries".
std::string normalize(std::string_view word) {
  std::string result;
  for (const char c : word) {
    if (c >= 'A' && c <= 'Z') {
      result += static_cast<char>(c - 'A' + 'a');
    } else if (c != '-' && c != '_') {
      result += c;
    }
  }
  return result;
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({replace, previous[j] + 1, current[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::string quote(std::string_view text) {
  std::string result = "\"";
  std::size_t at = 0;
  while (at < text.size() && result.size() <= kMaxShown) {
    const std::size_t length = sequence_length(text.substr(at));
    const char c = text[at];
    if (length > 1) {
      result += text.substr(at, length);
    } else if (length == 0 || static_cast<std::uint8_t>(c) < 0x20 || c == 0x7F) {
      result += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(c));
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
    at += std::max<std::size_t>(length, 1);
  }
  if (at < text.size()) result += "...";
  return result + '"';
}

std::string show_key(std::string_view key) {
  const auto end = std::ranges::find_if_not(key.substr(0, kMaxShown), is_key_char);
  const auto length = static_cast<std::size_t>(end - key.begin());
  return length == key.size() ? quote(key) : fmt::format("\"{}...\"", key.substr(0, length));
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() > kMaxCompared) return {};
  const std::string wanted = normalize(word);
  const std::string* best = nullptr;
  std::size_t best_distance = kMaxCompared;
  for (const std::string& candidate : candidates) {
    const std::string other = normalize(candidate);
    const std::size_t d = distance(wanted, other);
    // A third of the letters may differ.
    if (d < best_distance && d <= std::max<std::size_t>(1, std::max(wanted.size(), other.size()) / 3)) {
      best = &candidate;
      best_distance = d;
    }
  }
  return best == nullptr ? std::string() : *best;
}

std::string join(std::span<const std::string_view> parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

}  // namespace lrpc::queue::config_impl
