// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Two queues as two processes have them: deleting (D20), closing (D20), dying (D9, D10), and due times that one sets
// and the other keeps (D17).
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <semaphore>

#include "queue_fixture.hpp"
#include "server_clock.hpp"

extern char** environ;

namespace lrpc::queue::redis {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kChildAddress = "LRPC_TEST_REDIS_OF_CHILD";

/// Another process with a consumer of the channel, which acks some messages, takes `held` more and settles none of
/// those.
class OtherProcess {
 public:
  OtherProcess(const RedisServer& server, int held, Duration lease, int acked = 0) {
    std::vector<std::string> words{"/proc/self/exe", "--gtest_filter=Child.DISABLED_of_a_test",
                                   "--gtest_also_run_disabled_tests", "--gtest_brief=1"};
    std::vector<std::string> settings{
        kChildAddress + std::string("=") + server.address(), "LRPC_TEST_HELD=" + std::to_string(held),
        "LRPC_TEST_ACKED=" + std::to_string(acked), "LRPC_TEST_LEASE=" + std::to_string(lease.count())};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::vector<char*> environment;
    for (char** one = environ; *one != nullptr; ++one) environment.push_back(*one);
    for (std::string& setting : settings) environment.push_back(setting.data());
    environment.push_back(nullptr);
    if (posix_spawn(&pid_, words.front().c_str(), nullptr, nullptr, arguments.data(), environment.data()) != 0) {
      throw std::runtime_error("cannot start " + words.front());
    }
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() { kill(); }

  void kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

// Not a test but what OtherProcess runs; disabled, so that it does not run by itself.
TEST(Child, DISABLED_of_a_test) {
  const char* const address = std::getenv(kChildAddress);
  if (address == nullptr) return;  // not started by a test
  Config config{.storage_type = StorageType::redis};
  config.redis_config.addr = address;
  config.ack_timeout = Duration(std::atoll(std::getenv("LRPC_TEST_LEASE")));
  Party party(config);
  for (int left = std::atoi(std::getenv("LRPC_TEST_ACKED")); left > 0; --left) {
    must(party.channel.ack(must(party.channel.next())));
  }
  for (int left = std::atoi(std::getenv("LRPC_TEST_HELD")); left > 0; --left) {
    static_cast<void>(party.channel.next());
  }
  // Lives until it is killed, or its test.
  for (const pid_t parent = ::getppid(); ::getppid() == parent;) static_cast<void>(party.channel.pause()), ::sleep(1);
}

class TwoQueues : public testing::Test {
 protected:
  RedisServer server_;
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
  [[nodiscard]] std::int64_t pending() {
    const Reply summary = must(ask(*observer_, {"XPENDING", kStream, kGroup}));
    return summary.size() == 4 ? summary[0].number().value_or(0) : 0;
  }
};

// -- deleting -------------------------------------------------------------------------------------------------------

TEST_F(TwoQueues, D20_a_channel_deleted_elsewhere_is_dead) {
  Party one(server_);
  Party other(server_);
  must(other.topic.pub("held"));
  const auto held = await_message(other.channel);
  std::atomic<bool> told{false};
  const std::jthread waiting([&] { told = error_of_call(other.channel.next()).code == ErrorCode::channel_not_found; });
  must(one.topic.delete_channel("billing"));
  EXPECT_TRUE(eventually([&] { return told.load(); }));
  const auto dead = [](Channel<std::string>& channel, const Message<std::string>& message) {
    EXPECT_EQ(error_of_call(channel.try_next(Duration(0))).code, ErrorCode::channel_not_found);
    EXPECT_EQ(error_of_call(channel.depth()).code, ErrorCode::channel_not_found);
    EXPECT_EQ(error_of_call(channel.ack(message)).code, ErrorCode::channel_not_found);
    EXPECT_EQ(error_of_call(channel.nack(message)).code, ErrorCode::channel_not_found);
  };
  dead(other.channel, held);
  dead(one.channel, held);
  EXPECT_EQ(error_of_call(other.topic.get_channel("billing")).code, ErrorCode::channel_not_found);

  // Made again by one, it is another for who had it open; only asking for it brings it back.
  auto fresh = must(one.topic.get_or_add_channel("billing"));
  must(one.topic.pub("new"));
  dead(other.channel, held);
  EXPECT_EQ(await_message(fresh).body(), "new");
  auto again = must(other.topic.get_or_add_channel("billing"));
  must(one.topic.pub("newer"));
  EXPECT_EQ(await_message(again).body(), "newer");
  dead(other.channel, held);
}

TEST_F(TwoQueues, D20_a_subscription_to_a_channel_deleted_elsewhere_ends) {
  Party one(server_);
  Party other(server_);
  Subscription subscription = must(other.channel.subscribe([](const Message<std::string>&) {}));
  must(one.topic.pub("x"));
  EXPECT_TRUE(eventually([&] { return must(one.channel.depth()) == 0; }));
  must(one.topic.delete_channel("billing"));
  std::stop_source patience;
  const std::jthread over([&](const std::stop_token& stop) {
    if (!eventually([&] { return stop.stop_requested(); })) patience.request_stop();
  });
  EXPECT_TRUE(subscription.wait(patience.get_token()).has_value());
}

TEST_F(TwoQueues, D20_deleted_and_made_again_unnoticed) {
  Party one(server_);
  Party other(server_);
  must(one.topic.delete_channel("billing"));
  auto fresh = must(one.topic.get_or_add_channel("billing"));
  EXPECT_TRUE(eventually([&] {
    const auto result = other.channel.try_next(Duration(0));
    return !result && result.error().code == ErrorCode::channel_not_found;
  }));
  must(one.topic.pub("new"));
  EXPECT_EQ(await_message(fresh).body(), "new");
}

TEST_F(TwoQueues, D20_deleting_leaves_nothing_behind) {
  Party one(server_);
  Party other(server_);
  must(one.topic.pub_batch({"dead", "ready"}));
  must(one.topic.pub("later", {.delay = hours(1)}));
  must(one.channel.nack(await_message(one.channel), {.dead_letter = true}));
  must(other.topic.delete_channel("billing"));
  const Reply keys = must(ask(*observer_, {"KEYS", "*"}));
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0].text(), kRegistry);
  EXPECT_EQ(error_of_call(one.topic.delete_channel("billing")).code, ErrorCode::channel_not_found);
  // A topic without channels collects a backlog again.
  must(one.topic.pub("backlog"));
  auto fresh = must(other.topic.get_or_add_channel("shipping"));
  EXPECT_EQ(await_message(fresh).body(), "backlog");
}

// -- closing --------------------------------------------------------------------------------------------------------

TEST_F(TwoQueues, D20_close_gives_back_what_no_handler_has_seen) {
  constexpr int kMessages = 200;
  const ChannelConfig settings{.max_in_flight = 4, .ack_timeout = hours(1)};
  Party one(server_, settings);
  Party other(server_, settings);
  std::vector<std::string> bodies;
  for (int i = 0; i < kMessages; ++i) bodies.push_back(std::to_string(i));
  must(one.topic.pub_batch(bodies));
  std::counting_semaphore<> go_on(0);
  std::atomic<int> started{0};
  static_cast<void>(must(one.channel.subscribe([&](const Message<std::string>&) {
    if (++started > 100) go_on.acquire();
  })));
  ASSERT_TRUE(eventually([&] { return started == 104; }));
  std::jthread closing([&] { EXPECT_TRUE(one.channel.close().has_value()); });
  for (int i = 104; i < kMessages; ++i) {
    const auto message = await_message(other.channel);
    EXPECT_EQ(message.attempts(), 1);
    EXPECT_TRUE(other.channel.ack(message).has_value());
  }
  go_on.release(kMessages);
  closing.join();
  EXPECT_EQ(must(other.channel.depth()), 0);
  EXPECT_EQ(consumers(*observer_).size(), 1U) << "who left is still listed";
}

TEST_F(TwoQueues, D20_close_gives_back_what_next_handed_out) {
  Party one(server_, {.ack_timeout = hours(1)});
  Party other(server_, {.ack_timeout = hours(1)});
  must(one.topic.pub("x"));
  const auto message = await_message(one.channel);
  std::atomic<int> attempts{0};
  const std::jthread waiting([&] { attempts = await_message(other.channel).attempts(); });
  must(one.channel.close());
  EXPECT_TRUE(eventually([&] { return attempts == 2; }));
  EXPECT_EQ(error_of_call(one.channel.ack(message)).code, ErrorCode::channel_closed);
  EXPECT_EQ(consumers(*observer_).size(), 1U);
}

TEST_F(TwoQueues, D20_the_end_of_a_queue_ends_its_connections) {
  const auto connected = [&] {
    const std::string list(must(ask(*observer_, {"CLIENT", "LIST"})).text());
    return std::ranges::count(list, '\n');
  };
  ASSERT_EQ(connected(), 1);
  {
    Party party(server_);
    const Subscription subscription = must(party.channel.subscribe([](const Message<std::string>&) {}));
    must(party.topic.pub("x"));
    EXPECT_TRUE(eventually([&] { return must(party.channel.depth()) == 0; }));
    EXPECT_GT(connected(), 2);
  }
  EXPECT_TRUE(eventually([&] { return connected() == 1; }));
}

// -- dying ----------------------------------------------------------------------------------------------------------

TEST_F(TwoQueues, D9_messages_of_a_killed_process_come_again) {
  Party party(server_, {.ack_timeout = seconds(1)});
  must(party.topic.pub_batch({"one", "two", "three"}));
  OtherProcess other(server_, 3, seconds(1));
  ASSERT_TRUE(eventually([&] { return pending() == 3; }));
  other.kill();
  std::vector<std::string> bodies;
  for (int i = 0; i < 3; ++i) {
    const auto message = await_message(party.channel);
    EXPECT_EQ(message.attempts(), 2);
    bodies.push_back(message.body());
    EXPECT_TRUE(party.channel.ack(message).has_value());
  }
  EXPECT_THAT(bodies, testing::UnorderedElementsAre("one", "two", "three"));
  EXPECT_EQ(must(party.channel.depth()), 0);
}

TEST_F(TwoQueues, D10_who_lost_its_lease_settles_nothing) {
  Party slow(server_, {.ack_timeout = seconds(1)});
  Party quick(server_, {.ack_timeout = seconds(1)});
  must(slow.topic.pub("x"));
  const auto lost = await_message(slow.channel);
  const auto message = await_message(quick.channel);
  EXPECT_EQ(message.id(), lost.id());
  EXPECT_EQ(message.attempts(), 2);
  must(quick.channel.touch(message, hours(1)));
  EXPECT_EQ(error_of_call(slow.channel.touch(lost)).code, ErrorCode::message_not_found);
  EXPECT_EQ(error_of_call(slow.channel.nack(lost)).code, ErrorCode::message_not_found);
  EXPECT_EQ(error_of_call(slow.channel.ack(lost)).code, ErrorCode::message_not_found);
  EXPECT_TRUE(quick.channel.ack(message).has_value());
}

TEST_F(TwoQueues, D9_a_late_ack_counts_until_then) {
  Party party(server_, {.ack_timeout = milliseconds(100)});
  must(party.topic.pub("x"));
  const auto message = await_message(party.channel);
  std::this_thread::sleep_for(milliseconds(150));
  EXPECT_TRUE(party.channel.ack(message).has_value());
}

TEST_F(TwoQueues, D9_a_longer_touch_is_kept_alive) {
  Party holder(server_, {.ack_timeout = seconds(1)});
  Party waiter(server_, {.ack_timeout = seconds(1)});
  must(holder.topic.pub("x"));
  const auto message = await_message(holder.channel);
  must(holder.channel.touch(message, hours(1)));
  EXPECT_EQ(error_of_call(waiter.channel.try_next(seconds(3))).code, ErrorCode::no_message);
  EXPECT_TRUE(holder.channel.ack(message).has_value());
}

/// A server whose clock stands still unless the test moves it.
class MovedClock : public testing::Test {
 protected:
  void move_to(Duration since_begin) { clock_.set(begin_ + since_begin.count()); }
  /// Lets a consumer do its upkeep twice, and returns what came to it meanwhile.
  [[nodiscard]] std::vector<Message<std::string>> after_upkeep(Channel<std::string>& channel) {
    std::vector<Message<std::string>> came;
    // Each ends with one.
    const std::int64_t before = commands_run(*observer_, "xtrim");
    EXPECT_TRUE(eventually([&] {
      if (auto message = channel.try_next(Duration(0))) came.push_back(std::move(*message));
      return commands_run(*observer_, "xtrim") >= before + 2;
    }));
    return came;
  }

