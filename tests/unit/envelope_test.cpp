// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <lrpc/queue.hpp>
#include <memory>
#include <string>
#include <utility>

namespace lrpc::queue {
namespace {

using Counted = std::shared_ptr<int>;  // its use_count tells how many bodies there are

TEST(EnvelopeTest, BodyDiesWithTheLastReference) {
  const auto probe = std::make_shared<int>(7);
  {
    EnvelopePtr first = Envelope::make<Counted>(probe);
    const EnvelopePtr second = first;
    const EnvelopePtr alias = Envelope::alias(first);
    first = EnvelopePtr{};
    EXPECT_EQ(probe.use_count(), 2) << "one body, shared";
    EXPECT_EQ(**alias->body_as<Counted>(), 7);
  }
  EXPECT_EQ(probe.use_count(), 1);
}

TEST(EnvelopeTest, AliasHasAHeaderOfItsOwn) {
  EnvelopePtr original = Envelope::make<std::string>("body");
  original->set_id("not a ulid");
  original->set_header("a", "1");
  const EnvelopePtr alias = Envelope::alias(Envelope::alias(original));
  alias->set_header("a", "2");
  alias->set_expires_at(99);
  EXPECT_EQ(original->headers().at("a"), "1");
  EXPECT_EQ(original->expires_at(), 0);
  EXPECT_EQ(alias->id(), "not a ulid");
  EXPECT_EQ(alias->body(), original->body());
}

TEST(EnvelopeTest, WritableCopiesTheHeaderOnlyWhenShared) {
  EnvelopePtr one = Envelope::make<int>(1);
  const Envelope* before = one.get();
  one.writable().set_key("k");
  EXPECT_EQ(one.get(), before);
  const EnvelopePtr other = one;
  one.writable().set_key("changed");
  EXPECT_NE(one.get(), before);
  EXPECT_EQ(other->key(), "k");
}

TEST(EnvelopeTest, IdsCompareAndHashAsTexts) {
  EnvelopePtr ulid = Envelope::make<int>(1);
  ulid->set_id("01ARYZ6S41TSV4RRFFQ69G5FAV");
  EXPECT_TRUE(ulid->id_is(Envelope::IdQuery("01ARYZ6S41TSV4RRFFQ69G5FAV")));
  EXPECT_FALSE(ulid->id_is(Envelope::IdQuery("01ARYZ6S41TSV4RRFFQ69G5FAW")));
  EXPECT_EQ(ulid->id_hash(), Envelope::IdQuery("01ARYZ6S41TSV4RRFFQ69G5FAV").hash());
  EnvelopePtr named = Envelope::make<int>(1);
  named->set_id("order 66");
  EXPECT_TRUE(named->id_is(Envelope::IdQuery("order 66")));
  EXPECT_EQ(named->id_hash(), Envelope::IdQuery("order 66").hash());
}

TEST(MessageTest, TakeBodyMovesOnlyFromTheSoleOwner) {
  const auto probe = std::make_shared<int>(7);
  Message<Counted> message(probe);
  const Message<Counted> copy = message;
  EXPECT_EQ(message.take_body(), probe);
  EXPECT_EQ(copy.body(), probe) << "still there: it was shared";
  Message<Counted> sole(probe);
  const Counted taken = sole.take_body();
  EXPECT_EQ(taken, probe);
  EXPECT_EQ(sole.body(), nullptr) << "moved out";
}

}  // namespace
}  // namespace lrpc::queue
