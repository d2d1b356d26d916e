// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/progress.hpp"

#include <algorithm>
#include <bit>

namespace lrpc::queue::kafka {

std::int64_t count_outside(OffsetRange range, std::span<const OffsetRange> runs) {
  std::int64_t count = std::max<std::int64_t>(range.end - range.first, 0);
  for (const OffsetRange& run : runs) {
    count -= std::max<std::int64_t>(std::min(run.end, range.end) - std::max(run.first, range.first), 0);
  }
  return count;
}

Progress::Progress(std::int64_t start, std::span<const OffsetRange> settled)
    : watermark_(start), end_(start), base_(start) {
  for (const OffsetRange& range : settled) mark({std::max(range.first, start), range.end});
  advance();
}

bool Progress::reach(std::int64_t offset) {
  if (offset < end_) return false;
  pass(offset);
  end_ = offset + 1;
  const bool foreseen = foreseen_.erase(offset) > 0;
  advance();
  return !foreseen && !settled(offset);
}

bool Progress::foresee(std::int64_t offset) {
  return offset >= end_ && !settled(offset) && foreseen_.insert(offset).second;
}

std::int64_t Progress::skip_to(std::int64_t offset) {
  if (offset <= end_) return 0;
  const std::int64_t count = pass(offset);
  end_ = offset;
  advance();
  return count;
}

// Settles what lies from the reader's place to `end` and was not foreseen.
std::int64_t Progress::pass(std::int64_t end) {
  std::int64_t count = 0;
  std::int64_t from = end_;
  while (!foreseen_.empty() && *foreseen_.begin() < end) {
    const std::int64_t here = *foreseen_.begin();
    foreseen_.erase(foreseen_.begin());
    count += mark({from, here});
    from = here + 1;
  }
  return count + mark({from, end});
}

bool Progress::settle(std::int64_t offset) {
  if (settled(offset)) return false;
  mark({offset, offset + 1});
  advance();
  return true;
}

bool Progress::settled(std::int64_t offset) const {
  if (offset < watermark_) return true;
  const auto at = static_cast<std::size_t>(offset - base_);
  return at / kBits < words_.size() && (words_[at / kBits] >> (at % kBits) & 1) != 0;
}

// Returns how many of them were not settled.
std::int64_t Progress::mark(OffsetRange range) {
  if (range.first >= range.end) return 0;
  if (range.first == watermark_ && ahead_ == 0) {
    // Nothing is in between: retention may have taken any number.
    watermark_ = base_ = range.end;
    words_.clear();
    return range.end - range.first;
  }
  const auto first = static_cast<std::size_t>(range.first - base_);
  const auto last = static_cast<std::size_t>(range.end - base_ - 1);
  if (last / kBits >= words_.size()) words_.resize(last / kBits + 1);
  std::int64_t count = 0;
  for (std::size_t at = first / kBits; at <= last / kBits; ++at) {
    Word bits = ~Word{0};
    if (at == first / kBits) bits &= ~Word{0} << (first % kBits);
    if (at == last / kBits) bits &= ~Word{0} >> (kBits - 1 - last % kBits);
    count += std::popcount(bits & ~words_[at]);
    words_[at] |= bits;
  }
  ahead_ += count;
  return count;
}

std::int64_t Progress::open(OffsetRange range) const {
  range.first = std::max(range.first, watermark_);
  return count_outside(range, runs_ahead(static_cast<std::size_t>(ahead_)));
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
  if (watermark_ <= end_) return;
  end_ = watermark_;
  foreseen_.erase(foreseen_.begin(), foreseen_.lower_bound(end_));
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
