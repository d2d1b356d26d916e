// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Programs that know only the wire format (docs/wire-format.md): plain XADD is received by ours, plain XREADGROUP and
// XACK read what ours publishes.
#include "queue_fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

using Fields = std::vector<std::pair<std::string, std::string>>;

Fields fields_of(const Reply& flat) {
  Fields fields;
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) fields.emplace_back(flat[i].text(), flat[i + 1].text());
  return fields;
}

class Interop : public testing::Test {
 protected:
  /// XADD of these fields by a program of the Go module.
  std::string add(const std::vector<std::string_view>& fields) {
    Pipeline pipeline;
    pipeline.begin(3 + fields.size()).arg("XADD").arg(kStream).arg("*");
    for (const auto field : fields) pipeline.arg(field);
    return std::string(must(foreign_->command("XADD", pipeline, in(kPatience), Repeat::no)).text());
  }
  /// What XREADGROUP gives a foreign consumer: entry ids and fields.
  std::vector<std::pair<std::string, Fields>> read(std::string_view count) {
    std::vector<std::pair<std::string, Fields>> result;
    const Reply reply =
        must(ask(*foreign_, {"XREADGROUP", "GROUP", kGroup, "go-worker-1", "COUNT", count, "STREAMS", kStream, ">"}));
    if (reply.size() != 1) return result;
    const Reply entries = reply[0][1];
    for (std::size_t i = 0; i < entries.size(); ++i) {
      result.emplace_back(entries[i][0].text(), fields_of(entries[i][1]));
    }
    return result;
  }

  RedisServer server_;
  std::shared_ptr<Client> foreign_ = must(Client::open(server_.config()));
};

