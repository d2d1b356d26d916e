// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"

/// Two queues on one server stand for two processes: topics, channels, backlog and deletion are the server's (D4, D20).
namespace lrpc::queue::wire {
namespace {

using testing::ElementsAre;

class TwoQueuesTest : public WireTest {
 protected:
  /// A queue that has opened the topic and no channel.
  struct Publisher {
    Queue queue;
    Topic<std::string> topic;
  };
  Publisher publisher() {
    Queue queue = must(Queue::open(Config{.backend_factory = wire_backend(make_link(server_, 99)), .clock = clock_}));
    auto topic = must(queue.topic<std::string>("events"));
    return {.queue = std::move(queue), .topic = std::move(topic)};
  }
};

TEST_F(TwoQueuesTest, EachChannelGetsEveryMessage) {
  Client a = connect(settings(), "a");
  Client b = connect(settings(), "b");
  must(a.topic.pub("from a"));
  must(b.topic.pub("from b"));
  for (Client* const client : {&a, &b}) {
    EXPECT_EQ(client->receive().body(), "from a");
    EXPECT_EQ(client->receive().body(), "from b");
    EXPECT_TRUE(client->nothing());
  }
  EXPECT_THAT(must(a.topic.channel_list()), ElementsAre("a", "b"));
  EXPECT_THAT(must(a.queue.topics()), ElementsAre("events"));
}

TEST_F(TwoQueuesTest, ConsumersOfOneChannelCompete) {
  Collector<std::string> handled(kPatience);
  Client a = connect();
  Client b = connect();
  for (Client* const client : {&a, &b}) {
    static_cast<void>(must(client->channel.subscribe([&](const Message<std::string>& m) { handled.add(m.body()); })));
  }
  std::vector<std::string> bodies;
  for (int i = 0; i < 200; ++i) bodies.push_back(std::to_string(i));
  must(a.topic.pub_batch(bodies));
  ASSERT_TRUE(handled.wait_for(bodies.size()));
  EXPECT_TRUE(eventually([&] { return b.depth() == 0; }));
  EXPECT_THAT(handled.items(), testing::UnorderedElementsAreArray(bodies));
}

TEST_F(TwoQueuesTest, BlockedConsumerIsWokenByAnotherQueuesPublish) {
  Client consumer = connect();
  Publisher other = publisher();
  Collector<std::string> got(kPatience);
  std::jthread waiting([&] { got.add(consumer.receive_text()); });
  std::this_thread::sleep_for(kMoment);
  must(other.topic.pub("wake up"));
  ASSERT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items().front(), "wake up");
}

TEST_F(TwoQueuesTest, FirstChannelOfAnyQueueGetsTheBacklog) {
  Publisher other = publisher();
  must(other.topic.pub("1"));
  must(other.topic.pub("3", {.delay = Duration(1000)}));
  must(other.topic.pub("2"));
  must(other.queue.close());
  Client first = connect(settings(), "first");
  Client second = connect(settings(), "second");
  EXPECT_EQ(first.depth(), 3);
  EXPECT_EQ(second.depth(), 0);
  EXPECT_EQ(first.receive().body(), "1");
  EXPECT_EQ(first.receive().body(), "2");
  EXPECT_TRUE(first.nothing());
  clock_->advance(Duration(1000));
  EXPECT_EQ(first.receive().body(), "3");
}

TEST_F(TwoQueuesTest, GetChannelFindsWhatAnotherQueueMade) {
  Publisher other = publisher();
  EXPECT_EQ(error_of(other.topic.get_channel("work")), "channel_not_found");
  Client maker = connect();
  auto found = must(other.topic.get_channel("work"));
  must(maker.topic.pub("a"));
  EXPECT_EQ(must(found.try_next(kPatience)).body(), "a");
}

TEST_F(TwoQueuesTest, SettlingShowsInTheOtherQueuesDepth) {
  Client a = connect();
  Client b = connect();
  must(a.topic.pub_batch({"1", "2"}));
  const auto message = a.receive();
  EXPECT_EQ(b.depth(), 2);
  EXPECT_EQ(must(b.channel.stats()).in_flight, 1);
  must(a.channel.ack(message));
  EXPECT_EQ(b.depth(), 1);
}

TEST_F(TwoQueuesTest, DeletionReachesTheOtherQueueForGood) {
  Client a = connect();
  Client b = connect();
  Collector<std::string> ends(kPatience);
  std::jthread waiting([&] { ends.add(std::string(error_of(b.channel.next()))); });
  auto subscription = must(b.channel.subscribe([](const Message<std::string>&) {}));
  std::this_thread::sleep_for(kMoment);
  must(a.topic.delete_channel("work"));
  ASSERT_TRUE(ends.wait_for(1)) << "a blocked next ends";
  EXPECT_THAT(ends.items(), ElementsAre("channel_not_found"));
  std::jthread watchdog([&] { static_cast<void>(subscription.wait()), ends.add("subscription"); });
  EXPECT_TRUE(ends.wait_for(2)) << "a subscription ends";

  EXPECT_EQ(error_of(b.channel.depth()), "channel_not_found");
  EXPECT_EQ(error_of(b.channel.try_next(Duration(0))), "channel_not_found");
  EXPECT_EQ(error_of(b.topic.delete_channel("work")), "channel_not_found");
  EXPECT_EQ(error_of(b.topic.get_channel("work")), "channel_not_found");
  EXPECT_THAT(must(b.topic.channel_list()), testing::IsEmpty());

  // A channel of the same name is another channel.
  auto again = must(a.topic.get_or_add_channel("work", settings()));
  must(a.topic.pub("new"));
  EXPECT_EQ(error_of(b.channel.try_next(Duration(0))), "channel_not_found") << "the old handle stays dead";
  EXPECT_EQ(must(again.try_next(kPatience)).body(), "new");
}

TEST_F(TwoQueuesTest, DeletionOfTheLastChannelStartsABacklog) {
  Client a = connect();
  Client b = connect();
  must(a.topic.delete_channel("work"));
  must(b.topic.pub("kept"));
  auto again = must(b.topic.get_or_add_channel("work", settings()));
  EXPECT_EQ(must(again.try_next(kPatience)).body(), "kept");
}

TEST_F(TwoQueuesTest, FullChannelRefusesEveryQueuesPublish) {
  const TopicConfig small{.max_msg_size = 2};
  Client consumer = connect();
  Queue queue = must(Queue::open(Config{.backend_factory = wire_backend(make_link(server_, 98)), .clock = clock_}));
  auto topic = must(queue.topic<std::string>("events", small));
  must(topic.pub_batch({"1", "2"}));
  const auto held = consumer.receive();
  const auto refused = topic.pub("3");
  EXPECT_EQ(error_of(refused), "queue_full") << "what another queue holds in flight counts (D16)";
  EXPECT_TRUE(refused.error().retryable);
  must(consumer.channel.ack(held));
  must(topic.pub("3"));
}

}  // namespace
}  // namespace lrpc::queue::wire
