// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Deliveries on a real server: reading, settling with the fence of D10, recovery, delays, dead letters.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "redis/channel_store.hpp"
#include "redis/reader.hpp"
#include "redis/topic_store.hpp"

namespace lrpc::queue::redis {
namespace {

using testing::Each;
using testing::ElementsAre;
using Action = Outcome::Action;

constexpr Duration kLease = std::chrono::minutes(5);

class ChannelStoreTest : public testing::Test {
 protected:
  ChannelStoreTest() : known_(must(topic_.open_channel("c", true, in(kPatience)))) {}

  void publish(std::initializer_list<std::string_view> bodies, Duration delay = Duration(0)) {
    std::vector<Outgoing> batch;
    for (const std::string_view body : bodies) {
      const auto* const bytes = reinterpret_cast<const std::byte*>(body.data());
      batch.push_back({.message = Envelope::make_encoded(Bytes(bytes, bytes + body.size())), .delay = delay});
      batch.back().message->set_id("id-" + std::string(body));
    }
    must(topic_.publish(batch, {}, in(kPatience)));
  }
  std::vector<Taken> read(ChannelStore& consumer, std::size_t most = 100) {
    return must(consumer.read(most, in(kPatience)));
  }
  Look look(ChannelStore& consumer, Duration lease = kLease, std::vector<Ended> ended = {}) {
    std::string cursor = "0-0";
    return must(consumer.look(known_, 100, lease, cursor, true, ended, in(kPatience)));
  }
  std::vector<Taken> recover(ChannelStore& consumer, Duration idle = kLease) { return look(consumer, idle).taken; }
  /// Settles one and returns what the server says of it.
  std::int64_t settle(ChannelStore& consumer, Outcome outcome) {
    must(consumer.settle({&outcome, 1}, in(kPatience)));
    return outcome.deliveries_now;
  }
  /// Acks them in one step and returns which were the consumer's.
  static std::vector<bool> ack(ChannelStore& consumer, const std::vector<Taken>& list) {
    std::vector<Handle> handles;
    for (const Taken& one : list) handles.push_back(one.handle);
    const auto done = std::make_unique<bool[]>(handles.size());
    must(consumer.ack(handles, {done.get(), handles.size()}, in(kPatience)));
    return std::vector<bool>(done.get(), done.get() + handles.size());
  }
  std::int64_t number(std::initializer_list<std::string_view> words) {
    return must(ask(*client_, words)).number().value_or(-1);
  }
  std::int64_t pending() { return must(ask(*client_, {"XPENDING", "q:t:c", "t:c"}))[0].number().value_or(-1); }
  static std::string body(const Taken& taken) {
    const auto bytes = taken.entry.message->encoded_body();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static std::vector<std::string> bodies(const std::vector<Taken>& list) {
    std::vector<std::string> result;
    std::ranges::transform(list, std::back_inserter(result), body);
    return result;
  }

  RedisServer server_;
  std::shared_ptr<Client> client_ = must(Client::open(server_.config()));
  Keys keys_{"q:", "t", false};
  TopicStore topic_{client_, "t", keys_};
  Incarnation known_;
  ChannelStore one_{client_, keys_, "c", "consumer-1"};
  ChannelStore two_{client_, keys_, "c", "consumer-2"};
};

TEST_F(ChannelStoreTest, ReadsInOrderAndOnlyOnce) {
  publish({"1", "2", "3"});
  const auto first = read(one_, 2);
  EXPECT_THAT(bodies(first), ElementsAre("1", "2"));
  EXPECT_EQ(first[0].attempts(), 1);
  EXPECT_THAT(bodies(read(two_)), ElementsAre("3"));
  EXPECT_THAT(bodies(read(one_)), ElementsAre());
}

TEST_F(ChannelStoreTest, D21_ABlockedReadIsWokenByAPublish) {
  Reader reader;
  const Waker waker;
  std::jthread publisher([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    publish({"1"});
  });
  EXPECT_THAT(bodies(must(reader.wait(one_, 10, in(kPatience), waker))), ElementsAre("1"));
  EXPECT_THAT(bodies(must(reader.wait(one_, 10, in(Duration(20)), waker))), ElementsAre()) << "in vain";
}

TEST_F(ChannelStoreTest, D21_ABlockedReadEndsWhenWoken) {
  Reader reader;
  const Waker waker;
  std::jthread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    waker.wake();
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(bodies(must(reader.wait(one_, 10, in(kPatience), waker))), ElementsAre());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
  waker.clear();
  publish({"1"});
  EXPECT_THAT(bodies(must(reader.wait(one_, 10, in(kPatience), waker))), ElementsAre("1")) << "the line goes on";
}

TEST_F(ChannelStoreTest, D10_AnAckRemovesWhatIsHeldAndNothingElse) {
  publish({"1", "2"});
  const auto mine = read(one_, 1);
  EXPECT_EQ(settle(two_, {.handle = mine[0].handle}), 0) << "another consumer's";
  Handle other = mine[0].handle;
  ++other.deliveries;
  EXPECT_EQ(settle(one_, {.handle = other}), 0) << "another delivery's";
  EXPECT_EQ(settle(one_, {.handle = {.entry_id = {.ms = 1, .number = 1}, .deliveries = 1}}), 0) << "unknown";
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 2);
  EXPECT_EQ(settle(one_, {.handle = mine[0].handle}), 1);
  EXPECT_EQ(settle(one_, {.handle = mine[0].handle}), 0) << "twice";
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 1);
  EXPECT_EQ(pending(), 0);
}

// Acks of many remove the oldest entries in one piece where they can.
TEST_F(ChannelStoreTest, D1_AnAckOfManyTakesNothingElse) {
  for (int i = 0; i < 4; ++i) publish({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"});
  const auto others = read(two_, 2);
  const auto mine = read(one_, 18);
  EXPECT_THAT(ack(one_, mine), Each(true));
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 22) << "what another consumer holds before them stays";
  EXPECT_THAT(ack(two_, others), Each(true));
  const auto next = read(one_, 10);
  const auto later = read(one_, 5);
  EXPECT_THAT(ack(one_, next), Each(true));
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 10) << "what is held behind them, and what nobody has read, stay";
  EXPECT_EQ(pending(), 5);
  EXPECT_THAT(bodies(read(one_)), ElementsAre("6", "7", "8", "9", "10"));
}

TEST_F(ChannelStoreTest, D10_AnAckOfManyIsFencedOneByOne) {
  publish({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"});
  auto mine = read(one_);
  must(ask(*client_, {"XCLAIM", "q:t:c", "t:c", "consumer-2", "0", mine[0].handle.entry_id.text()}));
  must(ask(*client_, {"XCLAIM", "q:t:c", "t:c", "consumer-1", "0", mine[9].handle.entry_id.text()}));
  EXPECT_THAT(ack(one_, mine), ElementsAre(false, true, true, true, true, true, true, true, true, false));
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 2);
  EXPECT_EQ(pending(), 2);
}

TEST_F(ChannelStoreTest, D10_AnAckAndTheNextReadInOneTrip) {
  publish({"1", "2", "3", "4", "5"});
  for (const bool known : {true, false}) {
    if (!known) must(ask(*client_, {"SCRIPT", "FLUSH"}));
    const auto mine = read(one_, 2);
    std::array<bool, 2> done{};
    auto [acked, taken] = one_.ack_and_read(std::array{mine[0].handle, mine[1].handle}, done, 1, in(kPatience));
    EXPECT_TRUE(acked);
    EXPECT_THAT(done, Each(true));
    EXPECT_EQ(bodies(must(std::move(taken))), known ? std::vector<std::string>{"3"} : std::vector<std::string>{});
  }
  EXPECT_EQ(pending(), 1);
  must(ask(*client_, {"DEL", "q:t:c"}));
  bool done = true;
  auto [acked, taken] = one_.ack_and_read(std::array{Handle{.entry_id = {.ms = 1, .number = 1}, .deliveries = 1}},
                                          {&done, 1}, 1, in(kPatience));
  EXPECT_TRUE(is_gone(error_of_call(std::move(acked))));
  EXPECT_TRUE(is_gone(error_of_call(std::move(taken))));
}

TEST_F(ChannelStoreTest, D10_ALostLeaseIsFenced) {
  publish({"1"});
  const auto first = read(one_);
  const auto second = recover(two_, Duration(0));
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].attempts(), 2);
  for (const Action action :
       {Action::ack, Action::retry, Action::touch, Action::dead, Action::give_back, Action::keep}) {
    EXPECT_EQ(settle(one_, {.handle = first[0].handle, .action = action}), 0);
  }
  const auto third = recover(one_, Duration(0));
  ASSERT_EQ(third.size(), 1U);
  EXPECT_EQ(settle(one_, {.handle = first[0].handle}), 0) << "its own older delivery";
  EXPECT_EQ(settle(one_, {.handle = third[0].handle}), 1);
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 0);
}

