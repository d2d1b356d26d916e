// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "fixture.hpp"

/// A subscription lives through every fault of the line and loses nothing (D1, D22).
namespace lrpc::queue::wire {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class SubscriptionTest : public WireTest {
 protected:
  using Seen = std::pair<std::string, int>;  // body, attempt

  /// Whether all gets settled. What a lost request left behind needs the engine's next try (within 75 ms) or, failing
  /// that, the end of a lease.
  bool drained() {
    const auto empty = [&] { return publisher_.channel.depth().value_or(-1) == 0; };
    for (int step = 0; step < 20; ++step) {
      if (eventually(empty, Duration(300))) return true;
      clock_->advance(kLease / 4);
    }
    return empty();
  }
  /// Notes what comes; the first `failures` deliveries fail.
  void subscribe(int failures = 0) {
    failures_ = failures;
    static_cast<void>(must(client_.channel.subscribe([this](const Message<std::string>& m) -> Result<void> {
      seen_.add({m.body(), m.attempts()});
      if (failures_.fetch_sub(1) > 0) return fail(ErrorCode::backend, "not today");
      return {};
    })));
  }
  /// The subscription still works.
  void expect_alive() {
    const std::size_t before = seen_.size();
    must(publisher_.topic.pub("alive"));
    EXPECT_TRUE(seen_.wait_for(before + 1));
    EXPECT_TRUE(drained());
  }
  std::vector<std::string> bodies() const {
    std::vector<std::string> result;
    for (const auto& [body, attempt] : seen_.items()) result.push_back(body);
    return result;
  }

