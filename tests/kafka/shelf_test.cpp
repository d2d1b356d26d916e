// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/shelf.hpp"

#include <array>
#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lrpc::queue::kafka {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kMe = 7;
constexpr std::int64_t kEnd = 1'000'000;
constexpr PartitionKey kTopic0{.lane = Lane::topic, .number = 0};
constexpr PartitionKey kRetry0{.lane = Lane::retry, .number = 0};

ReadRecord record(std::int64_t number, std::optional<std::int64_t> due_ms = {}, std::int64_t attempts = 0) {
  ReadRecord read{.message = Envelope::make_encoded(Bytes(10)), .attempts = attempts, .due_ms = due_ms};
  read.message->set_id("m" + std::to_string(number));
  return read;
}

/// A shelf with one partition of the topic and one of the retries, both empty.
struct Fixture {
  Shelf shelf{kMe};
  Fixture() {
    shelf.assign(kTopic0, {}, kEnd);
    shelf.assign(kRetry0, {}, kEnd);
  }
  void read(std::int64_t first, std::int64_t end, PartitionKey key = kTopic0) {
    for (std::int64_t i = first; i < end; ++i) shelf.ingest({key, i}, record(i), 0);
  }
  std::vector<Delivery> take(std::size_t most, std::int64_t until = Shelf::kForever, std::int64_t now_ms = 0) {
    static_cast<void>(shelf.mature(now_ms));
    std::vector<Delivery> out(most);
    out.resize(shelf.hand_out(out, until));
    return out;
  }
  Shelf::Commit commit(PartitionKey key = kTopic0) {
    for (Shelf::Commit& one : shelf.to_commit(true)) {
      if (one.key == key) return std::move(one);
    }
    return {};
  }
  CommitNote note(PartitionKey key = kTopic0) {
    const Shelf::Commit one = commit(key);
    return read_note(one.note.text, one.offset).value();
  }
  Shelf::Committed stored(PartitionKey key = kTopic0) {
    const Shelf::Commit one = commit(key);
    return {.offset = one.offset, .note = read_note(one.note.text, one.offset)};
  }
};

std::vector<std::string> ids(const std::vector<Delivery>& deliveries) {
  std::vector<std::string> list;
  for (const Delivery& d : deliveries) list.push_back(d.message->id());
  return list;
}

TEST(Shelf, D5_hands_out_in_the_order_of_reading) {
  Fixture f;
  f.read(0, 3);
  EXPECT_THAT(ids(f.take(2)), ElementsAre("m0", "m1"));
  EXPECT_THAT(ids(f.take(2)), ElementsAre("m2"));
  EXPECT_EQ(f.shelf.out(), 3);
}

TEST(Shelf, TheCommitWaitsForTheOldestAndRemembersTheRest) {
  Fixture f;
  f.read(0, 4);
  const auto out = f.take(4);
  EXPECT_TRUE(f.shelf.settle(out[1].tag));
  EXPECT_TRUE(f.shelf.settle(out[3].tag));
  EXPECT_EQ(f.commit().offset, 0);
  EXPECT_THAT(f.note().settled, ElementsAre(OffsetRange{1, 2}, OffsetRange{3, 4}));
  EXPECT_THAT(f.note().handed_out, ElementsAre(CommitNote::HandedOut{0, 1}, CommitNote::HandedOut{2, 1}));
  EXPECT_TRUE(f.shelf.settle(out[0].tag));
  EXPECT_EQ(f.commit().offset, 2);
  EXPECT_TRUE(f.shelf.settle(out[2].tag));
  EXPECT_EQ(f.commit().offset, 4);
}

