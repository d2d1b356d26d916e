// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/shelf.hpp"

#include <array>
#include <map>
#include <memory>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lrpc::queue::kafka {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kMe = 7;
constexpr Shelf::Log kLog{.low = 0, .high = 1'000'000};
constexpr PartitionKey kTopic0{.lane = Lane::topic, .number = 0};
constexpr PartitionKey kRetry0{.lane = Lane::retry, .number = 0};

ReadRecord record(std::int64_t number, std::optional<std::int64_t> due_ms = {}, std::int64_t attempts = 0) {
  ReadRecord read{.message = Envelope::make_encoded(Bytes(10)), .attempts = attempts, .due_ms = due_ms};
  read.message->set_id("m" + std::to_string(number));
  return read;
}

/// A shelf with one partition of the topic and one of the retries, both empty.
struct Fixture {
  Shelf shelf;
  explicit Fixture(RetryIndex waiting = RetryIndex()) : shelf(kMe, std::move(waiting)) {
    shelf.assign(kTopic0, std::nullopt, kLog);
    shelf.assign(kRetry0, std::nullopt, kLog);
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
  /// A commit that the broker takes.
  void commit_all() {
    for (const Shelf::Commit& one : shelf.to_commit(true)) shelf.committed(one, true);
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
  EXPECT_EQ(later.shelf.assign(kTopic0, f.stored(), kLog).offset, 0);
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
  later.shelf.assign(kTopic0, f.stored(), kLog);
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

TEST(Shelf, D9_a_lease_that_was_touched_to_and_fro_ends_once) {
  Fixture f;
  f.read(0, 1);
  const auto out = f.take(1, 100);
  EXPECT_TRUE(f.shelf.touch(out[0].tag, 100));
  EXPECT_TRUE(f.shelf.touch(out[0].tag, 200));
  EXPECT_TRUE(f.shelf.touch(out[0].tag, 100));
  f.shelf.expire(100);
  EXPECT_EQ(f.shelf.out(), 0);
  EXPECT_EQ(f.shelf.ready(), 1);
  f.shelf.expire(300);
  EXPECT_EQ(f.take(5).size(), 1U);
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
  EXPECT_EQ(f.shelf.assign(kTopic0, stored, kLog).offset, 4) << "reading goes on where it was";
  EXPECT_EQ(f.shelf.assign(kRetry0, stored_retry, kLog).offset, 1);
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
  EXPECT_EQ(f.shelf.assign(kTopic0, theirs, kLog).offset, 1);
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

TEST(Shelf, D6_what_is_written_anew_keeps_the_deliveries_before_a_crash) {
  Fixture f;
  f.shelf.ingest({kRetry0, 0}, record(0, 50, 2), 100);
  f.take(1, Shelf::kForever, 100);
  const auto stored = f.stored(kRetry0);
  Fixture later(RetryIndex(1));  // its index is full at once
  later.shelf.assign(kRetry0, stored, kLog);
  later.shelf.ingest({kRetry0, 0}, record(0, 50, 2), 0);
  later.shelf.set_unread(true);
  auto taken = later.shelf.begin_rewrite(10);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].record->attempts, 2);
  EXPECT_EQ(taken[0].deliveries, 1);
  later.shelf.end_rewrite(std::move(taken), false);
  EXPECT_THAT(later.note(kRetry0).handed_out, ElementsAre(CommitNote::HandedOut{0, 1})) << "not written: as it was";
  taken = later.shelf.begin_rewrite(10);
  later.shelf.end_rewrite(std::move(taken), true);
  EXPECT_THAT(later.note(kRetry0).handed_out, IsEmpty());
}

TEST(Shelf, D7_what_is_taken_back_still_had_its_lease_expired) {
  Fixture f;
  f.read(0, 1);
  f.take(1, 100);
  f.shelf.expire(100);
  auto again = f.take(1, 200);
  EXPECT_TRUE(again[0].lease_expired);
  f.shelf.take_back(again);
  again = f.take(1, 200);
  EXPECT_TRUE(again[0].lease_expired);
  EXPECT_EQ(again[0].attempts, 2);
}

TEST(Shelf, DropAllLeavesARetryThatIsInFlightBeforeItIsRead) {
  Fixture f;
  f.shelf.foresee({kRetry0, 1}, record(1, 50, 1), 100);
  f.shelf.foresee({kRetry0, 3}, record(3, 300, 1), 100);
  const auto out = f.take(1, Shelf::kForever, 100);
  EXPECT_THAT(ids(out), ElementsAre("m1"));
  EXPECT_EQ(f.shelf.drop_all(), 1) << "m3, which waits";
  EXPECT_EQ(f.shelf.skip_to(kRetry0, 5), 3) << "0, 2 and 4, which nobody has read";
  EXPECT_EQ(f.commit(kRetry0).offset, 1);
  EXPECT_THAT(f.note(kRetry0).settled, ElementsAre(OffsetRange{2, 5}));
  EXPECT_THAT(f.note(kRetry0).handed_out, ElementsAre(CommitNote::HandedOut{1, 1}));
  EXPECT_TRUE(f.shelf.settle(out[0].tag)) << "it is its consumer's";
  EXPECT_EQ(f.commit(kRetry0).offset, 5);
}

TEST(Shelf, DropAllTakesWhatIsBeingReadAgain) {
  Fixture f(RetryIndex(10, 0));  // keeps no body
  f.shelf.ingest({kRetry0, 0}, record(0, 50), 0);
  ASSERT_THAT(f.shelf.mature(100), ElementsAre(Place{kRetry0, 0}));
  EXPECT_TRUE(f.shelf.is_away({kRetry0, 0}));
  EXPECT_EQ(f.shelf.drop_all(), 1);
  EXPECT_FALSE(f.shelf.is_away({kRetry0, 0}));
  f.shelf.refill({kRetry0, 0}, record(0));
  EXPECT_EQ(f.shelf.ready(), 0);
  EXPECT_EQ(f.commit(kRetry0).offset, 1);
}

TEST(Shelf, WhatIsWrittenAnewCountsAsAMove) {
  Fixture f(RetryIndex(1));
  f.shelf.ingest({kRetry0, 0}, record(0, 300), 0);
  f.shelf.set_unread(true);
  const std::uint64_t moves = f.shelf.moves();
  auto taken = f.shelf.begin_rewrite(10);
  EXPECT_TRUE(f.shelf.moving()) << "there are two of it, or will be: figures wait for its end";
  f.shelf.end_rewrite(std::move(taken), true);
  EXPECT_FALSE(f.shelf.moving());
  EXPECT_NE(f.shelf.moves(), moves);
}

TEST(Shelf, WhatIsReadAgainLateIsNotDeliveredTwice) {
  Fixture f(RetryIndex(10, 0));
  f.shelf.ingest({kRetry0, 0}, record(0, 50), 0);
  f.shelf.ingest({kRetry0, 1}, record(1, 300), 0);
  ASSERT_THAT(f.shelf.mature(100), ElementsAre(Place{kRetry0, 0}));
  f.shelf.suspend(kRetry0);
  f.shelf.forget_suspended();
  f.shelf.assign(kRetry0, Shelf::Committed{}, kLog);
  f.shelf.refill({kRetry0, 0}, record(0));
  EXPECT_EQ(f.shelf.ready(), 0) << "it will be read";
  f.shelf.gone({kRetry0, 0});
  EXPECT_EQ(f.commit(kRetry0).offset, 0);
  f.shelf.ingest({kRetry0, 0}, record(0), 0);
  f.shelf.ingest({kRetry0, 0}, record(0), 0);
  EXPECT_EQ(f.shelf.ready(), 1) << "a record that was read is read once";
}

TEST(Shelf, ARebalanceThatGivesAPartitionBackKeepsWhatIsBeingReadAgain) {
  Fixture f(RetryIndex(10, 0));
  f.shelf.ingest({kRetry0, 0}, record(0, 50), 0);
  ASSERT_EQ(f.shelf.mature(100).size(), 1U);
  const auto stored = f.stored(kRetry0);
  f.shelf.suspend(kRetry0);
  f.shelf.assign(kRetry0, stored, kLog);
  f.shelf.refill({kRetry0, 0}, record(0));
  EXPECT_THAT(ids(f.take(5)), ElementsAre("m0"));
}

TEST(Shelf, D17_an_early_message_of_a_partition_that_is_not_ours_stays) {
  Fixture f;
  f.shelf.ingest({kTopic0, 0}, record(0, 300), 100);
  f.shelf.ingest({kTopic0, 1}, record(1, 300), 100);
  auto early = f.shelf.begin_early(1);
  const auto stored = f.stored();
  f.shelf.suspend(kTopic0);
  EXPECT_FALSE(f.shelf.has_moves()) << "its owner copies it";
  EXPECT_THAT(f.shelf.begin_early(10), IsEmpty());
  f.shelf.end_move(early[0].tag, false);
  EXPECT_THAT(f.shelf.begin_early(10), IsEmpty());
  f.shelf.assign(kTopic0, stored, kLog);
  early = f.shelf.begin_early(10);
  ASSERT_EQ(early.size(), 2U);
  EXPECT_EQ(early[0].from.offset, 0);
}

TEST(Shelf, WhatOthersSettledIsNotForeseen) {
  Fixture f;
  f.shelf.suspend(kRetry0);
  const Shelf::Committed theirs{.offset = 0, .note = CommitNote{.owner = kMe + 1, .settled = {{3, 4}}}};
  f.shelf.assign(kRetry0, theirs, kLog);
  f.shelf.foresee({kRetry0, 3}, record(3), 0);
  EXPECT_EQ(f.shelf.ready(), 0) << "we heard late that it was written: its consumer was quicker";
}

TEST(Shelf, D6_what_an_earlier_assignment_told_does_not_count_for_the_present_one) {
  Fixture f;
  f.read(0, 30);
  f.take(10);
  const auto late = f.commit();
  f.commit_all();
  const auto stored = f.stored();
  f.shelf.suspend(kTopic0);
  f.shelf.committed(late, true);
  f.shelf.assign(kTopic0, stored, kLog);
  f.shelf.committed(late, true);
  f.take(1);
  EXPECT_TRUE(f.shelf.needs_commit(10)) << "nobody has committed since the assignment";
  f.commit_all();
  EXPECT_FALSE(f.shelf.needs_commit(10));
}

TEST(Shelf, D1_what_retention_took_is_counted_and_passed_over) {
  Fixture f;
  f.read(0, 4);
  const auto out = f.take(2);
  const Shelf::Start on = f.shelf.relocate(kTopic0, {.low = 10, .high = 20});
  EXPECT_EQ(on.offset, 10);
  EXPECT_EQ(on.lost, 6);
  EXPECT_FALSE(on.anew);
  EXPECT_EQ(f.shelf.ready(), 2) << "what was read is here";
  EXPECT_TRUE(f.shelf.settle(out[0].tag));
  EXPECT_EQ(f.commit().offset, 1);
  Fixture later;
  const CommitNote note{.owner = kMe + 1, .settled = {{3, 5}}};
  const Shelf::Start start = later.shelf.assign(kTopic0, Shelf::Committed{.offset = 2, .note = note}, {10, 20});
  EXPECT_EQ(start.offset, 10);
  EXPECT_EQ(start.lost, 6) << "2, and 5 to 9";
  EXPECT_EQ(later.commit().offset, 10);
}

TEST(Shelf, D19_what_is_unfinished_is_what_the_log_still_has) {
  Fixture f;
  f.read(0, 10);
  const auto out = f.take(10);
  for (const std::size_t i : {1U, 4U, 7U}) f.shelf.settle(out[i].tag);
  EXPECT_EQ(f.shelf.unfinished(kTopic0, {0, 12}), 9);
  EXPECT_EQ(f.shelf.unfinished(kTopic0, {5, 12}), 6) << "retention took 0 to 4";
  EXPECT_EQ(f.shelf.unfinished(kTopic0, {0, 4}), 3) << "what came after the question is left out";
}

TEST(Shelf, ALogThatEndsBeforeItsCommitIsReadFromItsStart) {
  Fixture f;
  f.read(0, 20);
  const auto out = f.take(10);
  for (const Delivery& one : std::span(out).first(5)) f.shelf.settle(one.tag);
  const Shelf::Start on = f.shelf.relocate(kTopic0, {.low = 0, .high = 3});
  EXPECT_EQ(on.offset, 0);
  EXPECT_TRUE(on.anew);
  EXPECT_EQ(on.lost, 0);
  EXPECT_EQ(f.shelf.ready(), 0);
  EXPECT_EQ(f.shelf.out(), 0);
  EXPECT_FALSE(f.shelf.settle(out[7].tag)) << "D10: that message is not there any more";
  EXPECT_EQ(f.commit().offset, 0);
  f.read(0, 3);
  EXPECT_THAT(ids(f.take(5)), ElementsAre("m0", "m1", "m2"));

  Fixture later;
  const CommitNote note{.owner = kMe + 1, .settled = {{25, 30}}};
  const Shelf::Start start = later.shelf.assign(kTopic0, Shelf::Committed{.offset = 21, .note = note}, {2, 20});
  EXPECT_EQ(start.offset, 2);
  EXPECT_TRUE(start.anew);
  later.read(2, 20);
  EXPECT_EQ(later.shelf.ready(), 18);
}

TEST(Shelf, APartitionThatComesBackShorterIsReadFromItsStart) {
  Fixture f;
  f.read(0, 20);
  const auto stored = f.stored();
  f.shelf.suspend(kTopic0);
  const Shelf::Start start = f.shelf.assign(kTopic0, stored, {.low = 0, .high = 10});
  EXPECT_TRUE(start.anew);
  EXPECT_EQ(start.offset, 0);
  EXPECT_EQ(f.shelf.ready(), 0);
}

TEST(Shelf, NotesGetShorterForABrokerThatTakesLess) {
  Fixture f;
  f.read(0, 4000);
  for (const Delivery& one : f.take(4000)) {
    if (one.tag.slot % 2 == 0) f.shelf.settle(one.tag);
  }
  EXPECT_GT(f.commit().note.text.size(), 3000U);
  EXPECT_TRUE(f.shelf.shorten_notes());
  EXPECT_LE(f.commit().note.text.size(), kMostMetadata / 2);
  while (f.shelf.shorten_notes()) {
  }
  EXPECT_LE(f.commit().note.text.size(), kLeastMetadata);
  EXPECT_EQ(f.note().owner, kMe);
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
    constexpr std::int64_t kMessages = 60;
    std::array<Shelf, 2> shelves{Shelf(1), Shelf(2)};
    std::array<std::int64_t, 2> next{};
    std::array<std::vector<DeliveryTag>, 2> out;
    std::map<std::uint64_t, std::int64_t> offset_of[2];
    Shelf::Committed stored;
    std::size_t owner = 0;
    std::set<std::int64_t> settled;
    next[0] = shelves[0].assign(kTopic0, stored, {.high = kMessages}).offset;
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
          if (next[owner] < kMessages) {
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
          next[owner] = shelves[owner].assign(kTopic0, stored, {.high = kMessages}).offset;
        }
      }
    }
    // Drained by whoever owns it.
    Shelf& shelf = shelves[owner];
    for (const DeliveryTag& tag : out[owner]) {
      if (shelf.settle(tag)) settled.insert(offset_of[owner].at(tag.generation));
    }
    for (; next[owner] < kMessages; ++next[owner]) shelf.ingest({kTopic0, next[owner]}, record(next[owner]), 0);
    std::array<Delivery, 100> taken;
    const std::size_t count = shelf.hand_out(taken, Shelf::kForever);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(settled.insert(std::stoll(taken[i].message->id().substr(1))).second) << "seed " << seed;
      ASSERT_TRUE(shelf.settle(taken[i].tag));
    }
    commit();
    EXPECT_EQ(settled.size(), static_cast<std::size_t>(kMessages)) << "seed " << seed;
    EXPECT_EQ(stored.offset, kMessages) << "seed " << seed;
  }
}

