// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// More retries wait than the index has room for.
#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kafka/shelf.hpp"

namespace lrpc::queue::kafka {
namespace {

constexpr PartitionKey kRetry0{.lane = Lane::retry, .number = 0};

/// A retry partition and who reads it and writes to it, as the member and the mover do.
class Log {
 public:
  explicit Log(std::size_t room) : shelf_(7, RetryIndex(room)) {
    shelf_.assign(kRetry0, std::nullopt, {.low = 0, .high = 1'000'000});
  }
  void write(std::int64_t due_ms) { records_.push_back({.number = next_number_++, .due_ms = due_ms}); }

  /// Until nothing is left to do at that time. False when it does not come to an end.
  bool settle_down(std::int64_t now_ms) {
    for (int steps = 0; steps < 100'000; ++steps) {
      bool busy = false;
      shelf_.set_unread(shelf_.index_is_full());
      if (!shelf_.index_is_full() && read_ < static_cast<std::int64_t>(records_.size())) {
        const Record& record = records_[static_cast<std::size_t>(read_)];
        ReadRecord read{.message = Envelope::make_encoded(Bytes(10)), .due_ms = record.due_ms};
        read.message->set_id(std::to_string(record.number));
        shelf_.ingest({kRetry0, read_++}, std::move(read), now_ms);
        busy = true;
      }
      shelf_.set_unread(shelf_.index_is_full());
      if (auto taken = shelf_.begin_rewrite(2); !taken.empty()) {
        for (const RetryIndex::Waiting& waiting : taken) {
          shelf_.rewritten(0, static_cast<std::int64_t>(records_.size()));
          records_.push_back(records_[static_cast<std::size_t>(waiting.place.offset)]);
          ++rewrites_;
        }
        shelf_.end_rewrite(std::move(taken), true);
        busy = true;
      }
      EXPECT_TRUE(shelf_.mature(now_ms).empty());
      std::vector<Delivery> out(10);
      out.resize(shelf_.hand_out(out, Shelf::kForever));
      for (const Delivery& delivery : out) {
        delivered_.push_back(std::stoll(delivery.message->id()));
        EXPECT_TRUE(shelf_.settle(delivery.tag));
        busy = true;
      }
      if (!busy) return true;
    }
    return false;
  }

  [[nodiscard]] std::size_t rewrites() const { return rewrites_; }
  [[nodiscard]] const std::vector<std::int64_t>& delivered() const { return delivered_; }
  [[nodiscard]] Shelf& shelf() { return shelf_; }

 private:
  struct Record {
    std::int64_t number = 0;
    std::int64_t due_ms = 0;
  };
  Shelf shelf_;
  std::vector<Record> records_;
  std::int64_t next_number_ = 0;
  std::int64_t read_ = 0;
  std::size_t rewrites_ = 0;
  std::vector<std::int64_t> delivered_;
};

constexpr std::size_t kRoom = 8;
constexpr std::int64_t kMany = 100;

TEST(ShelfOverflow, WritingAnewDoesNotFeedItself) {
  Log log(kRoom);
  for (std::int64_t i = 0; i < kMany; ++i) log.write(1000);
  ASSERT_TRUE(log.settle_down(0));
  EXPECT_GE(log.rewrites(), kMany - kRoom);
  EXPECT_LE(log.rewrites(), kMany);
  const std::size_t before = log.rewrites();
  ASSERT_TRUE(log.settle_down(999));
  EXPECT_EQ(log.rewrites(), before);
}

TEST(ShelfOverflow, WhatIsDueFirstIsFoundWhereverItLies) {
  Log log(kRoom);
  for (std::int64_t i = 0; i < kMany; ++i) log.write(1000 - i);  // the last is due first
  ASSERT_TRUE(log.settle_down(0));
  for (std::int64_t now = 1000 - kMany; now <= 1000; ++now) {
    ASSERT_TRUE(log.settle_down(now));
    EXPECT_EQ(log.delivered().size(), static_cast<std::size_t>(now - (1000 - kMany))) << now;
  }
  std::vector<std::int64_t> backwards(kMany);
  for (std::int64_t i = 0; i < kMany; ++i) backwards[static_cast<std::size_t>(i)] = kMany - 1 - i;
  EXPECT_EQ(log.delivered(), backwards);
}

TEST(ShelfOverflow, RandomTimesComeInOrderOnceWithBoundedRewrites) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Log log(kRoom);
    std::vector<std::int64_t> due;
    for (std::int64_t i = 0; i < kMany; ++i) {
      due.push_back(std::uniform_int_distribution<std::int64_t>(1, 500)(random));
      log.write(due.back());
    }
    for (std::int64_t now = 0; now <= 500; ++now) {
      ASSERT_TRUE(log.settle_down(now)) << "seed " << seed;
      const auto expected = std::ranges::count_if(due, [now](std::int64_t ms) { return ms <= now; });
      ASSERT_EQ(static_cast<std::ptrdiff_t>(log.delivered().size()), expected) << "seed " << seed << " at " << now;
    }
    std::vector<std::int64_t> sorted = log.delivered();
    std::ranges::sort(sorted);
    for (std::int64_t i = 0; i < kMany; ++i) EXPECT_EQ(sorted[static_cast<std::size_t>(i)], i);
    // A round writes what waits once at most, and begins when half the room has come free since the last.
    EXPECT_LE(log.rewrites(), kMany * (2 * kMany / kRoom + 1));
  }
}

TEST(ShelfOverflow, OnlyWhatTheBrokerHasAsCommittedIsFinished) {
  Log log(kRoom);
  for (std::int64_t i = 0; i < Shelf::kEnoughFinished; ++i) log.write(0);
  ASSERT_TRUE(log.settle_down(1));
  EXPECT_THAT(log.shelf().finished(), testing::IsEmpty());
  const auto commits = log.shelf().to_commit(true);
  log.shelf().committed(commits.front(), false);
  EXPECT_THAT(log.shelf().finished(), testing::IsEmpty());
  log.shelf().committed(commits.front(), true);
  EXPECT_TRUE(log.shelf().has_moves());
  ASSERT_THAT(log.shelf().finished(), testing::SizeIs(1));
  EXPECT_EQ(log.shelf().finished().front().offset, Shelf::kEnoughFinished);
  log.shelf().trimmed(log.shelf().finished().front());
  EXPECT_THAT(log.shelf().finished(), testing::IsEmpty());
  EXPECT_FALSE(log.shelf().has_moves());
}

}  // namespace
}  // namespace lrpc::queue::kafka
