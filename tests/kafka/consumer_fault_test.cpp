// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Consumers that come, go, die and are slow: what they had is handed out again, and nothing else (D1, D6, D9).
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>

#include "kafka/commit_note.hpp"
#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Another process with a subscription to the channel. What comes is acked, but bodies from "hold-" on are held for
/// ever, and "poison" is the end of the process.
class OtherProcess {
 public:
  explicit OtherProcess(const Config& config) {
    const KafkaConfig& kafka = config.kafka_config;
    process_.launch(
        {"/usr/bin/env", "LRPC_TEST_BROKERS=" + kafka.brokers.front(), "LRPC_TEST_PREFIX=" + kafka.topic_prefix,
         "LRPC_TEST_SESSION_MS=" + std::to_string(kafka.session_timeout.count()),
         "LRPC_TEST_RETRIES=" + std::to_string(config.max_retries.value_or(5)),
         std::filesystem::read_symlink("/proc/self/exe").string(), "--gtest_filter=Child.DISABLED_of_a_test",
         "--gtest_also_run_disabled_tests", "--gtest_brief=1"},
        log());
  }
  /// SIGKILL, and waits until it is gone.
  void kill() {
    process_.signal(SIGKILL);
    process_.await_end();
  }
  [[nodiscard]] bool ends() { return process_.await_end(kPatience); }

  struct Seen {
    std::string body{};
    int attempts = 0;
    bool operator==(const Seen&) const = default;
  };
  /// What its handlers have begun with.
  [[nodiscard]] std::vector<Seen> seen() const {
    std::vector<Seen> result;
    std::istringstream lines(support::contents(log()));
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      Seen one;
      if (std::string mark; words >> mark >> one.body >> one.attempts && mark == "seen") result.push_back(one);
    }
    return result;
  }

 private:
  [[nodiscard]] std::filesystem::path log() const { return folder_.path() / "child.log"; }

  support::TemporaryFolder folder_;
  support::Process process_;
};

// Not a test but what OtherProcess runs; disabled, so that it does not run by itself.
TEST(Child, DISABLED_of_a_test) {
  const char* const brokers = std::getenv("LRPC_TEST_BROKERS");
  if (brokers == nullptr) return;  // not started by a test
  Config config = queue_config(brokers);
  config.kafka_config.topic_prefix = std::getenv("LRPC_TEST_PREFIX");
  config.kafka_config.session_timeout = Duration(std::atoll(std::getenv("LRPC_TEST_SESSION_MS")));
  config.max_retries = std::atoi(std::getenv("LRPC_TEST_RETRIES"));
  Party party(config);
  const Subscription subscription = good(party.channel.subscribe([](const Message<std::string>& message) {
    const std::string line = "seen " + message.body() + " " + std::to_string(message.attempts()) + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::abort();
    if (message.body() == "poison") ::_exit(1);
    if (message.body().starts_with("hold-")) ::pause();
  }));
  // Lives until it is killed, or its test.
  for (const pid_t parent = ::getppid(); ::getppid() == parent;) ::usleep(100'000);
}

class ConsumerFault : public ::testing::Test {
 protected:
  ConsumerFault() { config_.kafka_config.session_timeout = seconds(2); }

  Config config_ = queue_config(shared_broker().address());
  RawAdmin admin_{shared_broker().settings()};
};

// -- dying -----------------------------------------------------------------------------------------------------------

TEST_F(ConsumerFault, D6_D9_what_a_killed_process_held_is_handed_out_again) {
  Party party(config_);
  const std::vector<std::string> acked{"0", "1", "2", "3", "4"};
  const std::vector<std::string> held{"hold-5", "hold-6", "hold-7"};
  good(party.topic.pub_batch(acked));
  good(party.topic.pub_batch(held));
  OtherProcess other(config_);
  ASSERT_TRUE(eventually([&] { return other.seen().size() == 8; }));
  // What the other has acked is known here after its commit (D19).
  ASSERT_TRUE(eventually([&] { return party.channel.depth().value_or(-1) == 3; }));
  other.kill();
  std::vector<OtherProcess::Seen> again;
  while (again.size() < held.size()) {
    const auto message = good(party.channel.try_next(kPatience));
    again.push_back({.body = message.body(), .attempts = message.attempts()});
    good(party.channel.ack(message));
  }
  const std::vector<OtherProcess::Seen> expected{
      {.body = "hold-5", .attempts = 2}, {.body = "hold-6", .attempts = 2}, {.body = "hold-7", .attempts = 2}};
  EXPECT_EQ(again, expected);
  EXPECT_EQ(party.channel.depth().value_or(-1), 0);
}

// One partition and one publisher: body n lies at offset n.
TEST_F(ConsumerFault, D1_a_process_killed_under_load_repeats_only_what_was_not_committed) {
  Party party(config_);
  Publisher stream(party.topic, PubOptions{}, milliseconds(1));
  std::optional<OtherProcess> other(std::in_place, config_);
  ASSERT_TRUE(eventually([&] { return other->seen().size() > 300; }));
  other->kill();
  // When the group has forgotten it, nothing of it can still be on its way.
  ASSERT_TRUE(eventually([&] { return admin_.members(party.group).empty(); }));
  const auto committed = admin_.committed(party.group, party.topic_name, 0);
  ASSERT_TRUE(committed);
  const auto note = read_note(committed->metadata, committed->offset);
  ASSERT_TRUE(note);
  std::map<std::string, int> before;
  for (const auto& [body, attempts] : other->seen()) before[body] = attempts;

  std::map<std::string, int> after;
  std::mutex mutex;
  Ledger ledger;
  for (const auto& [body, attempts] : before) ledger.saw(body);
  const Subscription subscription = good(party.channel.subscribe([&](const Message<std::string>& message) {
    const std::lock_guard lock(mutex);
    after[message.body()] = message.attempts();
    ledger.saw(message.body());
  }));
  ASSERT_TRUE(eventually([&] { return ledger.distinct() > before.size() + 50; }));
  expect_all(ledger, stream.stop());
  EXPECT_THAT(stream.errors(), IsEmpty());
  expect_empty(party.channel);
  const std::lock_guard lock(mutex);
  for (const auto& [body, attempts] : after) {
    const std::int64_t offset = std::stoll(body);
    const bool settled =
        offset < committed->offset ||
        std::ranges::any_of(note->settled, [&](const OffsetRange& r) { return r.first <= offset && offset < r.end; });
    EXPECT_FALSE(settled) << body << " was committed";
    const auto told = std::ranges::find(note->handed_out, offset, &CommitNote::HandedOut::offset);
    EXPECT_EQ(attempts, told == note->handed_out.end() ? 1 : static_cast<int>(told->deliveries) + 1) << body;
  }
}

// Each death counts, so that whoever gets the message last can tell, and his failure is the end of it.
TEST_F(ConsumerFault, D6_D7_a_message_that_kills_its_processes_is_counted) {
  config_.max_retries = 1;
  Party party(config_);
  good(party.topic.pub("poison"));
  for (const int attempts : {1, 2}) {
    OtherProcess other(config_);
    ASSERT_TRUE(other.ends());
    EXPECT_THAT(other.seen(), ElementsAre(OtherProcess::Seen{.body = "poison", .attempts = attempts}));
  }
  const auto message = good(party.channel.try_next(kPatience));
  EXPECT_EQ(message.attempts(), 3);
  good(party.channel.nack(message));
  const auto letters = good(party.channel.dead_letters());
  ASSERT_THAT(letters.items, SizeIs(1));
  EXPECT_EQ(letters.items.front().reason, "max_retries");
  EXPECT_EQ(letters.items.front().attempts, 3);
  expect_empty(party.channel);
}

// -- coming and going ------------------------------------------------------------------------------------------------

// A message that a handler has while its partition goes to somebody else comes there too, its attempt counted; nothing
// else comes twice.
TEST_F(ConsumerFault, D1_D5_consumers_that_join_and_leave_under_load) {
  constexpr int kRounds = 5;
  constexpr int kInFlight = 4;
  config_.kafka_config.partition = 4;
  config_.max_in_flight = kInFlight;
  Party publisher(config_);
  Party stays(config_);
  Witness witness;
  const Subscription subscription = witness.watch(stays.channel, milliseconds(2));
  Publisher stream(publisher.topic, keyed, milliseconds(1));
  for (int round = 0; round < kRounds; ++round) {
    Party guest(config_);
    Ledger here;
    const Subscription own = good(guest.channel.subscribe([&](const Message<std::string>& message) {
      here.saw(message.body());
      witness.saw(message);
      std::this_thread::sleep_for(milliseconds(2));
    }));
    EXPECT_TRUE(eventually([&] { return here.distinct() > 20; })) << "round " << round;
    EXPECT_TRUE(guest.queue.close().has_value());
    const std::size_t handled = witness.ledger.distinct();
    ASSERT_TRUE(eventually([&] { return witness.ledger.distinct() > handled + 20; })) << "round " << round;
  }
  expect_all(witness.ledger, stream.stop());
  EXPECT_THAT(stream.errors(), IsEmpty());
  expect_empty(stays.channel);
  // Each round is two rebalances; what two consumers had in flight may be repeated.
  EXPECT_LE(witness.ledger.repeated().size(), std::size_t{2} * kRounds * 2 * kInFlight);
  EXPECT_THAT(witness.uncounted(), IsEmpty());
  EXPECT_TRUE(witness.keys_are_in_order(kKeys));
}

// -- being slow ------------------------------------------------------------------------------------------------------

class SlowConsumer : public ConsumerFault {
 protected:
  SlowConsumer() { config_.kafka_config.session_timeout = config_.kafka_config.rebalance_timeout = kMostBetweenPolls; }
  [[nodiscard]] std::string member_of(const Party& party) const {
    const auto members = admin_.members(party.group);
    EXPECT_THAT(members, SizeIs(1));
    return members.empty() ? std::string() : members.front().member_id;
  }
  /// librdkafka's max.poll.interval.ms.
  static constexpr Duration kMostBetweenPolls{1'000};
};

TEST_F(SlowConsumer, D9_a_handler_longer_than_the_poll_interval_keeps_its_message) {
  Party party(config_);
  Witness witness;
  std::atomic<bool> slow_began{false};
  std::atomic<bool> slow_ended{false};
  const Subscription subscription = good(party.channel.subscribe([&](const Message<std::string>& message) {
    witness.saw(message);
    if (message.body() != "0") return;
    slow_began = true;
    std::this_thread::sleep_for(3 * kMostBetweenPolls);
    slow_ended = true;
  }));
  good(party.topic.pub("0"));
  ASSERT_TRUE(eventually([&] { return slow_began.load(); }));
  const std::string member = member_of(party);
  Publisher stream(party.topic, PubOptions{}, milliseconds(20));
  ASSERT_TRUE(eventually([&] { return slow_ended.load(); }));
  const std::size_t meanwhile = witness.ledger.distinct();
  EXPECT_GT(meanwhile, 20U);
  expect_all(witness.ledger, stream.stop());
  expect_empty(party.channel);
  EXPECT_EQ(member_of(party), member);
  EXPECT_THAT(witness.uncounted(), ElementsAre("0"));  // the stream's first, which is another message
}

// Nobody calls next for longer than the poll interval, with more to read than is read ahead.
TEST_F(SlowConsumer, D9_a_consumer_that_does_not_ask_stays_a_member) {
  constexpr int kMany = 5'000;
  Party party(config_);
  std::vector<std::string> bodies;
  for (int i = 0; i < kMany; ++i) bodies.push_back(std::to_string(i));
  good(party.topic.pub_batch(bodies));
  const auto first = good(party.channel.try_next(kPatience));
  const std::string member = member_of(party);
  std::this_thread::sleep_for(3 * kMostBetweenPolls);
  EXPECT_EQ(member_of(party), member);
  good(party.channel.ack(first));
  Ledger ledger;
  ledger.saw(first.body());
  while (ledger.distinct() < kMany) {
    const auto batch = good(party.channel.next_batch(500, kPatience));
    for (const auto& message : batch) {
      ledger.saw(message.body());
      ASSERT_EQ(message.attempts(), 1) << message.body();
    }
    good(party.channel.ack(std::span(batch)));
  }
  EXPECT_THAT(ledger.repeated(), IsEmpty());
  EXPECT_EQ(member_of(party), member);
  expect_empty(party.channel);
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