// Random histories of a retry partition, whose records come from elsewhere or are written by its consumer itself, wait,
// are read again and written anew: a message that was settled or dropped is delivered no more, and none is lost. A
// restart finds what was committed at its end.
TEST(Shelf, RetriesAreNeitherLostNorDoubledInRandomHistories) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto one_in = [&random](unsigned n) { return random() % n == 0; };
    struct Written {
      std::int64_t message = 0;
      std::int64_t due_ms = 0;
    };
    std::vector<Written> log;
    std::int64_t messages = 0;
    std::int64_t now_ms = 0;
    const auto to_record = [&log](std::int64_t offset) {
      const Written& written = log[static_cast<std::size_t>(offset)];
      return record(written.message, written.due_ms);
    };
    const auto write = [&](std::int64_t message) {
      log.push_back({message, now_ms + static_cast<std::int64_t>(random() % 50)});
      return static_cast<std::int64_t>(log.size()) - 1;
    };
    const auto end = [&log] { return static_cast<std::int64_t>(log.size()); };
    const auto new_shelf = [&seed] {
      // Keeps few bodies, and is full soon.
      return std::make_unique<Shelf>(kMe, RetryIndex(8, seed % 2 == 0 ? 1000 : 0));
    };
    auto shelf = new_shelf();
    std::int64_t next = shelf->assign(kRetry0, Shelf::Committed{}, {.high = end()}).offset;
    std::map<std::int64_t, DeliveryTag> out;  // by message
    std::set<std::int64_t> over;              // settled or dropped
    std::vector<std::int64_t> unheard;        // written by us, and we have not heard of it
    std::vector<Place> away;
    std::vector<RetryIndex::Waiting> rewriting;
    const auto hear = [&](std::int64_t offset) { shelf->foresee({kRetry0, offset}, to_record(offset), now_ms); };
    const auto hand_out = [&](std::size_t most) {
      for (const Place place : shelf->mature(now_ms)) away.push_back(place);
      std::vector<Delivery> taken(most);
      taken.resize(shelf->hand_out(taken, Shelf::kForever));
      for (const Delivery& one : taken) {
        const std::int64_t message = std::stoll(one.message->id().substr(1));
        ASSERT_FALSE(over.contains(message)) << message << " is over, and is delivered again";
        ASSERT_TRUE(out.emplace(message, one.tag).second) << message << " is out already";
      }
    };
    const auto read = [&] {
      if (next >= end()) return;
      shelf->ingest({kRetry0, next}, to_record(next), now_ms);
      ++next;
    };
    const auto bring_back = [&] {
      if (away.empty()) return;
      shelf->refill(away.back(), to_record(away.back().offset));
      away.pop_back();
    };
    const auto end_rewrite = [&](bool written) {
      if (written) {
        for (const auto& waiting : rewriting) write(log[static_cast<std::size_t>(waiting.place.offset)].message);
      }
      shelf->end_rewrite(std::exchange(rewriting, {}), written);
    };
    const auto rebalance = [&](bool restart) {
      Shelf::Committed stored;
      for (const auto& one : shelf->to_commit(true)) {
        stored = {.offset = one.offset, .note = read_note(one.note.text, one.offset)};
        shelf->committed(one, true);
      }
      if (restart) {
        shelf = new_shelf();
        out.clear();
      } else {
        shelf->suspend(kRetry0);
      }
      next = shelf->assign(kRetry0, stored, {.high = end()}).offset;
    };
    for (int step = 0; step < 500; ++step) {
      now_ms += static_cast<std::int64_t>(random() % 5);
      shelf->set_unread(next < end());
      switch (random() % 12) {
        case 0:
          write(messages++);
          break;
        case 1:
        case 2:
          read();
          break;
        case 3:
        case 4:
          hand_out(random() % 4);
          break;
        case 5:
        case 6:
        case 7: {
          if (out.empty()) break;
          const auto it = std::next(out.begin(), static_cast<std::ptrdiff_t>(random() % out.size()));
          if (one_in(2)) {
            ASSERT_TRUE(shelf->settle(it->second));
            over.insert(it->first);
          } else {
            ASSERT_TRUE(shelf->begin_move(it->second).has_value());
            const bool written = !one_in(4);
            const std::int64_t offset = written ? write(it->first) : 0;
            shelf->end_move(it->second, written);
            if (!written) break;
            if (one_in(2)) {
              hear(offset);
            } else {
              unheard.push_back(offset);
            }
          }
          out.erase(it);
          break;
        }
        case 8:
          if (!unheard.empty()) {
            hear(unheard.back());
            unheard.pop_back();
          } else {
            bring_back();
          }
          break;
        case 9:
          if (rewriting.empty()) {
            rewriting = shelf->begin_rewrite(3);
          } else {
            end_rewrite(one_in(2));
          }
          break;
        case 10:
          // Whoever drops everything waits for moves, and knows where the log ends.
          if (!one_in(8) || shelf->moving()) break;
          shelf->drop_all();
          shelf->skip_to(kRetry0, end());
          next = std::max(next, end());
          for (std::int64_t message = 0; message < messages; ++message) {
            if (!out.contains(message)) over.insert(message);
          }
          break;
        default:
          // A restart in the middle of a rewrite may double, as any crash may.
          if (one_in(4)) rebalance(rewriting.empty() && one_in(3));
      }
      if (HasFatalFailure()) return;
    }
    // All is brought to its end.
    end_rewrite(false);
    while (!away.empty()) bring_back();
    while (next < end()) read();
    now_ms += 100;
    for (int i = 0; i < 3; ++i) {
      hand_out(1000);
      while (!away.empty()) bring_back();
    }
    for (const auto& [message, tag] : out) {
      ASSERT_TRUE(shelf->settle(tag));
      over.insert(message);
    }
    EXPECT_EQ(over.size(), static_cast<std::size_t>(messages));
    const auto commits = shelf->to_commit(true);
    ASSERT_EQ(commits.size(), 1U);
    EXPECT_EQ(commits[0].offset, end());
    EXPECT_EQ(shelf->out(), 0);
    EXPECT_FALSE(shelf->moving());
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka
