// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/progress.hpp"

#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lrpc::queue::kafka {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t kAll = 1'000'000;

TEST(Progress, TheWatermarkWaitsForTheOldest) {
  Progress progress(100);
  for (std::int64_t offset = 100; offset < 103; ++offset) EXPECT_TRUE(progress.reach(offset));
  EXPECT_EQ(progress.watermark(), 100);
  EXPECT_TRUE(progress.settle(101));
  EXPECT_EQ(progress.watermark(), 100);
  EXPECT_EQ(progress.settled_ahead(), 1);
  EXPECT_THAT(progress.runs_ahead(kAll), ElementsAre(OffsetRange{101, 102}));
  EXPECT_TRUE(progress.settle(100));
  EXPECT_EQ(progress.watermark(), 102);
  EXPECT_EQ(progress.settled_ahead(), 0);
  EXPECT_THAT(progress.runs_ahead(kAll), IsEmpty());
}

TEST(Progress, SettlingTwiceCountsOnce) {
  Progress progress(0);
  progress.reach(0);
  progress.reach(1);
  EXPECT_TRUE(progress.settle(1));
  EXPECT_FALSE(progress.settle(1));
  EXPECT_EQ(progress.settled_ahead(), 1);
  EXPECT_TRUE(progress.settle(0));
  EXPECT_FALSE(progress.settle(0)) << "below the watermark all is settled";
}

TEST(Progress, OffsetsThatDoNotExistAreSettled) {
  Progress progress(0);
  progress.reach(5);
  EXPECT_EQ(progress.watermark(), 5);
  progress.reach(9);
  EXPECT_EQ(progress.watermark(), 5);
  EXPECT_THAT(progress.runs_ahead(kAll), ElementsAre(OffsetRange{6, 9}));
  progress.settle(5);
  EXPECT_EQ(progress.watermark(), 9);
}

TEST(Progress, AGapOfAnySizeCostsNothingWhenAllBeforeItIsSettled) {
  Progress progress(0);
  progress.reach(std::int64_t{1} << 60);
  EXPECT_EQ(progress.watermark(), std::int64_t{1} << 60);
  EXPECT_EQ(progress.end(), (std::int64_t{1} << 60) + 1);
}

TEST(Progress, WhatWasSettledBeforeIsPassedOver) {
  const std::vector<OffsetRange> before{{12, 14}, {70, 140}};
  Progress progress(10, before);
  EXPECT_EQ(progress.settled_ahead(), 72);
  EXPECT_EQ(progress.end(), 10);
  EXPECT_TRUE(progress.reach(10));
  EXPECT_TRUE(progress.reach(11));
  EXPECT_FALSE(progress.reach(12));
  EXPECT_FALSE(progress.reach(13));
  EXPECT_TRUE(progress.reach(14));
  progress.settle(10);
  progress.settle(11);
  EXPECT_EQ(progress.watermark(), 14);
  EXPECT_EQ(progress.settled_ahead(), 70);
  EXPECT_THAT(progress.runs_ahead(kAll), ElementsAre(OffsetRange{70, 140}));
}

TEST(Progress, RunsAreJoinedAcrossWordsAndBounded) {
  Progress progress(0);
  for (std::int64_t offset = 0; offset < 400; ++offset) progress.reach(offset);
  for (std::int64_t offset = 1; offset < 300; ++offset) progress.settle(offset);
  for (std::int64_t offset = 301; offset < 400; offset += 2) progress.settle(offset);
  EXPECT_THAT(progress.runs_ahead(2), ElementsAre(OffsetRange{1, 300}, OffsetRange{301, 302}));
  EXPECT_EQ(progress.runs_ahead(kAll).size(), 51U);
}

