// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/held.hpp"

#include <string_view>

#include <gtest/gtest.h>

namespace lrpc::queue::redis {
namespace {

constexpr std::int64_t kLease = 30'000;

Taken taken(std::string_view entry_id, std::int64_t deliveries) {
  Taken one{.handle = {.entry_id = EntryId::parse(entry_id).value(), .deliveries = deliveries}};
  one.entry.message = Envelope::make_encoded({});
  one.entry.message->set_id(entry_id);
  return one;
}

TEST(HeldTable, ARefusalForgets) {
  HeldTable table;
  const Taken one = taken("1-0", 1);
  const DeliveryTag tag = table.put(one, 0, Held::kForever, kLease).tag.value();
  EXPECT_FALSE(table.survives_refusal(tag, one.handle));
  EXPECT_EQ(table.find(tag), nullptr);
  EXPECT_FALSE(table.survives_refusal(tag, one.handle));
}

// A renewal that meets the server after the `keep` of the same delivery is refused, and may be heard of before it.
TEST(HeldTable, D8_a_refusal_beside_a_keep_does_not_forget) {
  HeldTable table;
  const Taken one = taken("1-0", 1);
  const DeliveryTag tag = table.put(one, 0, Held::kForever, kLease).tag.value();
  table.set_being_kept(tag, true);
  EXPECT_TRUE(table.survives_refusal(tag, one.handle));
  const DeliveryTag next = table.renew(tag, 2, 2);
  ASSERT_NE(table.find(next), nullptr);
  EXPECT_EQ(table.find(next)->handle.deliveries, 2);
  EXPECT_FALSE(table.survives_refusal(next, table.find(next)->handle)) << "it is not being kept any more";
}

TEST(HeldTable, D8_a_keep_that_failed_protects_no_longer) {
  HeldTable table;
  const Taken one = taken("1-0", 1);
  const DeliveryTag tag = table.put(one, 0, Held::kForever, kLease).tag.value();
  table.set_being_kept(tag, true);
  table.set_being_kept(tag, false);
  EXPECT_FALSE(table.survives_refusal(tag, one.handle));
}

// Recovery handed our own delivery to us again while a renewal was on its way.
TEST(HeldTable, D9_a_refusal_of_an_old_count_does_not_forget) {
  HeldTable table;
  const Taken one = taken("1-0", 1);
  const DeliveryTag tag = table.put(one, 0, Held::kForever, kLease).tag.value();
  EXPECT_FALSE(table.put(taken("1-0", 2), 10, Held::kForever, kLease).tag.has_value()) << "it goes on";
  EXPECT_TRUE(table.survives_refusal(tag, one.handle));
  EXPECT_NE(table.find(tag), nullptr);
}

// A look may bring what was just given back before the answer to the giving back has been read. It was taken for a
// delivery that goes on, then forgotten: nobody got it before the lease ended, and an attempt was counted.
TEST(HeldTable, D20_what_is_going_back_may_come_again_first) {
  HeldTable table;
  const DeliveryTag old = table.put(taken("1-0", 1), 0, Held::kForever, kLease).tag.value();
  table.set_going_back(old, true);
  const HeldTable::Put again = table.put(taken("1-0", 1), 10, Held::kForever, kLease);
  ASSERT_TRUE(again.tag.has_value());
  EXPECT_FALSE(again.lease_expired);
  table.remove(old);  // the answer
  EXPECT_NE(table.find(*again.tag), nullptr);
}

TEST(HeldTable, FindsTheNewestOfAnId) {
  HeldTable table;
  const auto with_id = [](std::string_view entry_id) {
    Taken one = taken(entry_id, 1);
    one.entry.message->set_id("id");
    return one;
  };
  const DeliveryTag first = table.put(with_id("1-0"), 0, kLease, kLease).tag.value();
  EXPECT_EQ(table.find("id"), first);
  const DeliveryTag second = table.put(with_id("2-0"), 0, kLease, kLease).tag.value();
  EXPECT_EQ(table.find("id"), second);
  table.remove(second);
  EXPECT_EQ(table.find("id"), first);
  table.remove(first);
  EXPECT_EQ(table.find("id"), std::nullopt);
  const DeliveryTag third = table.put(with_id("3-0"), 0, kLease, kLease).tag.value();
  EXPECT_EQ(table.find(first), nullptr) << "its place is another's now";
  EXPECT_EQ(table.find("id"), third);
}

}  // namespace
}  // namespace lrpc::queue::redis
