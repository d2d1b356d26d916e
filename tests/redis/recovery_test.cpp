// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What consumers find again: keys that an operator deleted (D22), deliveries of processes that died (D9), room on a
// full server, and keys that hold something else.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "queue_fixture.hpp"
#include "server_clock.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

class Recovery : public testing::Test {
 protected:
  RedisServer server_;
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
};

/// What an operator does to the keys.
struct Damage {
  const char* name;
  std::vector<std::string_view> command;
};

class DeletedKeys : public testing::TestWithParam<Damage> {
 protected:
  RedisServer server_;
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
  void damage() {
    Pipeline pipeline;
    pipeline.begin(GetParam().command.size());
    for (const auto word : GetParam().command) pipeline.arg(word);
    must(observer_->command("damage", pipeline, in(kPatience), Repeat::no));
  }
};

TEST_P(DeletedKeys, D22_are_rebuilt_by_running_consumers) {
  const ChannelConfig settings{.ack_timeout = seconds(4)};  // a quarter of it passes before a lost registry is seen
  Party consumer(server_, settings);
  Party publisher(server_, settings);
  Ledger ledger;
  const Subscription subscription =
      must(consumer.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
  for (int round = 0; round < 2; ++round) {
    const std::string before = "before" + std::to_string(round);
    must(publisher.topic.pub(before));
    ASSERT_TRUE(eventually([&] { return ledger.times(before) == 1 && must(publisher.channel.depth()) == 0; }));
    damage();
    // Into a backlog, should it come before the rebuilding; read from 0 all the same.
    const std::string after = "after" + std::to_string(round);
    must(publisher.topic.pub(after));
    EXPECT_TRUE(eventually([&] { return ledger.times(after) > 0; }));
  }
  EXPECT_TRUE(eventually([&] { return publisher.channel.depth().value_or(-1) == 0; }));
  EXPECT_THAT(must(publisher.topic.channel_list()), testing::ElementsAre("billing"));
}

TEST_P(DeletedKeys, D21_D22_do_not_make_consumers_spin) {
  Party consumer(server_);
  Ledger ledger;
  const Subscription subscription =
      must(consumer.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
  damage();
  must(ask(*observer_, {"CONFIG", "RESETSTAT"}));
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + seconds(1);
  std::this_thread::sleep_until(end);
  EXPECT_LT(commands_run(*observer_), 150);
}

INSTANTIATE_TEST_SUITE_P(, DeletedKeys,
                         testing::Values(Damage{"flushall", {"FLUSHALL"}}, Damage{"stream", {"DEL", kStream}},
                                         Damage{"registry", {"DEL", kRegistry}},
                                         Damage{"group", {"XGROUP", "DESTROY", kStream, kGroup}}),
                         [](const testing::TestParamInfo<Damage>& damage) { return damage.param.name; });

TEST_F(Recovery, D22_a_lost_group_is_read_from_0) {
  Party party(server_);
  must(party.topic.pub("held"));
  const auto held = await_message(party.channel);
  must(ask(*observer_, {"XGROUP", "DESTROY", kStream, kGroup}));
  const auto again = await_message(party.channel);
  EXPECT_EQ(again.body(), "held");
  EXPECT_EQ(error_of_call(party.channel.ack(held)).code, ErrorCode::message_not_found);
  EXPECT_TRUE(party.channel.ack(again).has_value());
}

TEST_F(Recovery, D22_a_blocked_next_survives_flushall) {
  Party consumer(server_);
  Party publisher(server_);
  std::atomic<bool> came{false};
  const std::jthread waiting([&] {
    const auto message = consumer.channel.next();
    came = message && message->body() == "new";
  });
  must(ask(*observer_, {"FLUSHALL"}));
  must(publisher.topic.pub("new"));
  EXPECT_TRUE(eventually([&] { return came.load(); }));
}

// Delayed messages of before and after meet again.
TEST_F(Recovery, D22_a_lost_registry_loses_no_delayed_message) {
  Party party(server_, {.ack_timeout = seconds(4)});
  must(party.topic.pub("before", {.delay = milliseconds(400)}));
  must(ask(*observer_, {"DEL", kRegistry}));
  must(party.topic.pub("after", {.delay = milliseconds(500)}));
  EXPECT_EQ(await_message(party.channel).body(), "before");
  EXPECT_EQ(await_message(party.channel).body(), "after");
}

TEST_F(Recovery, D4_D17_a_backlog_of_delayed_messages_alone) {
  Queue queue = must(Queue::open(queue_config(server_)));
  auto topic = must(queue.topic<std::string>("orders"));
  must(topic.pub("early", {.delay = milliseconds(100)}));
  auto channel = must(topic.get_or_add_channel("billing"));
  EXPECT_EQ(await_message(channel).body(), "early");
}

TEST_F(Recovery, D22_calls_on_deleted_keys_work) {
  Party party(server_);
  must(party.topic.pub("x"));
  const auto held = await_message(party.channel);
  must(ask(*observer_, {"FLUSHALL"}));
  EXPECT_EQ(must(party.channel.depth()), 0);
  EXPECT_EQ(error_of_call(party.channel.ack(held)).code, ErrorCode::message_not_found);
  must(ask(*observer_, {"FLUSHALL"}));
  EXPECT_EQ(must(party.channel.drop_all()), 0);
  must(ask(*observer_, {"FLUSHALL"}));
  EXPECT_TRUE(party.channel.close().has_value());
}

// -- a full server --------------------------------------------------------------------------------------------------

class FullServer : public Recovery {
 protected:
  void fill(Topic<std::string>& topic, std::vector<std::string>& accepted) {
    must(ask(*observer_, {"CONFIG", "SET", "maxmemory-policy", "noeviction"}));
    must(ask(*observer_, {"CONFIG", "SET", "maxmemory", "8mb"}));
    for (int number = 0;; ++number) {
      const std::string body = std::to_string(number) + std::string(50'000, 'x');
      if (const auto result = topic.pub(body)) {
        accepted.push_back(body);
        ASSERT_LT(number, 10'000);
      } else {
        refused_ = result.error();
        return;
      }
    }
  }
  Error refused_;
};

TEST_F(FullServer, D1_consumers_drain_it) {
  Party consumer(server_);
  Party publisher(server_);
  std::vector<std::string> accepted;
  fill(publisher.topic, accepted);
  EXPECT_EQ(refused_.code, ErrorCode::queue_full);
  EXPECT_TRUE(refused_.retryable);
  EXPECT_THAT(refused_.message, HasSubstr("maxmemory"));
  Ledger ledger;
  const Subscription subscription =
      must(consumer.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
  EXPECT_TRUE(eventually([&] { return ledger.has(accepted) && must(publisher.channel.depth()) == 0; }));
  EXPECT_TRUE(eventually([&] { return publisher.topic.pub("again").has_value(); }));
  EXPECT_TRUE(eventually([&] { return ledger.times("again") == 1; }));
}

// Due messages come into line, and retries go back: what is held already takes no room from others (D16).
TEST_F(FullServer, D16_due_and_retried_messages_are_not_refused) {
  Party consumer(server_);
  Party publisher(server_);
  must(publisher.topic.pub("due", {.delay = milliseconds(300)}));
  std::vector<std::string> accepted;
  fill(publisher.topic, accepted);
  accepted.emplace_back("due");
  Ledger ledger;
  const Subscription subscription = must(consumer.channel.subscribe([&](const Message<std::string>& m) -> ProcessRsp {
    if (m.attempts() == 1) return {.retry = true};
    ledger.saw(m.body());
    return {};
  }));
  EXPECT_TRUE(eventually([&] { return ledger.has(accepted); }));
  EXPECT_TRUE(eventually([&] { return publisher.channel.depth().value_or(-1) == 0; }));
}

// Who starts in order to make room can.
TEST_F(FullServer, D16_a_new_consumer_drains_it) {
  std::vector<std::string> accepted;
  {
    Party publisher(server_);
    fill(publisher.topic, accepted);
  }
  must(ask(*observer_, {"CONFIG", "SET", "maxmemory", "1mb"}));
  Party consumer(server_);
  Ledger ledger;
  const Subscription subscription =
      must(consumer.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
  EXPECT_TRUE(eventually([&] { return ledger.has(accepted) && must(consumer.channel.depth()) == 0; }));
}

TEST_F(FullServer, D20_a_channel_can_be_deleted) {
  Party party(server_);
  std::vector<std::string> accepted;
  fill(party.topic, accepted);
  EXPECT_TRUE(party.topic.delete_channel("billing").has_value());
  EXPECT_TRUE(eventually([&] { return party.topic.pub("again").has_value(); }));
}

TEST_F(FullServer, D18_dead_letters_are_kept) {
  Party consumer(server_);
  Party publisher(server_);
  std::vector<std::string> accepted;
  fill(publisher.topic, accepted);
  const auto message = await_message(consumer.channel);
  EXPECT_TRUE(consumer.channel.nack(message, {.reason = "no", .dead_letter = true}).has_value());
  EXPECT_EQ(must(consumer.channel.stats()).dead, 1);
  EXPECT_EQ(must(consumer.channel.requeue_dead()), 1);
}

// -- keys that hold something else ----------------------------------------------------------------------------------

TEST_F(Recovery, WrongTypeOfTheStreamIsAClearError) {
  Party party(server_);
  must(ask(*observer_, {"DEL", kStream}));
  must(ask(*observer_, {"SET", kStream, "mine"}));
  for (const Error& error :
       {error_of_call(party.topic.pub("x")), error_of_call(party.channel.try_next(milliseconds(50))),
        error_of_call(party.channel.depth())}) {
    EXPECT_EQ(error.code, ErrorCode::backend) << error.message;
    EXPECT_THAT(error.message, HasSubstr("key_prefix"));
  }
  must(ask(*observer_, {"DEL", kStream}));
  must(party.topic.pub("y"));
  EXPECT_EQ(await_message(party.channel).body(), "y");
}

TEST_F(Recovery, WrongTypeOfTheRegistryIsAClearError) {
  Party party(server_);
  must(party.topic.pub("kept"));
  must(ask(*observer_, {"RENAME", kRegistry, "aside"}));
  must(ask(*observer_, {"SET", kRegistry, "mine"}));
  for (const Error& error :
       {error_of_call(party.topic.pub("x")), error_of_call(party.channel.try_next(milliseconds(50))),
        error_of_call(party.topic.get_or_add_channel("other")), error_of_call(party.topic.delete_channel("billing"))}) {
    EXPECT_EQ(error.code, ErrorCode::backend) << error.message;
    EXPECT_THAT(error.message, HasSubstr("key_prefix"));
  }
  must(ask(*observer_, {"RENAME", "aside", kRegistry}));
  EXPECT_EQ(await_message(party.channel).body(), "kept");
}

// A subscription cannot put a retry away; when it can again the message comes again.
TEST_F(Recovery, D1_WrongTypeOfTheDelayedSetLosesNothing) {
  Party party(server_, {.ack_timeout = seconds(1)});
  must(ask(*observer_, {"SET", kDelayed, "mine"}));
  const Error error = error_of_call(party.topic.pub("x"));
  EXPECT_EQ(error.code, ErrorCode::backend) << error.message;
  EXPECT_THAT(error.message, HasSubstr("key_prefix"));
  must(ask(*observer_, {"DEL", kDelayed}));
  Ledger ledger;
  std::atomic<bool> broken{false};
  const Subscription subscription = must(party.channel.subscribe([&](const Message<std::string>& m) -> ProcessRsp {
    ledger.saw(m.body());
    if (m.attempts() > 1) return {};
    must(ask(*observer_, {"SET", kDelayed, "mine"}));
    broken = true;
    return {.retry_after = milliseconds(1)};
  }));
  must(party.topic.pub("retried"));
  ASSERT_TRUE(eventually([&] { return broken.load(); }));
  std::this_thread::sleep_for(milliseconds(100));
  must(ask(*observer_, {"DEL", kDelayed}));
  EXPECT_TRUE(eventually([&] { return ledger.times("retried") > 1; }));
  EXPECT_TRUE(eventually([&] { return party.channel.depth().value_or(-1) == 0; }));
}

}  // namespace
}  // namespace lrpc::queue::redis