  Collector<Seen> seen_{kPatience};
  std::atomic<int> failures_{0};
  Client publisher_ = connect();
  Client client_ = connect();
};

TEST_F(SubscriptionTest, GoesOnWhenTheLineIsBack) {
  subscribe();
  for (int round = 0; round < 5; ++round) {
    client_.link->set_connected(false);
    must(publisher_.topic.pub(std::to_string(round)));
    client_.link->set_connected(true);
    ASSERT_TRUE(seen_.wait_for(static_cast<std::size_t>(round) + 1)) << "round " << round;
    ASSERT_TRUE(drained());
  }
  EXPECT_THAT(bodies(), ElementsAre("0", "1", "2", "3", "4")) << "a line that breaks between messages repeats none";
}

TEST_F(SubscriptionTest, GoesOnWhenTheServerIsBack) {
  subscribe();
  server_->set_up(false);
  server_->set_up(true);
  must(publisher_.topic.pub("a"));
  ASSERT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
}

TEST_F(SubscriptionTest, DoesNotSpinWhileRequestsFail) {
  subscribe();
  client_.link->inject(Op::receive, Fault::refuse);
  must(publisher_.topic.pub("a"));  // wakes it
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  // From 2 ms the pause doubles, with jitter it is at least half of that: seven tries take 127 ms or 63 ms.
  EXPECT_LT(client_.link->faults(Op::receive, Fault::refuse), 20U);
  client_.link->clear(Op::receive);
  EXPECT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
}

TEST_F(SubscriptionTest, DoesNotTryWhileTheLineIsCut) {
  subscribe();
  client_.link->set_connected(false);
  std::this_thread::sleep_for(kMoment);
  const std::uint64_t before = client_.link->calls(Op::receive);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(client_.link->calls(Op::receive), before + 1);
  client_.link->set_connected(true);
  expect_alive();
}

TEST_F(SubscriptionTest, MessageOfALostReplyComesAgainAfterItsLease) {
  subscribe();
  // The subscription waits by now: the reply that is lost will be the one with the message.
  ASSERT_TRUE(eventually([&] { return client_.link->calls(Op::receive) > 0; }));
  std::this_thread::sleep_for(kMoment);
  client_.link->inject(Op::receive, Fault::lose_reply, 1);
  must(publisher_.topic.pub("a"));
  ASSERT_TRUE(eventually([&] { return client_.link->faults(Op::receive, Fault::lose_reply) == 1; }));
  EXPECT_EQ(publisher_.depth(), 1);
  clock_->advance(kLease);
  ASSERT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
  EXPECT_THAT(seen_.items(), ElementsAre(Seen("a", 2))) << "the server counts the delivery that was lost (D6)";
}

TEST_F(SubscriptionTest, RefusedAckDoesNotLoseTheMessageOrTheSubscription) {
  client_.link->inject(Op::ack, Fault::refuse, 1);
  subscribe();
  must(publisher_.topic.pub("a"));
  ASSERT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
  EXPECT_THAT(bodies(), testing::Each("a"));
  EXPECT_LE(seen_.size(), 2U) << "one lost ack explains one repetition";
  expect_alive();
}

TEST_F(SubscriptionTest, LostReplyOfAnAckRepeatsNothing) {
  client_.link->inject(Op::ack, Fault::lose_reply, 1);
  subscribe();
  must(publisher_.topic.pub("a"));
  ASSERT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
  clock_->advance(kLease * 2);
  expect_alive();
  EXPECT_THAT(bodies(), ElementsAre("a", "alive")) << "the ack had been carried out";
}

TEST_F(SubscriptionTest, RefusedRetryComesAgainAnyway) {
  client_.link->inject(Op::settle, Fault::refuse, 1);
  subscribe(1);
  must(publisher_.topic.pub("a"));
  ASSERT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
  const auto seen = seen_.items();
  ASSERT_GE(seen.size(), 2U);
  EXPECT_EQ(seen.back().first, "a");
  EXPECT_EQ(seen.back().second, 2);
  expect_alive();
}

TEST_F(SubscriptionTest, LostReplyOfARetryComesAgainOnce) {
  client_.link->inject(Op::settle, Fault::lose_reply, 1);
  subscribe(1);
  must(publisher_.topic.pub("a"));
  ASSERT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
  EXPECT_THAT(seen_.items(), ElementsAre(Seen("a", 1), Seen("a", 2)));
  expect_alive();
}

TEST_F(SubscriptionTest, FaultsAroundADeadLetterKeepItOnce) {
  for (const Fault fault : {Fault::refuse, Fault::lose_reply}) {
    SCOPED_TRACE(static_cast<int>(fault));
    must(publisher_.channel.purge_dead());
    Client client = connect({.max_retries = 0, .ack_timeout = kLease});
    client.link->inject(Op::settle, fault, 1);
    static_cast<void>(must(client.channel.subscribe(
        [](const Message<std::string>&) -> Result<void> { return fail(ErrorCode::backend, "never"); })));
    must(publisher_.topic.pub("a"));
    EXPECT_TRUE(drained());
    const auto dead = must(publisher_.channel.dead_letters());
    ASSERT_EQ(dead.items.size(), 1U);
    EXPECT_EQ(dead.items.front().reason, "max_retries");
    must(client.queue.close());
  }
}

// Nobody else would: on a back end whose leases go on by themselves it would stay in flight for ever.
TEST_F(SubscriptionTest, D12_RefusedGivingUpIsTriedAgain) {
  must(publisher_.topic.pub("old", {.expires = std::chrono::seconds(5)}));
  clock_->advance(std::chrono::seconds(10));
  client_.link->inject(Op::settle, Fault::refuse, 2);
  subscribe();
  EXPECT_TRUE(eventually([&] { return publisher_.depth() == 0; })) << "and the clock stands still";
  EXPECT_EQ(client_.link->faults(Op::settle, Fault::refuse), 2U);
  EXPECT_THAT(bodies(), ElementsAre());
  expect_alive();
}

TEST_F(SubscriptionTest, KeyedMessagesKeepTheirOrderThroughFaults) {
  client_.link->inject(Op::settle, Fault::refuse, 2);
  subscribe(1);
  for (const char* const body : {"1", "2", "3"}) must(publisher_.topic.pub(body, {.key = "k"}));
  EXPECT_TRUE(drained());
  // Each may repeat, but no later one succeeds before an earlier one.
  std::vector<std::string> last;
  for (const auto& body : bodies()) {
    std::erase(last, body);
    last.push_back(body);
  }
  EXPECT_THAT(last, ElementsAre("1", "2", "3"));
}

TEST_F(SubscriptionTest, RefusedConsumerCallsSayUnavailable) {
  must(publisher_.topic.pub("a"));
  const auto message = client_.receive();
  client_.link->set_connected(false);
  EXPECT_EQ(error_of(client_.channel.ack(message)), "unavailable");
  EXPECT_EQ(error_of(client_.channel.nack(message)), "unavailable");
  EXPECT_EQ(error_of(client_.channel.touch(message)), "unavailable");
  EXPECT_EQ(error_of(client_.channel.dead_letters()), "unavailable");
  EXPECT_EQ(error_of(client_.channel.drop_all()), "unavailable");
  client_.link->set_connected(true);
  client_.link->inject(Op::ack, Fault::lose_reply, 1);
  EXPECT_EQ(error_of(client_.channel.ack(message)), "outcome_unknown");
  EXPECT_EQ(error_of(client_.channel.ack(message)), "message_not_found") << "the first ack had been carried out";
  EXPECT_EQ(client_.depth(), 0);
}

TEST_F(SubscriptionTest, NextWaitsThroughABrokenLine) {
  Collector<std::string> got(kPatience);
  client_.link->set_connected(false);
  std::jthread waiting([&] { got.add(client_.receive_text()); });
  must(publisher_.topic.pub("a"));
  std::this_thread::sleep_for(kMoment);
  EXPECT_EQ(got.size(), 0U);
  client_.link->set_connected(true);
  ASSERT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items().front(), "a");
}

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST_F(SubscriptionTest, DamagedEntryBecomesADeadLetterWithItsBytes) {
  subscribe();
  const Bytes rubbish = bytes_of("not a frame at all");
  server_->inject("events", "work", rubbish);
  must(publisher_.topic.pub("after it"));
  ASSERT_TRUE(seen_.wait_for(1));
  EXPECT_TRUE(drained());
  EXPECT_THAT(bodies(), ElementsAre("after it"));
  auto dead = must(publisher_.channel.dead_letters());
  ASSERT_EQ(dead.items.size(), 1U);
  EXPECT_EQ(dead.items.front().reason, "undecodable");
  EXPECT_FALSE(dead.items.front().error.empty());
  EXPECT_EQ(dead.items.front().raw, rubbish);
  EXPECT_FALSE(dead.items.front().message.has_value());

  const std::vector<std::string> ids{dead.items.front().id};
  EXPECT_EQ(must(publisher_.channel.requeue_dead(ids)), 1) << "it has an id to be named by";
  EXPECT_TRUE(drained());
  EXPECT_TRUE(eventually([&] { return must(publisher_.channel.stats()).dead == 1; })) << "and is given up again";
  expect_alive();
}

TEST_F(SubscriptionTest, UndecodableBodyKeepsItsMetadata) {
  const Bytes broken = bytes_of("{\"no\": json");
  StoredMessage message{.id = "the-id", .body = broken};
  message.headers["h"] = "v";
  server_->inject("events", "work", encode_frame(message));
  must(publisher_.topic.pub("after it"));
  EXPECT_EQ(client_.receive().body(), "after it") << "next skips it (D13)";
  const auto dead = must(publisher_.channel.dead_letters());
  ASSERT_EQ(dead.items.size(), 1U);
  EXPECT_EQ(dead.items.front().reason, "undecodable");
  EXPECT_EQ(dead.items.front().id, "the-id");
  EXPECT_EQ(dead.items.front().raw, broken);
}

}  // namespace
}  // namespace lrpc::queue::wire
