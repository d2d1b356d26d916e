// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The note of a commit: what is read from a broker is refused or well-formed, and what is written reads the same or
// claims less.
#include <algorithm>

#include "fuzz.hpp"
#include "kafka/commit_note.hpp"

using namespace lrpc::queue::kafka;
using lrpc::queue::fuzz::require;

namespace {

void check(const CommitNote& note, std::int64_t watermark) {
  std::int64_t at = watermark;
  for (const OffsetRange& range : note.settled) {
    require(range.first > at && range.end > range.first, "runs ascend beyond the watermark and do not touch");
    at = range.end;
  }
  std::int64_t before = watermark - 1;
  for (const CommitNote::HandedOut& out : note.handed_out) {
    require(out.offset > before && out.deliveries > 0, "hand-overs ascend from the watermark on");
    before = out.offset;
  }
  const NoteText text = write_note(note, watermark);
  require(text.text.size() <= kMostMetadata, "a note fits");
  const auto again = read_note(text.text, watermark);
  require(again.has_value(), "what we write can be read");
  if (text.all_settled && text.all_handed_out) require(*again == note, "it reads the same");
  require(again->settled.size() <= note.settled.size() &&
              std::equal(again->settled.begin(), again->settled.end(), note.settled.begin()),
          "it claims no more");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  const auto watermark = input.ConsumeIntegralInRange<std::int64_t>(0, std::int64_t{1} << 62U);
  if (input.ConsumeBool()) {
    if (const auto note = read_note(input.ConsumeRemainingBytesAsString(), watermark)) check(*note, watermark);
    return 0;
  }
  CommitNote note{.owner = input.ConsumeIntegral<std::uint64_t>()};
  std::int64_t at = watermark;
  while (input.remaining_bytes() > 2 && note.settled.size() < 5000) {
    const std::int64_t first = at + 1 + input.ConsumeIntegralInRange<std::int64_t>(0, 300);
    if (input.ConsumeBool())
      note.handed_out.push_back({.offset = at, .deliveries = 1 + input.ConsumeIntegral<std::uint8_t>()});
    at = first + 1 + input.ConsumeIntegralInRange<std::int64_t>(0, 300);
    note.settled.push_back({.first = first, .end = at});
  }
  check(note, watermark);
  return 0;
}