TEST_F(Interop, Section6_a_plain_publish_has_exactly_six_fields) {
  Party party(server_);
  const std::string id = must(party.topic.pub("hello"));
  const auto entries = read("10");
  ASSERT_EQ(entries.size(), 1U);
  const Fields& fields = entries[0].second;
  ASSERT_EQ(fields.size(), 6U);
  EXPECT_THAT(fields[0], Pair("id", id));
  EXPECT_THAT(fields[1], Pair("body", "\"hello\""));
  EXPECT_EQ(fields[2].first, "timestamp");
  const std::int64_t now = system_clock()->now().wall_s();
  EXPECT_NEAR(static_cast<double>(std::stoll(fields[2].second)), static_cast<double>(now), 60.0);
  EXPECT_THAT(fields[3], Pair("channel", "billing"));
  EXPECT_EQ(fields[4].first, "expires_at");
  EXPECT_NEAR(static_cast<double>(std::stoll(fields[4].second)), static_cast<double>(now + 86'400), 60.0);
  EXPECT_THAT(fields[5], Pair("attempts", "0"));
}

TEST_F(Interop, Section6_further_fields_only_when_used) {
  Party party(server_);
  must(party.topic.pub("x", {.key = "k", .headers = {{"a", "b"}}, .expires = Duration(0)}));
  must(party.topic.pub("y", {.delay = milliseconds(1)}));
  const auto keyed = await_message(party.channel);
  const auto delayed = await_message(party.channel);
  const Reply all = must(ask(*foreign_, {"XRANGE", kStream, "-", "+"}));
  ASSERT_EQ(all.size(), 2U);
  const Fields first = fields_of(all[0][1]);
  ASSERT_EQ(first.size(), 8U);
  EXPECT_THAT(first[4], Pair("expires_at", "0"));
  EXPECT_THAT(first[6], Pair("headers", R"({"a":"b"})"));
  EXPECT_THAT(first[7], Pair("key", "k"));
  const Fields second = fields_of(all[1][1]);
  ASSERT_EQ(second.size(), 7U);
  EXPECT_EQ(second[6].first, "enqueued_at_ms");
}

TEST_F(Interop, Section6_what_another_program_adds_is_received) {
  Party party(server_);
  const std::string expires = std::to_string(system_clock()->now().wall_s() + 1000);
  add({"id", "01J00000000000000000000000", "body", R"("from go")", "timestamp", "1700000000", "channel", "billing",
       "expires_at", expires, "attempts", "2"});
  const auto message = await_message(party.channel);
  EXPECT_EQ(message.id(), "01J00000000000000000000000");
  EXPECT_EQ(message.body(), "from go");
  EXPECT_EQ(message.timestamp(), 1'700'000'000);
  EXPECT_EQ(std::to_string(message.expires_at()), expires);
  EXPECT_EQ(message.attempts(), 3) << "two deliveries before this entry";
  EXPECT_TRUE(party.channel.ack(message).has_value());
  EXPECT_EQ(must(ask(*foreign_, {"XLEN", kStream})).number(), 0);
}

TEST_F(Interop, Section6_a_stream_that_another_program_made_is_a_channel) {
  add({"id", "1", "body", "\"early\"", "timestamp", "1", "channel", "billing", "expires_at", "0", "attempts", "0"});
  Queue queue = must(Queue::open(queue_config(server_)));
  auto topic = must(queue.topic<std::string>("orders"));
  auto channel = must(topic.get_channel("billing"));
  EXPECT_EQ(await_message(channel).body(), "early");
}

TEST_F(Interop, Section6_a_group_that_another_program_made_is_ours) {
  must(ask(*foreign_, {"XGROUP", "CREATE", kStream, kGroup, "0", "MKSTREAM"}));
  add({"id", "1", "body", "\"theirs\""});
  add({"id", "2", "body", "\"ours\""});
  ASSERT_EQ(read("1").size(), 1U);
  Party party(server_);
  EXPECT_EQ(await_message(party.channel).id(), "2");
}

TEST_F(Interop, Section6_missing_and_unknown_fields_are_tolerated) {
  Party party(server_);
  const std::string entry = add({"body", "\"bare\"", "color", "red", "", "empty name"});
  const auto message = await_message(party.channel);
  EXPECT_EQ(message.body(), "bare");
  EXPECT_EQ(message.id(), entry);
  EXPECT_EQ(message.expires_at(), 0);
  EXPECT_EQ(message.attempts(), 1);
  EXPECT_EQ(std::to_string(message.timestamp()), entry.substr(0, 10)) << "the entry's time";
  // They stay through a retry.
  must(party.channel.nack(message, {.delay = Duration(0)}));
  const auto again = await_message(party.channel);
  EXPECT_EQ(again.attempts(), 2);
  EXPECT_EQ(again.id(), message.id());
  EXPECT_EQ(again.timestamp(), message.timestamp());
  EXPECT_EQ(again.enqueued_at(), message.enqueued_at());
  const Reply all = must(ask(*foreign_, {"XRANGE", kStream, "-", "+"}));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(fields_of(all[0][1]), testing::Contains(Pair("color", "red")));
}

// What the server's entry holds of it: an entry that never said how many deliveries it had says so after a retry.
TEST_F(Interop, D6_D7_attempts_grow_without_the_field) {
  Party party(server_, {.max_retries = 2});
  add({"body", "\"poor\""});
  for (int attempt = 1; attempt <= 3; ++attempt) {
    const auto message = await_message(party.channel);
    EXPECT_EQ(message.attempts(), attempt);
    must(party.channel.nack(message, {.delay = Duration(0)}));
  }
  const auto letters = must(party.channel.dead_letters()).items;
  ASSERT_EQ(letters.size(), 1U);
  EXPECT_EQ(letters[0].attempts, 3);
}

TEST_F(Interop, D13_an_entry_without_body_becomes_a_dead_letter) {
  Party party(server_);
  add({"id", "7", "timestamp", "1700000000"});
  add({"id", "8", "body", "no JSON"});
  add({"id", "9", "body", "\"fine\"", "attempts", "many"});
  add({"body", "\"fine\"", "enqueued_at_ms", "soon"});
  add({"id", "10", "body", "\"fine\""});
  EXPECT_EQ(await_message(party.channel).id(), "10");
  const auto letters = must(party.channel.dead_letters()).items;
  ASSERT_EQ(letters.size(), 4U);
  for (const auto& letter : letters) EXPECT_EQ(letter.reason, "undecodable");
  EXPECT_EQ(letters[0].id, "7");
  EXPECT_THAT(letters[0].error, HasSubstr("body"));
  EXPECT_EQ(letters[1].id, "8");
  EXPECT_EQ(letters[1].raw.size(), 7U);
  EXPECT_THAT(letters[2].error, HasSubstr("attempts"));
  EXPECT_THAT(letters[3].error, HasSubstr("enqueued_at_ms"));
}

// They ack without deleting: the next upkeep of ours trims.
TEST_F(Interop, D19_depth_follows_what_others_ack) {
  Party party(server_, {.ack_timeout = seconds(4)});
  must(party.topic.pub_batch({"1", "2", "3"}));
  for (const auto& [entry, fields] : read("2")) {
    EXPECT_EQ(must(ask(*foreign_, {"XACK", kStream, kGroup, entry})).number(), 1);
  }
  EXPECT_EQ(await_message(party.channel).body(), "3");
  EXPECT_TRUE(eventually([&] {
    EXPECT_FALSE(party.channel.try_next(milliseconds(20)).has_value());
    return must(party.channel.depth()) == 1;
  }));
}

TEST_F(Interop, D9_what_a_foreign_consumer_left_comes_to_ours) {
  Party party(server_, {.ack_timeout = seconds(1)});
  must(party.topic.pub("x"));
  ASSERT_EQ(read("1").size(), 1U);
  const auto message = await_message(party.channel);
  EXPECT_EQ(message.attempts(), 2);
  EXPECT_TRUE(party.channel.ack(message).has_value());
}

TEST_F(Interop, D5_ours_and_theirs_share_a_channel) {
  Party party(server_);
  std::vector<std::string> bodies;
  for (int i = 0; i < 200; ++i) bodies.push_back(std::to_string(i));
  Ledger ledger;
  const Subscription subscription =
      must(party.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
  must(party.topic.pub_batch(bodies));
  EXPECT_TRUE(eventually([&] {
    for (const auto& [entry, fields] : read("5")) {
      const std::string& body = fields.at(1).second;
      ledger.saw(body.substr(1, body.size() - 2));
      must(ask(*foreign_, {"XACK", kStream, kGroup, entry}));
    }
    return ledger.distinct() == bodies.size();
  }));
  for (const std::string& body : bodies) EXPECT_EQ(ledger.times(body), 1) << body;
}

}  // namespace
}  // namespace lrpc::queue::redis