TEST(Shelf, D10_what_is_settled_is_not_found) {
  Fixture f;
  f.read(0, 1);
  const auto out = f.take(1);
  EXPECT_TRUE(f.shelf.settle(out[0].tag));
  EXPECT_FALSE(f.shelf.settle(out[0].tag));
  EXPECT_FALSE(f.shelf.touch(out[0].tag, 5));
  EXPECT_FALSE(f.shelf.give_back(out[0].tag, true));
  EXPECT_FALSE(f.shelf.keep(out[0].tag, true).has_value());
  EXPECT_FALSE(f.shelf.begin_move(out[0].tag).has_value());
  EXPECT_FALSE(f.shelf.find("m0").has_value());
}

TEST(Shelf, D1_a_restart_passes_over_what_was_settled_and_D6_counts_what_was_handed_out) {
  Fixture f;
  f.read(0, 4);
  const auto out = f.take(3);
  EXPECT_TRUE(f.shelf.settle(out[1].tag));
  Fixture later;
  EXPECT_EQ(later.shelf.assign(kTopic0, f.stored(), kEnd), 0);
  later.read(0, 4);
  const auto again = later.take(10);
  EXPECT_THAT(ids(again), ElementsAre("m0", "m2", "m3"));
  EXPECT_EQ(again[0].attempts, 2);
  EXPECT_EQ(again[1].attempts, 2);
  EXPECT_EQ(again[2].attempts, 1);
}

TEST(Shelf, D6_what_was_handed_out_before_and_not_read_yet_stays_in_the_note) {
  Fixture f;
  f.read(0, 2);
  f.take(2);
  Fixture later;
  later.shelf.assign(kTopic0, f.stored(), kEnd);
  later.read(0, 1);
  EXPECT_THAT(later.note().handed_out, ElementsAre(CommitNote::HandedOut{0, 1}, CommitNote::HandedOut{1, 1}));
}

TEST(Shelf, D9_an_expired_lease_is_handed_out_again_and_the_late_ack_finds_nothing) {
  Fixture f;
  f.read(0, 2);
  const auto out = f.take(1, 100);
  EXPECT_EQ(f.shelf.next_expiry(), 100);
  f.shelf.expire(99);
  EXPECT_EQ(f.shelf.out(), 1);
  f.shelf.expire(100);
  EXPECT_EQ(f.shelf.leased(), 0);
  EXPECT_FALSE(f.shelf.settle(out[0].tag));
  const auto again = f.take(2);
  EXPECT_THAT(ids(again), ElementsAre("m0", "m1"));
  EXPECT_EQ(again[0].attempts, 2);
  EXPECT_TRUE(again[0].lease_expired);
  EXPECT_FALSE(again[1].lease_expired);
}

TEST(Shelf, D9_touch_renews) {
  Fixture f;
  f.read(0, 1);
  const auto out = f.take(1, 100);
  EXPECT_TRUE(f.shelf.touch(out[0].tag, 200));
  f.shelf.expire(150);
  EXPECT_EQ(f.shelf.out(), 1);
  EXPECT_EQ(f.shelf.next_expiry(), 200);
  EXPECT_TRUE(f.shelf.touch(out[0].tag, 160)) << "also to something sooner";
  f.shelf.expire(160);
  EXPECT_EQ(f.shelf.out(), 0);
}

TEST(Shelf, D20_given_back_unseen_counts_no_attempt) {
  Fixture f;
  f.read(0, 2);
  const auto out = f.take(2);
  EXPECT_TRUE(f.shelf.give_back(out[1].tag, false));
  EXPECT_TRUE(f.shelf.give_back(out[0].tag, true));
  const auto again = f.take(2);
  EXPECT_THAT(ids(again), ElementsAre("m0", "m1"));
  EXPECT_EQ(again[0].attempts, 2);
  EXPECT_EQ(again[1].attempts, 1);
}

TEST(Shelf, D8_keep_is_another_delivery_to_the_holder) {
  Fixture f;
  f.read(0, 1);
  const auto out = f.take(1);
  const auto kept = f.shelf.keep(out[0].tag, true);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->attempts, 2);
  EXPECT_FALSE(f.shelf.settle(out[0].tag));
  EXPECT_EQ(f.note().handed_out.front().deliveries, 2);
  EXPECT_TRUE(f.shelf.settle(*kept));
}

