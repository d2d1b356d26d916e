// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/progress.hpp"

#include <algorithm>
#include <bit>

namespace lrpc::queue::kafka {

Progress::Progress(std::int64_t start, std::span<const OffsetRange> settled)
    : watermark_(start), end_(start), base_(start) {
  for (const OffsetRange& range : settled) mark({std::max(range.first, start), range.end});
  advance();
}

bool Progress::reach(std::int64_t offset) {
  if (offset > end_) mark({end_, offset});
  end_ = std::max(end_, offset + 1);
  advance();
  return !settled(offset);
}

void Progress::skip_to(std::int64_t offset) {
  if (offset <= end_) return;
  mark({end_, offset});
  end_ = offset;
  advance();
}

bool Progress::settle(std::int64_t offset) {
  if (settled(offset)) return false;
  mark(offset);
  advance();
  return true;
}

bool Progress::settled(std::int64_t offset) const {
  if (offset < watermark_) return true;
  const auto at = static_cast<std::size_t>(offset - base_);
  return at / kBits < words_.size() && (words_[at / kBits] >> (at % kBits) & 1) != 0;
}

void Progress::mark(std::int64_t offset) {
  const auto at = static_cast<std::size_t>(offset - base_);
  if (at / kBits >= words_.size()) words_.resize(at / kBits + 1);
  Word& word = words_[at / kBits];
  const Word bit = Word{1} << (at % kBits);
  if ((word & bit) == 0) ++ahead_;
  word |= bit;
}

void Progress::mark(OffsetRange range) {
  if (range.first >= range.end) return;
  if (range.first == watermark_ && ahead_ == 0) {
    // Nothing is in between: retention may have taken any number.
    watermark_ = base_ = range.end;
    words_.clear();
    return;
  }
  for (std::int64_t offset = range.first; offset < range.end; ++offset) mark(offset);
}

// Moves the watermark over what is settled, and lets go of the words behind it.
void Progress::advance() {
  while (!words_.empty()) {
    const int from = static_cast<int>(watermark_ - base_);
    const int run = std::countr_one(words_.front() >> from);

    watermark_ += run;
    ahead_ -= run;
    if (from + run < kBits) break;
    words_.pop_front();
    base_ += kBits;
  }
  if (words_.empty()) base_ = watermark_;
  end_ = std::max(end_, watermark_);
}

std::vector<OffsetRange> Progress::runs_ahead(std::size_t most) const {
  std::vector<OffsetRange> runs;
  std::int64_t offset = watermark_;
  const std::int64_t last = base_ + static_cast<std::int64_t>(words_.size()) * kBits;
  while (offset < last && runs.size() < most) {
    const auto at = static_cast<std::size_t>(offset - base_);
    const Word rest = words_[at / kBits] >> (at % kBits);
    const auto left = static_cast<int>(kBits - at % kBits);
    if (rest == 0) {
      offset += left;
      continue;
    }
    const int gap = std::countr_zero(rest);
    const int run = std::min(std::countr_one(rest >> gap), left - gap);
    const OffsetRange range{offset + gap, offset + gap + run};
    if (!runs.empty() && runs.back().end == range.first) {
      runs.back().end = range.end;
    } else {
      runs.push_back(range);
    }
    offset = range.end;
  }
  return runs;
}

}  // namespace lrpc::queue::kafka
