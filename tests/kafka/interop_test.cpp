// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Programs that know only the layout of the manual (docs/wire-format.md): what kcat, a plain client, writes is received
// by ours, and it reads what ours publishes.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "queue_fixture.hpp"
#include "support/process.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

using Headers = std::vector<std::pair<std::string, std::string>>;

/// A record as kcat shows it.
struct Seen {
  std::string key{};
  std::string value{};
  Headers headers{};
  std::int64_t timestamp_ms = 0;
};

class Interop : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::access(LRPC_QUEUE_KCAT, X_OK), 0)
        << "kcat is missing: install the Debian package kcat (scripts/setup.sh test) and configure again";
  }

  /// Runs it with these arguments; its output.
  std::string kcat(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {LRPC_QUEUE_KCAT, "-q", "-b", shared_broker().address()});
    const auto output = folder_.path() / ("kcat-" + std::to_string(++runs_));
    support::run(arguments, output);
    return support::contents(output);
  }
  /// One record with this body.
  void write(const std::string& topic, const std::string& value, const Headers& headers = {},
             const std::string& key = {}, const std::vector<std::string>& more = {}) {
    const auto body = folder_.path() / "body";
    std::ofstream(body) << value;
    std::vector<std::string> arguments{"-P", "-t", topic};
    if (!key.empty()) arguments.insert(arguments.end(), {"-k", key});
    for (const auto& [name, text] : headers) arguments.insert(arguments.end(), {"-H", name + "=" + text});
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back(body.string());
    static_cast<void>(kcat(arguments));
  }
  /// All that a topic contains.
  std::vector<Seen> read(const std::string& topic) {
    std::vector<Seen> result;
    const std::string lines = kcat({"-C", "-t", topic, "-o", "beginning", "-e", "-J"});
    for (std::size_t at = 0; at < lines.size();) {
      const std::size_t end = std::min(lines.find('\n', at), lines.size());
      const auto json = nlohmann::json::parse(lines.substr(at, end - at));
      at = end + 1;
      Seen seen{.key = json.at("key"), .value = json.at("payload"), .timestamp_ms = json.at("ts")};
      if (json.contains("headers")) {
        const auto& flat = json.at("headers");
        for (std::size_t i = 0; i + 1 < flat.size(); i += 2) seen.headers.emplace_back(flat[i], flat[i + 1]);
      }
      result.push_back(std::move(seen));
    }
    return result;
  }
  static Message<std::string> await(Party& party) { return good(party.channel.try_next(kPatience)); }

  Config config_ = queue_config(shared_broker().address());

 private:
  support::TemporaryFolder folder_;
  int runs_ = 0;
};

TEST_F(Interop, Section7_a_plain_publish_has_exactly_five_headers) {
  Party party(config_);
  const std::string id = good(party.topic.pub("hello"));
  const auto seen = read(party.topic_name);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].value, "\"hello\"");
  EXPECT_EQ(seen[0].key, id);
  const auto message = await(party);
  EXPECT_THAT(seen[0].headers, ElementsAre(Pair("id", id), Pair("timestamp", std::to_string(message.timestamp())),
                                           Pair("expires_at", std::to_string(message.expires_at())),
                                           Pair("attempts", "0"), Pair("channel", "")));
  EXPECT_EQ(seen[0].timestamp_ms / 1000, message.timestamp());
}

TEST_F(Interop, Section7_key_and_headers_of_the_user_and_a_due_time) {
  Party party(config_);
  const std::string id = good(party.topic.pub("x", {.key = "k", .headers = {{"a", "b"}}, .expires = Duration(0)}));
  good(party.topic.pub("y", {.delay = hours(1)}));
  const auto seen = read(party.topic_name);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].key, "k");
  ASSERT_EQ(seen[0].headers.size(), 6U);
  EXPECT_THAT(seen[0].headers[0], Pair("id", id));
  EXPECT_THAT(seen[0].headers[2], Pair("expires_at", "0"));
  EXPECT_THAT(seen[0].headers[5], Pair("a", "b"));
  ASSERT_GE(seen[1].headers.size(), 6U);
  EXPECT_EQ(seen[1].headers[5].first, "retry_due_ms");
}