TEST(Shelf, AMoveIsOutOfReachUntilItEnds) {
  Fixture f;
  f.read(0, 2);
  const auto out = f.take(2, 100);
  ASSERT_TRUE(f.shelf.begin_move(out[0].tag).has_value());
  EXPECT_FALSE(f.shelf.settle(out[0].tag));
  EXPECT_FALSE(f.shelf.find("m0").has_value());
  f.shelf.expire(100);
  f.shelf.end_move(out[0].tag, false);
  EXPECT_TRUE(f.shelf.find("m0").has_value());
  f.shelf.expire(100);
  EXPECT_EQ(f.shelf.ready(), 2) << "its lease had ended meanwhile";
  const auto again = f.take(2);
  ASSERT_TRUE(f.shelf.begin_move(again[0].tag).has_value());
  f.shelf.end_move(again[0].tag, true);
  EXPECT_EQ(f.commit().offset, 1);
  EXPECT_EQ(f.shelf.out(), 1);
}

TEST(Shelf, FindsTheNewestOfAnId) {
  Fixture f;
  for (std::int64_t i = 0; i < 200; ++i) f.shelf.ingest({kTopic0, i}, record(i % 50), 0);
  const auto out = f.take(200);
  for (std::int64_t i = 0; i < 50; ++i) {
    for (std::int64_t copy = 3; copy >= 0; --copy) {
      const auto found = f.shelf.find("m" + std::to_string(i));
      ASSERT_EQ(found, out[static_cast<std::size_t>(50 * copy + i)].tag);
      EXPECT_TRUE(f.shelf.settle(*found));
    }
    EXPECT_EQ(f.shelf.find("m" + std::to_string(i)), std::nullopt);
  }
}

TEST(Shelf, D8_retries_wait_for_their_time_in_its_order) {
  Fixture f;
  f.shelf.ingest({kRetry0, 0}, record(0, 300, 1), 100);
  f.shelf.ingest({kRetry0, 1}, record(1, 200, 2), 100);
  f.shelf.ingest({kRetry0, 2}, record(2, 50, 1), 100);
  EXPECT_THAT(ids(f.take(5, Shelf::kForever, 100)), ElementsAre("m2"));
  EXPECT_EQ(f.shelf.next_due_ms(), 200);
  const auto out = f.take(5, Shelf::kForever, 300);
  EXPECT_THAT(ids(out), ElementsAre("m1", "m0"));
  EXPECT_EQ(out[0].attempts, 3);
  EXPECT_EQ(out[1].attempts, 2);
}

TEST(Shelf, WhatWeWroteIsHereBeforeItIsRead) {
  Fixture f;
  f.shelf.foresee({kRetry0, 1}, record(1, 200, 1), 100);
  f.shelf.foresee({kRetry0, 0}, record(0, 50, 1), 100);
  const auto out = f.take(5, Shelf::kForever, 100);
  EXPECT_THAT(ids(out), ElementsAre("m0"));
  EXPECT_TRUE(f.shelf.settle(out[0].tag));
  f.shelf.ingest({kRetry0, 0}, record(0, 50, 1), 100);
  f.shelf.ingest({kRetry0, 1}, record(1, 200, 1), 100);
  EXPECT_THAT(f.take(5), IsEmpty()) << "its copy is passed over";
  EXPECT_EQ(f.commit(kRetry0).offset, 1);
  EXPECT_THAT(f.shelf.mature(200), IsEmpty());
  EXPECT_THAT(ids(f.take(5)), ElementsAre("m1"));
  f.shelf.foresee({kRetry0, 1}, record(1, 200, 1), 300);
  EXPECT_THAT(f.take(5), IsEmpty()) << "it was read before its writer heard that it was written";
}

