// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <vector>

namespace lrpc::queue::kafka {

/// The offsets from `first` up to, not with, `end`.
struct OffsetRange {
  std::int64_t first = 0;
  std::int64_t end = 0;
  friend bool operator==(const OffsetRange&, const OffsetRange&) = default;
};
/// How many of `range` are in none of `runs`, which do not overlap.
[[nodiscard]] std::int64_t count_outside(OffsetRange range, std::span<const OffsetRange> runs);

/// Which offsets of one partition are settled: the watermark, below which all are, and what is settled beyond it.
/// Bookkeeping without lock or I/O. A bit an offset from the watermark on, so that settling costs the same in any
/// order; the idea is modern-cpp-kafka's UnorderedOffsetCommitQueue and Parallel Consumer's offset map.
class Progress {
 public:
  /// Reading begins at `start`; `settled` are the offsets beyond it that were settled before.
  explicit Progress(std::int64_t start, std::span<const OffsetRange> settled = {});

  /// The reader has got to `offset`. Those passed over do not exist (the marks of transactions, what compaction or
  /// retention took): they count as settled. True: this one is news; not one that was read, foreseen or settled before.
  bool reach(std::int64_t offset);
  /// `offset`, which the reader has not reached, is here already: from now on it is open until it is settled, and
  /// nothing that is passed over. False: it was read, foreseen or settled before.
  bool foresee(std::int64_t offset);
  /// Nothing before `offset` is to be read any more: what the reader has not reached is settled, but for what was
  /// foreseen. Returns how many this settled.
  std::int64_t skip_to(std::int64_t offset);
  /// Settles an offset that was read or foreseen; false when it was.
  bool settle(std::int64_t offset);
  [[nodiscard]] bool settled(std::int64_t offset) const;

  /// What may be committed: all below is settled.
  [[nodiscard]] std::int64_t watermark() const noexcept { return watermark_; }
  /// One past the last offset that the reader reached.
  [[nodiscard]] std::int64_t end() const noexcept { return end_; }
  /// How many of a range are not settled.
  [[nodiscard]] std::int64_t open(OffsetRange range) const;
  /// How many from the watermark on are settled, those that the reader has not reached included.
  [[nodiscard]] std::int64_t settled_ahead() const noexcept { return ahead_; }
  /// The runs of settled offsets beyond the watermark, at most `most`, the lowest first.
  [[nodiscard]] std::vector<OffsetRange> runs_ahead(std::size_t most) const;

 private:
  using Word = std::uint64_t;
  static constexpr int kBits = 64;

  std::int64_t pass(std::int64_t end);
  std::int64_t mark(OffsetRange range);
  void advance();

  std::int64_t watermark_;
  std::int64_t end_;
  std::int64_t ahead_ = 0;
  std::int64_t base_;       // the offset of the lowest bit; at most kBits - 1 below the watermark
  std::deque<Word> words_;  // as far as something is settled
  std::set<std::int64_t> foreseen_;  // not before end_
};

}  // namespace lrpc::queue::kafka
