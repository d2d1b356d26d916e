// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kafka/progress.hpp"

namespace lrpc::queue::kafka {

/// What goes with the committed offset of a partition, in its metadata: who committed, what was settled beyond the
/// offset, and how often the messages that are not settled were handed out (D1, D6).
///
/// The text is "1" and base64 of: the owner (8 bytes, big endian); how many runs are settled, and for each the distance
/// from the end of the one before (the first: from the committed offset) and its length; how many messages were handed
/// out, and for each the distance from the one before and the deliveries. Numbers are LEB128. A broker takes at most
/// `offset.metadata.max.bytes`, 4,096 unless changed.
struct CommitNote {
  /// A message that is not settled but was handed out.
  struct HandedOut {
    std::int64_t offset = 0;
    std::int64_t deliveries = 0;
    friend bool operator==(const HandedOut&, const HandedOut&) = default;
  };

  std::uint64_t owner = 0;              ///< The consumer's own number.
  std::vector<OffsetRange> settled{};   ///< Ascending, not touching each other.
  std::vector<HandedOut> handed_out{};  ///< Ascending.
  friend bool operator==(const CommitNote&, const CommitNote&) = default;
};

/// The longest metadata that a broker takes by default.
inline constexpr std::size_t kMostMetadata = 4096;
/// The shortest that has room for what a note must say.
inline constexpr std::size_t kLeastMetadata = 128;

/// A note as text, and how much of it found room.
struct NoteText {
  std::string text{};
  bool all_settled = true;     ///< False: the highest runs were left out; they would be delivered again.
  bool all_handed_out = true;  ///< False: the highest deliveries were left out; they would not be counted.
};

/// The note of an offset that is committed as `watermark`, in at most `most` bytes (kLeastMetadata at least).
[[nodiscard]] NoteText write_note(const CommitNote& note, std::int64_t watermark, std::size_t most = kMostMetadata);
/// Empty for a text that is none of ours: another program committed. Never throws but std::bad_alloc.
[[nodiscard]] std::optional<CommitNote> read_note(std::string_view text, std::int64_t watermark);

}  // namespace lrpc::queue::kafka