TEST(Shelf, D17_an_early_message_of_the_topic_is_to_be_moved) {
  Fixture f;
  f.shelf.ingest({kTopic0, 0}, record(0, 300), 100);
  f.read(1, 2);
  EXPECT_TRUE(f.shelf.has_moves());
  EXPECT_THAT(ids(f.take(5)), ElementsAre("m1"));
  auto early = f.shelf.begin_early(10);
  ASSERT_EQ(early.size(), 1U);
  EXPECT_EQ(early[0].due_ms, 300);
  EXPECT_EQ(early[0].attempts, 0);
  f.shelf.end_move(early[0].tag, false);
  early = f.shelf.begin_early(10);
  ASSERT_EQ(early.size(), 1U) << "a copy that failed is tried again";
  f.shelf.end_move(early[0].tag, true);
  EXPECT_FALSE(f.shelf.has_moves());
  EXPECT_EQ(f.commit().offset, 1);
}

TEST(Shelf, ARebalanceThatGivesAPartitionBackChangesNothing) {
  Fixture f;
  f.read(0, 4);
  f.shelf.ingest({kRetry0, 0}, record(10, 300), 100);
  const auto out = f.take(2);
  const auto stored = f.stored();
  const auto stored_retry = f.stored(kRetry0);
  f.shelf.suspend(kTopic0);
  f.shelf.suspend(kRetry0);
  EXPECT_FALSE(f.shelf.owns(kTopic0));
  EXPECT_THAT(f.take(5), IsEmpty()) << "nothing of a suspended partition is handed out";
  EXPECT_TRUE(f.shelf.settle(out[0].tag)) << "what is out can be settled";
  EXPECT_EQ(f.shelf.assign(kTopic0, stored, kEnd), 4) << "reading goes on where it was";
  EXPECT_EQ(f.shelf.assign(kRetry0, stored_retry, kEnd), 1);
  f.shelf.forget_suspended();
  EXPECT_THAT(ids(f.take(5)), ElementsAre("m2", "m3"));
  EXPECT_TRUE(f.shelf.settle(out[1].tag));
  EXPECT_EQ(f.commit().offset, 2);
  EXPECT_THAT(f.shelf.mature(300), IsEmpty());
  EXPECT_THAT(ids(f.take(5)), ElementsAre("m10"));
}

TEST(Shelf, D10_after_somebody_else_had_the_partition_nothing_old_counts) {
  Fixture f;
  f.read(0, 4);
  const auto out = f.take(2);
  f.shelf.suspend(kTopic0);
  const Shelf::Committed theirs{.offset = 1, .note = CommitNote{.owner = kMe + 1}};
  EXPECT_EQ(f.shelf.assign(kTopic0, theirs, kEnd), 1);
  EXPECT_FALSE(f.shelf.settle(out[0].tag));
  EXPECT_FALSE(f.shelf.settle(out[1].tag));
  EXPECT_EQ(f.shelf.out(), 0);
  EXPECT_EQ(f.commit().offset, 1);
  f.read(1, 4);
  EXPECT_THAT(ids(f.take(5)), ElementsAre("m1", "m2", "m3"));
}

TEST(Shelf, D10_what_was_not_assigned_again_is_forgotten) {
  Fixture f;
  f.read(0, 4);
  const auto out = f.take(2);
  f.shelf.suspend(kTopic0);
  f.shelf.forget_suspended();
  EXPECT_FALSE(f.shelf.settle(out[0].tag));
  EXPECT_FALSE(f.shelf.find("m1").has_value());
  EXPECT_EQ(f.shelf.out(), 0);
  EXPECT_EQ(f.shelf.ready(), 0);
  f.shelf.ingest({kTopic0, 4}, record(4), 0);
  EXPECT_EQ(f.shelf.ready(), 0) << "a late record of a partition that is not ours";
}

