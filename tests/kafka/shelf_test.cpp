// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shelf_fixture.hpp"

namespace lrpc::queue::kafka::shelf_test {
namespace {

using Fixture = ShelfFixture;
using testing::ElementsAre;
using testing::IsEmpty;

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

}  // namespace
}  // namespace lrpc::queue::kafka::shelf_test
