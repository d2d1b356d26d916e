// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "account.hpp"

#include <gtest/gtest.h>

namespace lrpc::queue::soak {
namespace {

constexpr std::size_t kRoom = 5'000;

std::uint64_t first_of(Kind kind, bool keyed = false, std::uint64_t from = 0) {
  while (kind_of(from, keyed) != kind) ++from;
  return from;
}

/// A channel of which some messages were accepted.
struct Rig {
  Accepted accepted{kRoom};
  Book book{kRoom, false, false};

  std::uint64_t accept(Kind kind) {
    const std::uint64_t number = first_of(kind);
    accepted.note(number);
    return number;
  }
  void deliver(std::uint64_t number, int attempts, Doing expected) {
    ASSERT_EQ(book.decide(number, attempts), expected);
    if (expected == Doing::ack) book.handled(number);
  }
};

TEST(SoakAccount, AMessageThatNobodyHandledIsMissing) {
  Rig rig;
  rig.accept(Kind::plain);
  const Tally tally = rig.book.tally(rig.accepted);
  EXPECT_EQ(tally.accepted, 1);
  EXPECT_EQ(tally.missing, 1);
}

TEST(SoakAccount, OneThatWasNotAcceptedIsNotMissed) {
  Rig rig;
  rig.deliver(first_of(Kind::plain), 1, Doing::ack);
  const Tally tally = rig.book.tally(rig.accepted);
  EXPECT_EQ(tally.accepted, 0);
  EXPECT_EQ(tally.missing, 0);
}

TEST(SoakAccount, AFlakyMessageFailsOnce) {
  Rig rig;
  const std::uint64_t number = rig.accept(Kind::flaky);
  EXPECT_NE(rig.book.decide(number, 1), Doing::ack);
  EXPECT_EQ(rig.book.tally(rig.accepted).missing, 1);
  rig.deliver(number, 2, Doing::ack);
  EXPECT_EQ(rig.book.tally(rig.accepted).handled, 1);
}

TEST(SoakAccount, ADoomedMessageIsDeadAfterItsRetriesAndDoneWhenPutBack) {
  Rig rig;
  const std::uint64_t number = rig.accept(Kind::doomed);
  for (int attempts = 1; attempts <= kMaxRetries; ++attempts) rig.deliver(number, attempts, Doing::fail);
  EXPECT_EQ(rig.book.tally(rig.accepted).missing, 1) << "it has a retry left";
  rig.deliver(number, kMaxRetries + 1, Doing::fail);
  EXPECT_EQ(rig.book.tally(rig.accepted).dead, 1);
  rig.deliver(number, 1, Doing::ack);
  EXPECT_EQ(rig.book.tally(rig.accepted).handled, 1);
  EXPECT_EQ(rig.book.tally(rig.accepted).dead, 0);
}

TEST(SoakAccount, ARejectedMessageIsDeadAtOnce) {
  Rig rig;
  rig.deliver(rig.accept(Kind::rejected), 1, Doing::reject);
  EXPECT_EQ(rig.book.tally(rig.accepted).dead, 1);
}

TEST(SoakAccount, AnExpiringMessageMayGoUnseen) {
  Rig rig;
  rig.deliver(rig.accept(Kind::expiring), 1, Doing::retry_late);
  const Tally tally = rig.book.tally(rig.accepted);
  EXPECT_EQ(tally.unseen, 1);
  EXPECT_EQ(tally.missing, 0);
}

TEST(SoakAccount, ADeliveryThatIsDoneAgainIsCountedByItself) {
  Rig rig;
  const std::uint64_t number = rig.accept(Kind::plain);
  rig.deliver(number, 1, Doing::ack);
  rig.deliver(number, 2, Doing::ack);
  EXPECT_EQ(rig.book.repeated(), 1);
  EXPECT_EQ(rig.book.tally(rig.accepted).handled, 1);
}

TEST(SoakAccount, AnEarlierOneOfTheKeyAfterALaterOneIsOutOfOrder) {
  Book book(kRoom, true, true);
  const std::uint64_t early = first_of(Kind::plain, true);
  std::uint64_t late = early + kKeys;
  while (kind_of(late, true) != Kind::plain) late += kKeys;
  book.handled(late);
  book.handled(late + 1);  // of another key
  EXPECT_EQ(book.out_of_order(), 0);
  book.handled(early);
  EXPECT_EQ(book.out_of_order(), 1);
}

}  // namespace
}  // namespace lrpc::queue::soak