TEST(Shelf, D6_the_first_hand_overs_are_to_be_committed_first) {
  Fixture f;
  f.read(0, 30);
  EXPECT_FALSE(f.shelf.needs_commit(10));
  f.take(4);
  EXPECT_TRUE(f.shelf.needs_commit(10));
  for (const auto& commit : f.shelf.to_commit(false)) f.shelf.committed(commit, true);
  EXPECT_FALSE(f.shelf.needs_commit(10));
  f.take(8);
  EXPECT_TRUE(f.shelf.needs_commit(10));
  for (const auto& commit : f.shelf.to_commit(false)) f.shelf.committed(commit, false);
  EXPECT_TRUE(f.shelf.needs_commit(10)) << "the commit failed";
  for (const auto& commit : f.shelf.to_commit(false)) f.shelf.committed(commit, true);
  f.take(8);
  EXPECT_FALSE(f.shelf.needs_commit(10)) << "later ones go with the interval";
}

TEST(Shelf, OnlyWhatChangedIsCommitted) {
  Fixture f;
  static_cast<void>(f.shelf.to_commit(false));
  EXPECT_THAT(f.shelf.to_commit(false), IsEmpty());
  f.read(0, 1);
  EXPECT_EQ(f.shelf.to_commit(false).size(), 1U);
}

TEST(Shelf, WhatPinsAFullNoteIsRewritten) {
  Fixture f;
  constexpr std::int64_t kMany = 20'000;
  for (std::int64_t i = 0; i < kMany; ++i) f.shelf.ingest({kRetry0, i}, record(i, i % 2 == 0 ? 1'000'000 : 0), 1);
  for (const Delivery& one : f.take(kMany)) f.shelf.settle(one.tag);
  EXPECT_FALSE(f.shelf.has_moves());
  EXPECT_FALSE(f.commit(kRetry0).note.all_settled);
  EXPECT_TRUE(f.shelf.has_moves());
  auto taken = f.shelf.begin_rewrite(100);
  ASSERT_EQ(taken.size(), 100U);
  f.shelf.end_rewrite(std::move(taken), false);
  EXPECT_EQ(f.commit(kRetry0).offset, 0) << "not written: it waits as before";
  taken = f.shelf.begin_rewrite(100);
  ASSERT_EQ(taken.size(), 100U);
  f.shelf.end_rewrite(std::move(taken), true);
  EXPECT_EQ(f.commit(kRetry0).offset, 200);
}

TEST(Shelf, AnIndexOverItsBytesReadsAgain) {
  Fixture f;
  constexpr std::size_t kBig = std::size_t{20} << 20;
  for (std::int64_t i = 0; i < 5; ++i) {
    ReadRecord big{.message = Envelope::make_encoded(Bytes(kBig)), .due_ms = 100 + i};
    big.message->set_id("m" + std::to_string(i));
    f.shelf.ingest({kRetry0, i}, std::move(big), 0);
  }
  EXPECT_THAT(f.shelf.mature(200), ElementsAre(Place{kRetry0, 3}, Place{kRetry0, 4}));
  EXPECT_EQ(f.shelf.ready(), 3);
  f.shelf.refill({kRetry0, 3}, record(3));
  f.shelf.gone({kRetry0, 4});
  EXPECT_EQ(f.shelf.ready(), 4);
  for (const Delivery& one : f.take(10)) f.shelf.settle(one.tag);
  EXPECT_EQ(f.commit(kRetry0).offset, 5);
}

TEST(Shelf, DropAllLeavesWhatIsInFlight) {
  Fixture f;
  f.read(0, 3);
  f.shelf.ingest({kRetry0, 0}, record(10, 300), 100);
  f.shelf.ingest({kTopic0, 3}, record(11, 300), 100);
  const auto out = f.take(1);
  EXPECT_EQ(f.shelf.drop_all(), 4);
  EXPECT_EQ(f.shelf.ready_bytes(), 0U);
  EXPECT_EQ(f.commit().offset, 0);
  EXPECT_TRUE(f.shelf.settle(out[0].tag));
  EXPECT_EQ(f.commit().offset, 4);
  EXPECT_EQ(f.commit(kRetry0).offset, 1);
}