TEST_F(ChannelStoreTest, D9_ATouchKeepsTheLease) {
  publish({"1", "2"});
  const auto held = read(one_);
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(settle(one_, {.handle = held[0].handle, .action = Action::touch}), 1);
  EXPECT_THAT(bodies(recover(two_, Duration(50))), ElementsAre("2"));
}

TEST_F(ChannelStoreTest, D8_ARetryComesAgainWithItsAttemptsAndTimes) {
  publish({"1", "2"});
  const auto first = read(one_, 1);
  EXPECT_EQ(settle(one_, {.handle = first[0].handle, .action = Action::retry, .counted = 1}), 1);
  const auto again = read(one_);
  EXPECT_THAT(bodies(again), ElementsAre("2", "1")) << "behind what is ready";
  EXPECT_EQ(again[1].attempts(), 2);
  EXPECT_EQ(again[1].entry.message->id(), "id-1");
  EXPECT_EQ(again[1].entry.message->enqueued_at_ms(), first[0].entry.message->enqueued_at_ms());
  EXPECT_EQ(settle(one_, {.handle = again[1].handle, .action = Action::retry, .delay = kLease, .counted = 2}), 1);
  EXPECT_EQ(number({"ZCARD", "q:t:c:delayed"}), 1);
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 1);
}

