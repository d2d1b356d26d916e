// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"

/// Closing gives back over the line what is not settled, and does not hang when the line is dead (D20, D21).
namespace lrpc::queue::wire {
namespace {

class CloseTest : public WireTest {
 protected:
  Gate gate_{kPatience};
  Collector<std::string> handled_{kPatience};
  Client leaving_ = connect();
  Client staying_ = connect();
  const OpenAtExit open_{gate_};
};

TEST_F(CloseTest, GivesBackAtOnceWhatNextHandedOut) {
  must(staying_.topic.pub_batch({"1", "2"}));
  static_cast<void>(leaving_.receive());
  must(leaving_.channel.close());
  const auto first = staying_.receive();
  EXPECT_EQ(first.body(), "1") << "in its old place";
  EXPECT_EQ(first.attempts(), 2) << "its attempt counted";
  EXPECT_EQ(staying_.receive().body(), "2");
}

// A next that began during a pause waits after the resume as any other: it does not ask again and again.
TEST_F(CloseTest, NextSleepsAfterAPause) {
  must(staying_.channel.pause());
  std::stop_source stop;
  const std::jthread waiting([&] { EXPECT_EQ(error_of(staying_.channel.next(stop.get_token())), "cancelled"); });
  std::this_thread::sleep_for(kMoment);
  must(staying_.channel.resume());
  std::this_thread::sleep_for(5 * kMoment);
  EXPECT_LE(staying_.link->calls(Op::receive), 20U);
  stop.request_stop();
}

TEST_F(CloseTest, GivesBackWhatNoHandlerSawWithoutCountingIt) {
  ChannelConfig one = settings();
  one.max_in_flight = 1;
  must(leaving_.queue.close());
  leaving_ = connect(one);
  const auto subscription = must(leaving_.channel.subscribe([this](const Message<std::string>& m) {
    handled_.add(m.body());
    gate_.pass();
  }));
  std::vector<std::string> bodies;
  for (int i = 0; i < 20; ++i) bodies.push_back(std::to_string(i));
  must(staying_.topic.pub_batch(bodies));
  ASSERT_TRUE(gate_.wait_for_entered(1));
  std::this_thread::sleep_for(kMoment);  // for the prefetch
  std::string_view closed = "not yet";
  std::jthread closing([&] { closed = error_of(leaving_.queue.close()); });
  std::vector<std::string> taken;
  for (std::size_t i = 1; i < bodies.size(); ++i) {
    const auto message = staying_.receive();
    EXPECT_EQ(message.attempts(), 1) << message.body();
    taken.push_back(message.body());
    must(staying_.channel.ack(message));
  }
  gate_.open();
  closing.join();
  EXPECT_EQ(closed, "");
  EXPECT_EQ(staying_.depth(), 0) << "the ack of the running handler counted";
  EXPECT_EQ(handled_.size(), 1U);
  taken.push_back(handled_.items().front());
  EXPECT_THAT(taken, testing::UnorderedElementsAreArray(bodies));
}

TEST_F(CloseTest, TriesAgainWhereItsRequestWasLost) {
  must(staying_.topic.pub("a"));
  static_cast<void>(leaving_.receive());
  leaving_.link->inject(Op::close_channel, Fault::refuse, 1);
  must(leaving_.channel.close());
  EXPECT_EQ(staying_.receive().attempts(), 2);
}

TEST_F(CloseTest, EndsOnADeadLineAndTheLeasesGiveBackTheRest) {
  must(staying_.topic.pub("a"));
  static_cast<void>(leaving_.receive());
  static_cast<void>(must(leaving_.channel.subscribe([](const Message<std::string>&) {})));
  leaving_.link->set_connected(false);
  const Stopwatch watch;
  EXPECT_EQ(error_of(leaving_.queue.close()), "unavailable") << "what it holds could not be given back";
  EXPECT_LT(watch.elapsed(), kPatience);
  EXPECT_TRUE(staying_.nothing());
  clock_->advance(kLease);
  EXPECT_EQ(staying_.receive().body(), "a");
}

TEST_F(CloseTest, EndsABlockedNextOnADeadLine) {
  leaving_.link->set_connected(false);
  Collector<std::string> ends(kPatience);
  std::jthread waiting([&] { ends.add(std::string(error_of(leaving_.channel.next()))); });
  std::this_thread::sleep_for(kMoment);
  static_cast<void>(leaving_.channel.close());
  ASSERT_TRUE(ends.wait_for(1));
  EXPECT_EQ(ends.items().front(), "channel_closed");
}

TEST_F(CloseTest, StopTokenEndsABlockedNextOnADeadLine) {
  leaving_.link->set_connected(false);
  Collector<std::string> ends(kPatience);
  std::jthread waiting(
      [&](const std::stop_token& stop) { ends.add(std::string(error_of(leaving_.channel.next(stop)))); });
  std::this_thread::sleep_for(kMoment);
  waiting.request_stop();
  ASSERT_TRUE(ends.wait_for(1));
  EXPECT_EQ(ends.items().front(), "cancelled");
}

TEST_F(CloseTest, OpensAgainWithANewConfiguration) {
  must(leaving_.topic.pub("a"));
  must(leaving_.channel.close());
  must(leaving_.channel.close());
  EXPECT_EQ(error_of(leaving_.channel.depth()), "channel_closed");
  ChannelConfig once = settings();
  once.max_retries = 0;
  leaving_.channel = must(leaving_.topic.get_or_add_channel("work", once));
  must(leaving_.channel.nack(leaving_.receive()));
  EXPECT_EQ(must(leaving_.channel.stats()).dead, 1) << "the new max_retries holds";
}

TEST_F(CloseTest, OfTheQueueReleasesAllChannels) {
  auto second = must(leaving_.topic.get_or_add_channel("second", settings()));
  must(staying_.topic.pub("a"));
  static_cast<void>(leaving_.receive());
  static_cast<void>(must(second.try_next(kPatience)));
  must(leaving_.queue.close());
  EXPECT_EQ(error_of(leaving_.topic.pub("b")), "topic_closed");
  EXPECT_EQ(staying_.receive().attempts(), 2);
  auto taken_over = must(staying_.topic.get_channel("second"));
  EXPECT_EQ(must(taken_over.try_next(kPatience)).attempts(), 2);
}

}  // namespace
}  // namespace lrpc::queue::wire
