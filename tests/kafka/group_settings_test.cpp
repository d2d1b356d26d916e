// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// instance_id, isolation_level and extra, each seen from outside.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// A broker for all of them that logs requests.
Broker& talking_broker() {
  static Broker broker({.log_requests = true});
  return broker;
}

/// Two consumers of a channel, each with one of the two partitions.
class StaticMembership : public ::testing::Test {
 protected:
  Config config_of(const std::string& instance) {
    Config config = config_;
    config.kafka_config.instance_id = instance;
    return config;
  }
  /// Both take part and know what is theirs. Their members, by partition.
  std::vector<RawMember> bring_together(Party& one, Party& other) {
    std::vector<RawMember> members;
    EXPECT_TRUE(eventually([&] {
      for (Party* const party : {&one, &other}) static_cast<void>(party->channel.try_next(Duration(10)));
      members = RawAdmin(broker_.settings()).members(one.group);
      return members.size() == 2 &&
             std::ranges::all_of(members, [](const RawMember& each) { return each.assignment.size() == 2; });
    }));
    std::ranges::sort(members, {}, &RawMember::assignment);
    return members;
  }
  [[nodiscard]] std::size_t rebalances(const std::string& group) const {
    return times(broker_.log(), "Preparing to rebalance group " + group + " ");
  }
  /// `restart` of one of two, and what the broker tells of the group before and after.
  void run(const std::string& first, const std::string& second, bool quiet) {
    config_.kafka_config.partition = 2;
    Party other(config_of(second));
    std::vector<RawMember> before;
    std::size_t count = 0;
    {
      Party one(config_of(first));
      before = bring_together(one, other);
      count = rebalances(one.group);
      EXPECT_GE(count, 1U);
      good(one.queue.close());
    }
    Party one(config_of(first));
    const std::vector<RawMember> after = bring_together(one, other);
    ASSERT_EQ(after.size(), 2U);
    EXPECT_EQ(rebalances(one.group) == count, quiet);
    if (!quiet) return;
    std::set<std::string> names;
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(after[i].instance_id, before[i].instance_id);
      EXPECT_EQ(after[i].assignment, before[i].assignment);
      names.insert(after[i].instance_id);
      if (after[i].instance_id == second) {
        EXPECT_EQ(after[i].member_id, before[i].member_id) << "who stayed";
      }
    }
    EXPECT_EQ(names, (std::set<std::string>{first, second}));
  }

  Broker& broker_ = talking_broker();
  Config config_ = queue_config(broker_.address());
};

TEST_F(StaticMembership, ARestartOfAnInstanceIsNoRebalance) { run("one", "other", true); }
TEST_F(StaticMembership, ARestartWithoutInstanceIdIsOne) { run("", "", false); }

/// Records within transactions, one aborted.
std::vector<std::string> committed_and_aborted(const std::string& topic) {
  Settings settings = talking_broker().settings();
  settings["transactional.id"] = unique_name("transaction");
  RawProducer producer(settings);
  const auto check = [](rd_kafka_error_t* error) {
    if (error == nullptr) return;
    const std::string text = rd_kafka_error_string(error);
    rd_kafka_error_destroy(error);
    throw std::runtime_error(text);
  };
  constexpr int kMs = 20'000;
  check(rd_kafka_init_transactions(producer.get(), kMs));
  const auto write = [&](const std::string& body, bool commit) {
    check(rd_kafka_begin_transaction(producer.get()));
    producer.produce(topic, RawRecord{.key = body, .value = '"' + body + '"'});
    check(commit ? rd_kafka_commit_transaction(producer.get(), kMs) : rd_kafka_abort_transaction(producer.get(), kMs));
  };
  write("before", true);
  write("aborted", false);
  write("after", true);
  return {"before", "aborted", "after"};
}

class Isolation : public ::testing::TestWithParam<IsolationLevel> {};

TEST_P(Isolation, OfAbortedTransactions) {
  Config config = queue_config(talking_broker().address());
  config.kafka_config.isolation_level = GetParam();
  Party party(config);
  std::vector<std::string> expected = committed_and_aborted(party.topic_name);
  if (GetParam() == IsolationLevel::read_committed) std::erase(expected, "aborted");
  for (const std::string& body : expected) {
    const auto message = good(party.channel.try_next(kPatience));
    EXPECT_EQ(message.body(), body);
    good(party.channel.ack(message));
  }
  // What no consumer is shown is not waited for either.
  EXPECT_TRUE(eventually([&] { return good(party.channel.depth()) == 0; })) << good(party.channel.depth());
  EXPECT_EQ(error_of_call(party.channel.try_next(Duration(100))).code, ErrorCode::no_message);
}

INSTANTIATE_TEST_SUITE_P(All, Isolation,
                         ::testing::Values(IsolationLevel::read_committed, IsolationLevel::read_uncommitted),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST(Extra, PropertiesReachTheBroker) {
  Config config = queue_config(talking_broker().address());
  const std::string me = unique_name("shelf-of-books");
  config.kafka_config.extra = {{"client.id", me}, {"client.rack", "rack-7"}};
  Party party(config);
  good(party.topic.pub("x"));
  good(party.channel.ack(good(party.channel.try_next(kPatience))));
  const auto members = RawAdmin(talking_broker().settings()).members(party.group);
  ASSERT_EQ(members.size(), 1U);
  EXPECT_EQ(members[0].client_id, me);
  const auto fetches = [&] {
    std::vector<json> found;
    for (const std::string& each : talking_broker().requests("FETCH")) {
      if (each.contains("\"clientId\":\"" + me + '"')) found.push_back(json::parse(each));
    }
    return found;
  };
  EXPECT_TRUE(eventually([&] { return !fetches().empty(); }));
  for (const json& fetch : fetches()) EXPECT_EQ(fetch.at("request").at("rackId"), "rack-7");
}

TEST(Extra, WhatIsNoPropertyOrAFieldsIsRefused) {
  Config config = queue_config(talking_broker().address());
  for (const auto& [name, said] : {std::pair{"no.such.property", "is no property of librdkafka"},
                                   std::pair{"session.timeout.ms", "kafka_config.session_timeout"},
                                   std::pair{"enable.auto.commit", "promises depend on it"}}) {
    config.kafka_config.extra = {{name, "hidden"}};
    const Error error = error_of_call(Queue::open(config));
    EXPECT_EQ(error.code, ErrorCode::invalid_config);
    EXPECT_THAT(error.message, HasSubstr(std::string("kafka_config.extra.") + name));
    EXPECT_THAT(error.message, HasSubstr(said));
    EXPECT_THAT(error.message, Not(HasSubstr("hidden")));
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
