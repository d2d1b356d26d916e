// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Partitions that come, go and come back, and where they are read from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shelf_fixture.hpp"

namespace lrpc::queue::kafka::shelf_test {
namespace {

using Fixture = ShelfFixture;
using testing::ElementsAre;
using testing::IsEmpty;

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

}  // namespace
}  // namespace lrpc::queue::kafka::shelf_test
