// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"

/// A publish says truly what became of it (D3, D22), and the engine never repeats one by itself.
namespace lrpc::queue::wire {
namespace {

class PublishTest : public WireTest {
 protected:
  Collector<std::string> outcomes_{kPatience};
  Client client_ = connect();
};

TEST_F(PublishTest, RefusedOneIsUnavailableAndNotStored) {
  client_.link->inject(Op::publish, Fault::refuse, 1);
  const auto result = client_.topic.pub("a");
  EXPECT_EQ(error_of(result), "unavailable");
  EXPECT_TRUE(result.error().retryable);
  EXPECT_EQ(result.error().source, "wire");
  EXPECT_EQ(client_.depth(), 0);
  EXPECT_EQ(client_.link->calls(Op::publish), 1U);
}

TEST_F(PublishTest, LostReplyIsOutcomeUnknownAndStoredOnce) {
  client_.link->inject(Op::publish, Fault::lose_reply, 1);
  const auto result = client_.topic.pub("a");
  EXPECT_EQ(error_of(result), "outcome_unknown");
  EXPECT_FALSE(result.error().retryable) << "the same call again could store it twice";
  EXPECT_EQ(client_.depth(), 1);
  EXPECT_EQ(client_.link->calls(Op::publish), 1U);
}

TEST_F(PublishTest, BatchIsAllOrNoneUnderFaults) {
  client_.link->inject(Op::publish, Fault::refuse, 1);
  EXPECT_EQ(error_of(client_.topic.pub_batch({"a", "b", "c"})), "unavailable");
  EXPECT_EQ(client_.depth(), 0);
  client_.link->inject(Op::publish, Fault::lose_reply, 1);
  EXPECT_EQ(error_of(client_.topic.pub_batch({"a", "b", "c"})), "outcome_unknown");
  EXPECT_EQ(client_.depth(), 3);
}

TEST_F(PublishTest, AsyncCallbackTellsTheFaultOnce) {
  const auto publish = [&] {
    must(client_.topic.pub_async("a", {},
                                 [&](const Result<std::string>& r) { outcomes_.add(std::string(error_of(r))); }));
    must(client_.topic.flush(kPatience));
  };
  client_.link->inject(Op::publish, Fault::refuse, 1);
  publish();
  client_.link->inject(Op::publish, Fault::lose_reply, 1);
  publish();
  publish();
  EXPECT_THAT(outcomes_.items(), testing::ElementsAre("unavailable", "outcome_unknown", ""));
  EXPECT_EQ(client_.depth(), 2);
}

TEST_F(PublishTest, FailsWhileTheServerIsDownAndWorksAfterwards) {
  server_->set_up(false);
  EXPECT_EQ(error_of(client_.topic.pub("a")), "unavailable");
  EXPECT_EQ(error_of(client_.queue.ping()), "unavailable");
  EXPECT_EQ(error_of(client_.channel.depth()), "unavailable");
  server_->set_up(true);
  must(client_.queue.ping());
  must(client_.topic.pub("b"));
  EXPECT_EQ(client_.receive().body(), "b");
}

TEST_F(PublishTest, EndsWithinItsTimeoutOnASlowLine) {
  client_.link->set_rates({.delay = 1, .max_delay = std::chrono::seconds(60)});
  const Stopwatch watch;
  const auto result = client_.topic.pub("a", {.timeout = Duration(20)});
  EXPECT_EQ(error_of(result), "unavailable");
  EXPECT_LT(watch.elapsed(), kPatience);
  client_.link->set_rates({});
  EXPECT_EQ(client_.depth(), 0);
}

TEST_F(PublishTest, IsLostOnTheWayWhenTheLineIsCut) {
  client_.link->set_rates({.delay = 1, .max_delay = std::chrono::seconds(60)});
  const std::uint64_t before = client_.link->calls(Op::publish);
  std::jthread cut([&] {
    EXPECT_TRUE(eventually([&] { return client_.link->calls(Op::publish) > before; }));
    client_.link->set_connected(false);
  });
  const Stopwatch watch;
  EXPECT_EQ(error_of(client_.topic.pub("a")), "unavailable");
  EXPECT_LT(watch.elapsed(), kPatience);
  cut.join();
  client_.link->set_rates({});
  client_.link->set_connected(true);
  EXPECT_EQ(client_.depth(), 0);
}

// max_pending_publishes bounds what is not published yet, on its way or not.
TEST_F(PublishTest, AsyncOnesOnTheirWayArePending) {
  constexpr int kLimit = 10;
  auto topic = must(client_.queue.topic<std::string>("bounded", {.max_pending_publishes = kLimit}));
  client_.link->set_rates({.delay = 1, .max_delay = std::chrono::seconds(60)});
  for (int i = 0; i < kLimit; ++i) {
    must(topic.pub_async("a", {.timeout = kPatience},
                         [&](const Result<std::string>& r) { outcomes_.add(std::string(error_of(r))); }));
    EXPECT_TRUE(eventually([&] { return client_.link->calls(Op::publish) > 0; }));
  }
  EXPECT_EQ(error_of(topic.pub_async("a", {.timeout = kMoment}, [](const auto&) { ADD_FAILURE(); })), "queue_full");
  client_.link->set_rates({});
  client_.link->set_connected(false);
  must(topic.flush(kPatience));
  EXPECT_EQ(outcomes_.size(), std::size_t{kLimit});
  client_.link->set_connected(true);
}

TEST_F(PublishTest, DelayedOneWaitsOnTheServerForItsTime) {
  must(client_.topic.pub("later", {.delay = Duration(5000)}));
  must(client_.topic.pub("now"));
  EXPECT_EQ(client_.receive().body(), "now");
  clock_->advance(Duration(4999));
  EXPECT_TRUE(client_.nothing());
  Collector<std::string> got(kPatience);
  std::jthread waiting([&] { got.add(client_.receive_text()); });
  clock_->advance(Duration(1));
  ASSERT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items().front(), "later");
}

}  // namespace
}  // namespace lrpc::queue::wire
