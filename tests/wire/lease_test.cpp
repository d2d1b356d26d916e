// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "fixture.hpp"

/// Leases on a server that knows nothing of handlers: renewed while one runs, lost when renewals do not come (D9, D10).
namespace lrpc::queue::wire {
namespace {

using testing::ElementsAre;
using Seen = std::pair<std::string, int>;  // body, attempt

class LeaseTest : public WireTest {
 protected:
  /// The holder's handler notes what comes and waits until the test opens the gate_.
  void subscribe_gated() {
    static_cast<void>(must(holder_.channel.subscribe([this](const Message<std::string>& m) {
      seen_.add({m.body(), m.attempts()});
      gate_.pass();
    })));
  }

  Gate gate_{kPatience};
  Collector<Seen> seen_{kPatience};
  Client holder_ = connect();
  Client other_ = connect();
  const OpenAtExit open_{gate_};
};

TEST_F(LeaseTest, IsRenewedWhileTheHandlerRuns) {
  subscribe_gated();
  must(other_.topic.pub("slow"));
  ASSERT_TRUE(gate_.wait_for_entered(1));
  pass_with_renewals(holder_, kLease * 5);
  EXPECT_TRUE(other_.nothing()) << "five leases have passed";
  gate_.open();
  EXPECT_TRUE(eventually([&] { return other_.depth() == 0; }));
  EXPECT_THAT(seen_.items(), ElementsAre(Seen("slow", 1)));
}

TEST_F(LeaseTest, IsRenewedForPrefetchedMessages) {
  ChannelConfig one = settings();
  one.max_in_flight = 1;
  must(holder_.queue.close());
  holder_ = connect(one);
  subscribe_gated();
  std::vector<std::string> bodies;
  for (int i = 0; i < 4; ++i) bodies.push_back(std::to_string(i));
  must(other_.topic.pub_batch(bodies));
  ASSERT_TRUE(gate_.wait_for_entered(1));
  std::this_thread::sleep_for(kMoment);
  // What the holder has not fetched is the other's; what it has fetched stays its own.
  std::vector<std::string> taken;
  for (auto m = other_.channel.try_next(Duration(0)); m; m = other_.channel.try_next(Duration(0))) {
    taken.push_back(m->body());
    must(other_.channel.ack(*m));
  }
  pass_with_renewals(holder_, kLease * 3);
  EXPECT_TRUE(other_.nothing());
  gate_.open();
  EXPECT_TRUE(eventually([&] { return other_.depth() == 0; }));
  for (const auto& [body, attempt] : seen_.items()) {
    EXPECT_EQ(attempt, 1) << body;
    taken.push_back(body);
  }
  EXPECT_THAT(taken, testing::UnorderedElementsAreArray(bodies));
}

TEST_F(LeaseTest, IsRenewedForMessagesHeldBehindTheirKey) {
  ChannelConfig slow = settings();
  slow.retry_delay = kLease * 3 / 2;
  must(holder_.queue.close());
  holder_ = connect(slow);
  static_cast<void>(must(holder_.channel.subscribe([this](const Message<std::string>& m) {
    seen_.add({m.body(), m.attempts()});
    return ProcessRsp{.retry = m.body() == "1" && m.attempts() == 1};
  })));
  must(other_.topic.pub_batch({"1", "2"}, {.key = "k"}));
  ASSERT_TRUE(eventually([&] { return must(holder_.channel.stats()).nacked == 1; }));
  ASSERT_EQ(must(other_.channel.stats()).in_flight, 2) << "held, not given back (D8)";
  pass_with_renewals(holder_, kLease * 4 / 3);
  EXPECT_TRUE(other_.nothing());
  EXPECT_EQ(seen_.size(), 1U);
  clock_->advance(kLease / 6);
  ASSERT_TRUE(seen_.wait_for(3));
  EXPECT_THAT(seen_.items(), ElementsAre(Seen("1", 1), Seen("1", 2), Seen("2", 1)));
  EXPECT_TRUE(eventually([&] { return other_.depth() == 0; }));
}

TEST_F(LeaseTest, SurvivesARenewalThatFails) {
  subscribe_gated();
  must(other_.topic.pub("slow"));
  ASSERT_TRUE(gate_.wait_for_entered(1));
  holder_.link->inject(Op::touch, Fault::refuse, 1);
  pass_with_renewals(holder_, kLease * 2);
  EXPECT_EQ(holder_.link->faults(Op::touch, Fault::refuse), 1U);
  EXPECT_TRUE(other_.nothing()) << "the next renewal comes before the lease ends";
  gate_.open();
  EXPECT_TRUE(eventually([&] { return other_.depth() == 0; }));
}

TEST_F(LeaseTest, OfAFrozenClientIsLostAndItsLateAckChangesNothing) {
  subscribe_gated();
  must(other_.topic.pub("a"));
  ASSERT_TRUE(gate_.wait_for_entered(1));
  holder_.link->inject(Op::touch, Fault::refuse);
  holder_.link->inject(Op::receive, Fault::refuse);
  ASSERT_TRUE(eventually([&] { return holder_.link->on_the_way() == 0; })) << "what went before would still arrive";
  clock_->advance(kLease);
  const auto message = other_.receive();
  EXPECT_EQ(message.attempts(), 2);
  const std::uint64_t acks = holder_.link->calls(Op::ack);
  gate_.open();
  ASSERT_TRUE(
      eventually([&] { return holder_.link->calls(Op::ack) > acks || must(holder_.channel.stats()).acked > 0; }));
  std::this_thread::sleep_for(kMoment);
  EXPECT_EQ(other_.depth(), 1) << "the late ack did not remove the other's delivery";
  must(other_.channel.ack(message));
  EXPECT_EQ(other_.depth(), 0);
  holder_.link->clear(Op::touch);
  holder_.link->clear(Op::receive);
  must(other_.topic.pub("b"));
  ASSERT_TRUE(seen_.wait_for(2)) << "the thawed client goes on";
  EXPECT_THAT(seen_.items(), ElementsAre(Seen("a", 1), Seen("b", 1)));
}

TEST_F(LeaseTest, LateSettlingOfNextGivesMessageNotFound) {
  must(other_.topic.pub("a"));
  const auto lost = holder_.receive();
  clock_->advance(kLease);
  const auto taken = other_.receive();
  EXPECT_EQ(taken.id(), lost.id());
  EXPECT_EQ(taken.attempts(), 2);
  EXPECT_EQ(error_of(holder_.channel.ack(lost)), "message_not_found");
  EXPECT_EQ(error_of(holder_.channel.ack(lost.id())), "message_not_found");
  EXPECT_EQ(error_of(holder_.channel.nack(lost)), "message_not_found");
  EXPECT_EQ(error_of(holder_.channel.touch(lost)), "message_not_found");
  EXPECT_EQ(error_of(holder_.channel.nack(lost, {.dead_letter = true})), "message_not_found");
  EXPECT_EQ(must(other_.channel.stats()).dead, 0);
  must(other_.channel.ack(taken));
  EXPECT_EQ(other_.depth(), 0);
}

TEST_F(LeaseTest, LateAckCountsUntilTheMessageIsHandedOutAgain) {
  must(other_.topic.pub("a"));
  const auto message = holder_.receive();
  clock_->advance(kLease * 2);
  must(holder_.channel.ack(message));
  EXPECT_EQ(other_.depth(), 0);
  EXPECT_TRUE(other_.nothing());
}

TEST_F(LeaseTest, TouchMovesTheEndBothWays) {
  must(other_.topic.pub("a"));
  const auto message = holder_.receive();
  must(holder_.channel.touch(message, kLease * 2));
  clock_->advance(kLease * 2 - Duration(1));
  EXPECT_TRUE(other_.nothing());
  must(holder_.channel.touch(message, Duration(100)));
  Collector<std::string> got(kPatience);
  std::jthread waiting([&] { got.add(other_.receive_text()); });
  clock_->advance(Duration(100));
  ASSERT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items().front(), "a");
}

TEST_F(LeaseTest, OfAVanishedClientNeverDeadLettersBeforeTheNextDelivery) {
  ChannelConfig once = settings();
  once.max_retries = 0;
  must(holder_.queue.close());
  must(other_.queue.close());
  holder_ = connect(once);
  other_ = connect(once);
  must(other_.topic.pub("a"));
  static_cast<void>(holder_.receive());
  holder_.link->set_connected(false);  // for good
  clock_->advance(kLease);
  const auto message = other_.receive();  // D6: a crash alone does not give a message up
  EXPECT_EQ(message.attempts(), 2);
  must(other_.channel.nack(message));
  EXPECT_EQ(must(other_.channel.stats()).dead, 1) << "now it has failed once too often";
}

TEST_F(LeaseTest, ThatRanOutHereCountsAgainstMaxRetries) {
  ChannelConfig once = settings();
  once.max_retries = 0;
  must(holder_.queue.close());
  must(other_.queue.close());
  holder_ = connect(once);
  must(holder_.topic.pub("a"));
  static_cast<void>(holder_.receive());
  clock_->advance(kLease);
  EXPECT_TRUE(holder_.nothing());
  EXPECT_EQ(must(holder_.channel.stats()).dead, 1) << "this consumer lived and did not settle (D7, D9)";
}

}  // namespace
}  // namespace lrpc::queue::wire