TEST_F(ChannelStoreTest, D17_DueMessagesAreMoved) {
  EXPECT_EQ(look(one_).next_due, Duration::max());
  publish({"later"}, kLease);
  const Duration next = look(one_).next_due;
  EXPECT_LE(next, kLease);
  EXPECT_GT(next, kLease - kPatience);
  publish({"1", "2", "3"}, Duration(1));
  EXPECT_TRUE(eventually([&] {
    look(one_);
    return number({"XLEN", "q:t:c"}) == 3;
  }));
  auto all = bodies(read(one_));
  std::ranges::sort(all);
  EXPECT_THAT(all, ElementsAre("1", "2", "3"));
  EXPECT_EQ(number({"ZCARD", "q:t:c:delayed"}), 1);
}

TEST_F(ChannelStoreTest, D20_WhatIsGivenBackComesFirstAndCountsAsAsked) {
  publish({"1", "2", "3"});
  const auto held = read(one_, 2);
  EXPECT_EQ(settle(one_, {.handle = held[0].handle, .action = Action::give_back, .counted = 0}), 1);
  EXPECT_EQ(settle(one_, {.handle = held[1].handle, .action = Action::give_back, .counted = 1}), 1);
  const auto taken = recover(two_);
  EXPECT_THAT(bodies(taken), ElementsAre("1", "2")) << "before what nobody has read";
  EXPECT_EQ(taken[0].attempts(), 1) << "no handler had seen it";
  EXPECT_EQ(taken[1].attempts(), 2);
  EXPECT_EQ(settle(two_, {.handle = taken[0].handle}), 1);
}

