// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/commit_note.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace lrpc::queue::kafka {
namespace {

constexpr char kNoteVersion = '1';
constexpr std::size_t kOwnerBytes = 8;
constexpr std::size_t kLongestNumber = 10;  // LEB128 of 64 bits
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void put_number(std::string& out, std::int64_t value) {
  auto rest = static_cast<std::uint64_t>(value);
  while (rest >= 0x80) {
    out.push_back(static_cast<char>(rest | 0x80));
    rest >>= 7;
  }
  out.push_back(static_cast<char>(rest));
}

/// Reads what put_number wrote; after the first failure every read fails.
class NoteReader {
 public:
  explicit NoteReader(std::string_view bytes) : rest_(bytes) {}

  std::optional<std::int64_t> number() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < kLongestNumber && !rest_.empty(); ++i) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << (7 * i);
      if ((byte & 0x80) == 0) {
        if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) break;
        return static_cast<std::int64_t>(value);
      }
    }
    rest_ = {};
    return std::nullopt;
  }
  /// A number that is added to `base`; nothing where that overflows.
  std::optional<std::int64_t> from(std::int64_t base) {
    const auto step = number();
    if (!step || *step > std::numeric_limits<std::int64_t>::max() - base) return std::nullopt;
    return base + *step;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i <= count; ++i) text.push_back(kBase64[group >> (18 - 6 * i) & 0x3F]);
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    const std::size_t count = std::min<std::size_t>(4, text.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t digit = i < count ? kBase64.find(text[at + i]) : 0;
      if (digit == std::string_view::npos) return std::nullopt;
      group = group << 6 | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t i = 0; i + 1 < count; ++i) bytes.push_back(static_cast<char>(group >> (16 - 8 * i) & 0xFF));
  }
  return bytes;
}

/// Entries as bytes, as many as find room beside the number of them.
struct Section {
  std::string bytes{};
  std::int64_t count = 0;
};

template <class Entries, class Put>
Section section(const Entries& entries, std::size_t room, Put put) {
  Section part;
  for (const auto& entry : entries) {
    const std::size_t before = part.bytes.size();
    put(part.bytes, entry);
    if (part.bytes.size() + kLongestNumber > room) {
      part.bytes.resize(before);
      break;
    }
    ++part.count;
  }
  return part;
}

}  // namespace

NoteText write_note(const CommitNote& note, std::int64_t watermark, std::size_t most) {
  const std::size_t room = (most - 1) / 4 * 3 - kOwnerBytes;
  std::int64_t last = watermark;
  // What was handed out gets what the runs leave, but a quarter in any case: a message that kills its process must be
  // counted (D6).
  const auto put_handed_out = [&last](std::string& out, const CommitNote::HandedOut& one) {
    put_number(out, one.offset - last);
    put_number(out, one.deliveries);
    last = one.offset;
  };
  const auto put_run = [&last](std::string& out, const OffsetRange& run) {
    put_number(out, run.first - last);
    put_number(out, run.end - run.first);
    last = run.end;
  };
  const std::size_t reserved =
      std::min(section(note.handed_out, room / 4, put_handed_out).bytes.size() + kLongestNumber, room / 4);
  last = watermark;
  const Section runs = section(note.settled, room - reserved, put_run);
  last = watermark;
  const Section handed_out = section(note.handed_out, room - runs.bytes.size() - kLongestNumber, put_handed_out);

  std::string bytes;
  for (std::size_t i = 0; i < kOwnerBytes; ++i) bytes.push_back(static_cast<char>(note.owner >> (56 - 8 * i) & 0xFF));
  put_number(bytes, runs.count);
  bytes += runs.bytes;
  put_number(bytes, handed_out.count);
  bytes += handed_out.bytes;
  return {.text = kNoteVersion + to_base64(bytes),
          .all_settled = runs.count == static_cast<std::int64_t>(note.settled.size()),
          .all_handed_out = handed_out.count == static_cast<std::int64_t>(note.handed_out.size())};
}

std::optional<CommitNote> read_note(std::string_view text, std::int64_t watermark) {
  if (text.empty() || text.front() != kNoteVersion) return std::nullopt;
  const auto bytes = from_base64(text.substr(1));
  if (!bytes || bytes->size() < kOwnerBytes) return std::nullopt;
  CommitNote note;
  for (std::size_t i = 0; i < kOwnerBytes; ++i) note.owner = note.owner << 8 | static_cast<unsigned char>((*bytes)[i]);
  NoteReader reader(std::string_view(*bytes).substr(kOwnerBytes));

  const auto runs = reader.number();
  if (!runs) return std::nullopt;
  std::int64_t last = watermark;
  for (std::int64_t i = 0; i < *runs; ++i) {
    const auto first = reader.from(last);
    const auto end = first ? reader.from(*first) : std::nullopt;
    if (!end || *end == *first) return std::nullopt;
    note.settled.push_back({*first, *end});
    last = *end;
  }
  const auto handed_out = reader.number();
  if (!handed_out) return std::nullopt;
  last = watermark;
  for (std::int64_t i = 0; i < *handed_out; ++i) {
    const auto offset = reader.from(last);
    const auto deliveries = reader.number();
    if (!offset || !deliveries) return std::nullopt;
    note.handed_out.push_back({*offset, *deliveries});
    last = *offset;
  }
  if (!reader.at_end()) return std::nullopt;
  return note;
}

}  // namespace lrpc::queue::kafka