TEST(Progress, WhatIsForeseenIsNoGap) {
  Progress progress(0);
  EXPECT_TRUE(progress.foresee(3));
  EXPECT_FALSE(progress.foresee(3));
  EXPECT_TRUE(progress.foresee(6));
  EXPECT_TRUE(progress.reach(0));
  EXPECT_FALSE(progress.foresee(0)) << "it was read";
  EXPECT_TRUE(progress.reach(5)) << "what compaction took includes 3, which is here";
  EXPECT_FALSE(progress.settled(3));
  EXPECT_THAT(progress.runs_ahead(kAll), ElementsAre(OffsetRange{1, 3}, OffsetRange{4, 5}));
  EXPECT_FALSE(progress.reach(6)) << "it is here already";
  EXPECT_FALSE(progress.reach(5)) << "it was read";
  EXPECT_TRUE(progress.foresee(9));
  EXPECT_EQ(progress.skip_to(12), 4) << "7, 8, 10 and 11";
  EXPECT_FALSE(progress.settled(9));
  for (const std::int64_t open : {0, 3, 5, 6, 9}) EXPECT_TRUE(progress.settle(open));
  EXPECT_EQ(progress.watermark(), 12);
}

TEST(Progress, SettledBeforeItIsReadIsNotReadAnyMore) {
  Progress progress(0);
  for (std::int64_t offset = 0; offset < 3; ++offset) EXPECT_TRUE(progress.foresee(offset));
  for (std::int64_t offset = 0; offset < 3; ++offset) EXPECT_TRUE(progress.settle(offset));
  EXPECT_EQ(progress.watermark(), 3);
  EXPECT_EQ(progress.end(), 3);
  EXPECT_FALSE(progress.reach(1)) << "the reader is behind";
  EXPECT_FALSE(progress.foresee(2));
  EXPECT_TRUE(progress.reach(3));
}

// Against a set of the offsets that are not settled.
TEST(Progress, BehavesAsASetOfOffsetsWould) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::set<std::int64_t> open;
    std::set<std::int64_t> known;  // foreseen at some time
    std::int64_t end = static_cast<std::int64_t>(random() % 1000);
    Progress progress(end);
    for (int step = 0; step < 500; ++step) {
      if (open.empty() || random() % 2 == 0) {
        const std::int64_t gap = random() % 8 == 0 ? static_cast<std::int64_t>(random() % 100) : 0;
        const std::int64_t offset = end + gap;
        switch (random() % 4) {
          case 0:
            ASSERT_EQ(progress.foresee(offset), !known.contains(offset));
            if (known.insert(offset).second) open.insert(offset);
            break;
          case 1: {
            std::int64_t news = 0;
            for (std::int64_t at = end; at < offset; ++at) news += known.contains(at) ? 0 : 1;
            ASSERT_EQ(progress.skip_to(offset), news);
            end = offset;
            break;
          }
          default:
            ASSERT_EQ(progress.reach(offset), !known.contains(offset));
            if (!known.contains(offset)) open.insert(offset);
            end = offset + 1;
        }
      } else {
        auto it = open.begin();
        std::advance(it, random() % std::min<std::size_t>(open.size(), random() % 4 == 0 ? 1 : 80));
        ASSERT_TRUE(progress.settle(*it));
        open.erase(it);
      }
      // The reader passes over foreseen ones that are settled with all before them.
      while (known.contains(end) && (open.empty() || *open.begin() > end)) ++end;
      const std::int64_t watermark = open.empty() ? end : std::min(end, *open.begin());
      ASSERT_EQ(progress.watermark(), watermark) << "seed " << seed << " step " << step;
      ASSERT_EQ(progress.end(), end);
      const auto unread = std::distance(known.lower_bound(end), known.end());
      ASSERT_EQ(progress.settled_ahead(), end - watermark + unread - static_cast<std::int64_t>(open.size()));
      std::int64_t left = 0;
      for (std::int64_t at = watermark - 3; at < end + 20; ++at) left += progress.settled(at) ? 0 : 1;
      ASSERT_EQ(progress.open({watermark - 3, end + 20}), left);
      // What the runs say is what a later reader passes over.
      Progress later(watermark, progress.runs_ahead(kAll));
      ASSERT_EQ(later.settled_ahead(), progress.settled_ahead()) << "seed " << seed << " step " << step;
      for (const std::int64_t offset : open) ASSERT_FALSE(later.settled(offset));
    }
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka
