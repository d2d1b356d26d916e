// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string_view>

namespace lrpc::queue::redis {

/// The id of a stream's entry, "<milliseconds>-<number>", in the server's order.
struct EntryId {
  std::uint64_t ms = 0;
  std::uint64_t number = 0;

  friend constexpr auto operator<=>(const EntryId&, const EntryId&) = default;

  /// What the server writes as `text`; empty for anything else.
  [[nodiscard]] static std::optional<EntryId> parse(std::string_view text) noexcept {
    EntryId id;
    const char* const end = text.data() + text.size();
    const auto [dash, bad_ms] = std::from_chars(text.data(), end, id.ms);
    if (bad_ms != std::errc{} || dash == end || *dash != '-') return std::nullopt;
    const auto [rest, bad_number] = std::from_chars(dash + 1, end, id.number);
    if (bad_number != std::errc{} || rest != end) return std::nullopt;
    return id;
  }
  /// The smallest id behind this one.
  [[nodiscard]] EntryId next() const noexcept {
    if (number == std::numeric_limits<std::uint64_t>::max()) return {.ms = ms + 1, .number = 0};
    return {.ms = ms, .number = number + 1};
  }

  /// An id as text, without a string of its own.
  class Text {
   public:
    explicit Text(const EntryId& id) noexcept {
      char* const end = bytes_.data() + bytes_.size();
      char* at = std::to_chars(bytes_.data(), end, id.ms).ptr;
      *at++ = '-';
      at = std::to_chars(at, end, id.number).ptr;
      size_ = static_cast<std::size_t>(at - bytes_.data());
    }
    operator std::string_view() const noexcept { return {bytes_.data(), size_}; }

   private:
    std::array<char, 48> bytes_;
    std::size_t size_ = 0;
  };
  [[nodiscard]] Text text() const noexcept { return Text(*this); }
};

/// Both halves count up: mixed, so that neighbours lie in different places of a table.
struct EntryIdHash {
  [[nodiscard]] std::size_t operator()(const EntryId& id) const noexcept {
    std::uint64_t mixed = (id.ms * 0x9e3779b97f4a7c15U) ^ (id.number + 0x7f4a7c15U);
    mixed ^= mixed >> 32U;
    return static_cast<std::size_t>(mixed * 0x9e3779b97f4a7c15U);
  }
};

}  // namespace lrpc::queue::redis