  /// Makes a consumer known to the group: before Redis 7.2 it is once it got something.
  static void use(Party& party) {
    must(party.topic.pub("used"));
    must(party.channel.ack(await_message(party.channel)));
  }

  ServerClock clock_;
  const std::int64_t begin_ = system_clock()->now().wall_ms;
  RedisServer server_{ServerClock::options(), clock_.launcher()};
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
};

TEST_F(MovedClock, D9_recovery_waits_for_the_longest_lease_of_a_live_consumer) {
  move_to(Duration(0));
  Party slow(server_, {.ack_timeout = seconds(60)});
  Party heir(server_, {.ack_timeout = seconds(4)});
  use(slow);
  must(slow.topic.pub("x"));
  OtherProcess other(server_, 1, seconds(1));
  ASSERT_TRUE(eventually([&] { return must(heir.channel.stats()).in_flight == 1; }));
  other.kill();
  move_to(seconds(59));
  EXPECT_TRUE(after_upkeep(heir.channel).empty());
  use(slow);
  move_to(seconds(61));
  const auto came = after_upkeep(heir.channel);
  ASSERT_EQ(came.size(), 1U);
  EXPECT_EQ(came[0].attempts(), 2);
}

TEST_F(MovedClock, D9_the_lease_of_a_dead_consumer_does_not_count) {
  move_to(Duration(0));
  Party heir(server_, {.ack_timeout = seconds(4)});
  must(heir.topic.pub("x"));
  OtherProcess other(server_, 1, seconds(60));
  ASSERT_TRUE(eventually([&] { return must(heir.channel.stats()).in_flight == 1; }));
  other.kill();
  move_to(seconds(61));
  EXPECT_EQ(after_upkeep(heir.channel).size(), 1U);
}

TEST_F(MovedClock, D1_dead_consumers_go_when_they_hold_nothing) {
  move_to(Duration(0));
  Party keeper(server_, {.ack_timeout = hours(1)});  // so that nothing is taken from the dead
  Party heir(server_, {.ack_timeout = seconds(4)});
  use(keeper);
  use(heir);
  must(heir.topic.pub("x"));
  OtherProcess idle(server_, 0, seconds(1), 1);
  ASSERT_TRUE(eventually([&] { return consumers(*observer_).size() == 3 && must(heir.channel.depth()) == 0; }));
  idle.kill();
  must(heir.topic.pub("y"));
  OtherProcess holding(server_, 1, seconds(1));
  ASSERT_TRUE(eventually([&] { return consumers(*observer_).size() == 4; }));
  holding.kill();
  move_to(std::chrono::minutes(2));
  EXPECT_TRUE(after_upkeep(heir.channel).empty());
  const auto left = consumers(*observer_);
  EXPECT_EQ(left.size(), 3U);
  EXPECT_TRUE(std::ranges::any_of(left, [](const auto& consumer) { return consumer.second == 1; }));
}

// -- due times ------------------------------------------------------------------------------------------------------

// All in less time than a few rounds of upkeep would take: it is the publish that wakes.
TEST_F(TwoQueues, D17_D21_a_waiting_consumer_learns_of_due_times_set_elsewhere) {
  Party publisher(server_);
  Party consumer(server_);
  must(publisher.topic.pub("much later", {.delay = hours(1)}));
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 10; ++round) {
    std::atomic<bool> came{false};
    const std::jthread waiting([&] {
      const auto message = await_message(consumer.channel);
      came = message.body() == std::to_string(round) && consumer.channel.ack(message);
    });
    must(publisher.topic.pub(std::to_string(round), {.delay = milliseconds(50)}));
    EXPECT_TRUE(eventually([&] { return came.load(); }));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST_F(TwoQueues, D8_a_waiting_consumer_learns_of_retries_of_others) {
  Party one(server_);
  Party other(server_);
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 10; ++round) {
    must(one.topic.pub("x"));
    const auto message = await_message(one.channel);
    std::atomic<int> attempts{0};
    const std::jthread waiting([&] {
      const auto again = await_message(other.channel);
      attempts = again.attempts();
      must(other.channel.ack(again));
    });
    must(one.channel.nack(message, {.delay = milliseconds(50)}));
    EXPECT_TRUE(eventually([&] { return attempts == 2; }));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST_F(TwoQueues, D17_many_messages_due_at_one_instant) {
  constexpr int kMessages = 10'000;
  Party publisher(server_);
  Party consumer(server_);
  std::atomic<int> came{0};
  const Subscription subscription = must(consumer.channel.subscribe([&](const Message<std::string>&) { ++came; }));
  must(publisher.topic.pub_batch(std::vector<std::string>(kMessages, "x"),
                                 {.deliver_at = std::chrono::system_clock::now() + milliseconds(500)}));
  EXPECT_TRUE(eventually([&] { return came >= kMessages; }));
  EXPECT_TRUE(eventually([&] { return must(publisher.channel.depth()) == 0; }));
  EXPECT_EQ(came, kMessages);
}

TEST(DueTimes, D17_survive_the_server) {
  RedisServer server(kDurable);
  Party publisher(server);
  Party consumer(server);
  must(publisher.topic.pub("published", {.delay = milliseconds(400)}));
  must(publisher.topic.pub("retried"));
  must(consumer.channel.nack(await_message(consumer.channel), {.delay = milliseconds(500)}));
  server.signal(SIGKILL);
  server.await_end();
  server.start();
  EXPECT_EQ(await_message(consumer.channel).body(), "published");
  const auto retried = await_message(consumer.channel);
  EXPECT_EQ(retried.body(), "retried");
  EXPECT_EQ(retried.attempts(), 2);
}

}  // namespace
}  // namespace lrpc::queue::redis