TEST_F(ChannelStoreTest, D8_AKeptRetryIsANewDeliveryOfTheSameHolder) {
  publish({"1"});
  const auto held = read(one_);
  const std::int64_t now = settle(one_, {.handle = held[0].handle, .action = Action::keep, .counted = 1});
  EXPECT_EQ(now, 2);
  EXPECT_EQ(settle(one_, {.handle = held[0].handle}), 0) << "the old delivery is over";
  EXPECT_EQ(settle(one_, {.handle = {.entry_id = held[0].handle.entry_id, .deliveries = now}}), 1);
}

TEST_F(ChannelStoreTest, D18_DeadLettersKeepTheMessageReasonAndTimesUpToTheirLimit) {
  publish({"1", "2", "3"});
  const auto held = read(one_);
  std::vector<Outcome> outcomes;
  for (const Taken& taken : held) {
    outcomes.push_back({.handle = taken.handle,
                        .action = Action::dead,
                        .counted = 4,
                        .reason = "max_retries",
                        .error = "boom \xFF",
                        .limit = 2});
  }
  EXPECT_EQ(must(one_.settle(outcomes, in(kPatience))), 1) << "one had to go";
  EXPECT_EQ(number({"XLEN", "q:t:c"}), 0);
  const Reply dead = must(ask(*client_, {"XRANGE", "q:t:c:dead", "-", "+"}));
  ASSERT_EQ(dead.size(), 2U);
  std::map<std::string_view, std::string_view> fields;
  for (std::size_t i = 0; i + 1 < dead[0][1].size(); i += 2) fields[dead[0][1][i].text()] = dead[0][1][i + 1].text();
  EXPECT_EQ(fields["body"], "2");
  EXPECT_EQ(fields["id"], "id-2");
  EXPECT_EQ(fields["attempts"], "4");
  EXPECT_EQ(fields["reason"], "max_retries");
  EXPECT_EQ(fields["error"], "boom \xEF\xBF\xBD");
  EXPECT_EQ(fields["enqueued_at_ms"], std::to_string(held[1].entry.message->enqueued_at_ms()));
  EXPECT_NE(fields["dead_at_ms"], "");
}

TEST_F(ChannelStoreTest, AnOperatorsXdelUnderADeliveryIsNotAnError) {
  publish({"1", "2", "3"});
  const auto held = read(one_);
  must(ask(*client_, {"XDEL", "q:t:c", held[0].handle.entry_id.text()}));
  must(ask(*client_, {"XDEL", "q:t:c", held[1].handle.entry_id.text()}));
  EXPECT_EQ(settle(one_, {.handle = held[0].handle, .action = Action::retry, .counted = 1}), 1);
  EXPECT_THAT(bodies(recover(two_, Duration(0))), ElementsAre("3")) << "the entry without a body is cleared";
  EXPECT_EQ(pending(), 1);
}

TEST_F(ChannelStoreTest, AForeignEntryIsReadAndOneWithoutBodyIsNamed) {
  must(ask(*client_, {"XADD", "q:t:c", "*", "body", "theirs"}));
  must(ask(*client_, {"XADD", "q:t:c", "*", "text", "no body"}));
  const auto all = read(one_);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(body(all[0]), "theirs");
  EXPECT_EQ(all[0].entry.message->id(), std::string_view(all[0].handle.entry_id.text()));
  EXPECT_EQ(all[1].entry.malformed, "the entry has no body");
}

TEST_F(ChannelStoreTest, ADeletedGroupIsAnError) {
  must(ask(*client_, {"DEL", "q:t:c"}));
  EXPECT_EQ(error_of_call(one_.read(10, in(kPatience))).code, ErrorCode::backend);
  EXPECT_EQ(look(one_).state, Look::State::gone);
}

}  // namespace
}  // namespace lrpc::queue::redis