TEST_F(Interop, Section7_what_another_program_writes_is_received) {
  Party party(config_);
  const std::string expires = std::to_string(system_clock()->now().wall_s() + 1000);
  write(party.topic_name, "\"from go\"",
        {{"id", "01J00000000000000000000000"},
         {"timestamp", "1700000000"},
         {"expires_at", expires},
         {"attempts", "2"},
         {"channel", ""}},
        "01J00000000000000000000000");
  const auto message = await(party);
  EXPECT_EQ(message.id(), "01J00000000000000000000000");
  EXPECT_EQ(message.key(), "") << "the id is no key of the user's";
  EXPECT_EQ(message.body(), "from go");
  EXPECT_EQ(message.timestamp(), 1'700'000'000);
  EXPECT_EQ(std::to_string(message.expires_at()), expires);
  EXPECT_EQ(message.attempts(), 3) << "two deliveries before this record";
  EXPECT_TRUE(message.headers().empty());
  good(party.channel.ack(message));
  EXPECT_EQ(good(party.channel.depth()), 0);
}

TEST_F(Interop, Section7_missing_and_unknown_headers_are_tolerated) {
  Party party(config_);
  write(party.topic_name, "\"keyed\"", {}, "k1");
  write(party.topic_name, "\"bare\"");
  write(party.topic_name, "\"colored\"", {{"id", "7"}, {"color", "red"}, {"retry_count", "4"}}, "k2");
  const auto keyed = await(party);
  EXPECT_EQ(keyed.id(), "k1") << "a missing id is the record's key";
  EXPECT_EQ(keyed.attempts(), 1);
  EXPECT_EQ(keyed.expires_at(), 0);
  EXPECT_NEAR(static_cast<double>(keyed.timestamp()), static_cast<double>(system_clock()->now().wall_s()), 60.0);
  const auto bare = await(party);
  EXPECT_EQ(bare.body(), "bare");
  EXPECT_NE(bare.id(), "") << "there must be something to ack by";
  const auto colored = await(party);
  EXPECT_EQ(colored.id(), "7");
  EXPECT_EQ(colored.key(), "k2");
  EXPECT_THAT(colored.headers(), ElementsAre(Pair("color", "red"))) << "what begins with retry_ is not the user's";
  for (const auto& each : {keyed, bare, colored}) good(party.channel.ack(each.id()));
  EXPECT_EQ(good(party.channel.depth()), 0);
}

TEST_F(Interop, D13_what_cannot_be_read_becomes_a_dead_letter) {
  Party party(config_);
  write(party.topic_name, "no json", {}, "1");
  write(party.topic_name, "\"x\"", {{"attempts", "many"}}, "2");
  write(party.topic_name, "\"good\"", {}, "3");
  EXPECT_EQ(await(party).id(), "3");
  const auto page = good(party.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 2U);
  for (const auto& letter : page.items) EXPECT_EQ(letter.reason, "undecodable") << letter.error;
  EXPECT_THAT(page.items[1].error, HasSubstr("attempts"));
}

TEST_F(Interop, EveryCompressionIsRead) {
  Party party(config_);
  for (const char* const codec : {"gzip", "snappy", "lz4", "zstd"}) {
    write(party.topic_name, "\"" + std::string(10'000, 'x') + "\"", {}, codec, {"-z", codec});
    const auto message = await(party);
    EXPECT_EQ(message.id(), codec);
    EXPECT_EQ(message.body().size(), 10'000U);
  }
}

TEST_F(Interop, Section7_a_plain_member_of_the_group_goes_on_where_ours_ended) {
  std::string group;
  std::string topic;
  {
    Party party(config_);
    for (const char* const body : {"1", "2", "3"}) good(party.topic.pub(body));
    for (int i = 0; i < 2; ++i) good(party.channel.ack(await(party)));
    group = party.group;
    topic = party.topic_name;
    good(party.queue.close());
  }
  // It ends at the end of the topic, and commits.
  EXPECT_EQ(kcat({"-X", "auto.offset.reset=error", "-e", "-f", "%s\\n", "-G", group, topic}), "\"3\"\n");
  Party party(config_);
  EXPECT_EQ(good(party.channel.depth()), 0);
  good(party.topic.pub("4"));
  EXPECT_EQ(await(party).body(), "4");
}

TEST_F(Interop, Section7_a_group_that_another_program_made_is_a_channel) {
  const std::string topic = config_.kafka_config.topic_prefix + "orders";
  RawAdmin(shared_broker().settings()).create_topic(topic);
  write(topic, "\"theirs\"", {}, "1");
  EXPECT_EQ(kcat({"-X", "auto.offset.reset=earliest", "-e", "-f", "%s\\n", "-G", topic + "-billing", topic}),
            "\"theirs\"\n");
  write(topic, "\"ours\"", {}, "2");
  const Queue queue = good(Queue::open(config_));
  auto opened = good(Queue(queue).topic<std::string>("orders"));
  EXPECT_THAT(good(opened.channel_list()), ElementsAre("billing"));
  auto channel = good(opened.get_channel("billing"));
  EXPECT_EQ(good(channel.try_next(kPatience)).id(), "2");
}

TEST_F(Interop, Section7_retries_and_dead_letters_are_plain_records) {
  Party party(config_);
  const std::string id = good(party.topic.pub("x", {.key = "k", .headers = {{"a", "b"}}}));
  const auto first = await(party);
  good(party.channel.nack(first, {.delay = hours(1)}));
  const std::string own = config_.kafka_config.topic_prefix + "orders-billing";
  const auto retries = read(own + "-retry");
  ASSERT_EQ(retries.size(), 1U);
  EXPECT_EQ(retries[0].value, "\"x\"");
  EXPECT_EQ(retries[0].key, "k");
  const auto has = [](const Seen& seen, const std::string& name, const std::string& value) {
    return std::ranges::find(seen.headers, std::pair(name, value)) != seen.headers.end();
  };
  EXPECT_TRUE(has(retries[0], "id", id));
  EXPECT_TRUE(has(retries[0], "attempts", "1"));
  EXPECT_TRUE(has(retries[0], "channel", "billing"));
  EXPECT_TRUE(has(retries[0], "a", "b"));
  good(party.topic.pub("y"));
  good(party.channel.nack(await(party), {.reason = "no use", .dead_letter = true}));
  const auto dead = read(own + "-dlq");
  ASSERT_EQ(dead.size(), 1U);
  EXPECT_EQ(dead[0].value, "\"y\"");
  EXPECT_TRUE(has(dead[0], "dlq_reason", "rejected"));
  EXPECT_TRUE(has(dead[0], "dlq_error", "no use"));
  EXPECT_TRUE(has(dead[0], "dlq_topic", party.topic_name));
  EXPECT_TRUE(has(dead[0], "dlq_partition", "0"));
  EXPECT_TRUE(has(dead[0], "dlq_offset", "1"));
  EXPECT_TRUE(has(dead[0], "dlq_attempts", "1"));
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