// Random histories of one group over one log: whatever is read, handed out, settled, revoked and taken over by another
// consumer, nothing is lost, and what a consumer that still owned the partition settled is not delivered again.
TEST(Shelf, NothingIsLostOrDoubledInRandomHistories) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    constexpr std::int64_t kLog = 60;
    std::array<Shelf, 2> shelves{Shelf(1), Shelf(2)};
    std::array<std::int64_t, 2> next{};
    std::array<std::vector<DeliveryTag>, 2> out;
    std::map<std::uint64_t, std::int64_t> offset_of[2];
    Shelf::Committed stored;
    std::size_t owner = 0;
    std::set<std::int64_t> settled;
    next[0] = shelves[0].assign(kTopic0, stored, kLog);
    const auto commit = [&] {
      for (const auto& one : shelves[owner].to_commit(true)) {
        stored = {.offset = one.offset, .note = read_note(one.note.text, one.offset)};
        shelves[owner].committed(one, true);
      }
    };
    for (int step = 0; step < 400; ++step) {
      Shelf& shelf = shelves[owner];
      switch (random() % 8) {
        case 0:
        case 1:
          if (next[owner] < kLog) {
            shelf.ingest({kTopic0, next[owner]}, record(next[owner]), 0);
            ++next[owner];
          }
          break;
        case 2:
        case 3: {
          std::array<Delivery, 3> taken;
          const std::size_t count = shelf.hand_out(taken, Shelf::kForever);
          for (std::size_t i = 0; i < count; ++i) {
            const std::int64_t offset = std::stoll(taken[i].message->id().substr(1));
            ASSERT_FALSE(settled.contains(offset)) << "seed " << seed << ": settled, and delivered again";
            out[owner].push_back(taken[i].tag);
            offset_of[owner][taken[i].tag.generation] = offset;
          }
          if (count > 0) commit();  // as the first hand-overs after an assignment do
          break;
        }
        case 4:
        case 5: {
          if (out[owner].empty()) break;
          const std::size_t at = random() % out[owner].size();
          const DeliveryTag tag = out[owner][at];
          out[owner].erase(out[owner].begin() + static_cast<std::ptrdiff_t>(at));
          if (random() % 4 == 0) {
            shelf.give_back(tag, true);
          } else if (shelf.settle(tag)) {
            settled.insert(offset_of[owner].at(tag.generation));
          }
          break;
        }
        case 6:
          commit();
          break;
        default: {  // a rebalance, to the same or to the other
          commit();
          shelf.suspend(kTopic0);
          if (random() % 2 == 0) {
            owner = 1 - owner;
            if (random() % 2 == 0) shelf.forget_suspended();
          }
          next[owner] = shelves[owner].assign(kTopic0, stored, kLog);
        }
      }
    }
    // Drained by whoever owns it.
    Shelf& shelf = shelves[owner];
    for (const DeliveryTag& tag : out[owner]) {
      if (shelf.settle(tag)) settled.insert(offset_of[owner].at(tag.generation));
    }
    for (; next[owner] < kLog; ++next[owner]) shelf.ingest({kTopic0, next[owner]}, record(next[owner]), 0);
    std::array<Delivery, 100> taken;
    const std::size_t count = shelf.hand_out(taken, Shelf::kForever);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(settled.insert(std::stoll(taken[i].message->id().substr(1))).second) << "seed " << seed;
      ASSERT_TRUE(shelf.settle(taken[i].tag));
    }
    commit();
    EXPECT_EQ(settled.size(), static_cast<std::size_t>(kLog)) << "seed " << seed;
    EXPECT_EQ(stored.offset, kLog) << "seed " << seed;
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka
