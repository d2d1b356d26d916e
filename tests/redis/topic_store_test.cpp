// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Topics on a real server: the registry, publishes as one step, the wire format as redis-cli shows it.
#include <signal.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "redis/topic_scripts.hpp"
#include "redis/topic_store.hpp"

namespace lrpc::queue::redis {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr std::string_view kId = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

Outgoing outgoing(std::string_view body, Duration delay = Duration(0)) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(body.data());
  Outgoing out{.message = Envelope::make_encoded(Bytes(bytes, bytes + body.size())), .delay = delay};
  out.message->set_id(kId);
  out.message->set_timestamp(1'706'745'600);
  out.message->set_expires_at(1'706'747'400);
  out.message->set_enqueued_at_ms(1'706'745'600'123);
  return out;
}

std::vector<Outgoing> batch_of(std::initializer_list<std::string_view> bodies) {
  std::vector<Outgoing> batch;
  for (const std::string_view body : bodies) batch.push_back(outgoing(body));
  return batch;
}

class TopicStoreTest : public testing::Test {
 protected:
  Result<Dropped> publish(std::initializer_list<std::string_view> bodies, const TopicPolicy& policy = {}) {
    return store_.publish(batch_of(bodies), policy, in(kPatience));
  }
  std::int64_t open(const std::string& channel) {
    return must(store_.open_channel(channel, true, in(kPatience))).number;
  }
  std::int64_t number(std::initializer_list<std::string_view> words) {
    return must(ask(*client_, words)).number().value_or(-1);
  }
  /// The fields of a stream's entries.
  std::vector<std::map<std::string, std::string>> entries(const std::string& stream) {
    std::vector<std::map<std::string, std::string>> result;
    const Reply reply = must(ask(*client_, {"XRANGE", stream, "-", "+"}));
    for (std::size_t i = 0; i < reply.size(); ++i) {
      auto& fields = result.emplace_back();
      for (std::size_t j = 0; j + 1 < reply[i][1].size(); j += 2) {
        fields[std::string(reply[i][1][j].text())] = reply[i][1][j + 1].text();
      }
    }
    return result;
  }
  std::vector<std::string> bodies(const std::string& stream) {
    std::vector<std::string> result;
    for (auto& fields : entries(stream)) result.push_back(fields["body"]);
    return result;
  }

  RedisServer server_;
  std::shared_ptr<Client> client_ = must(Client::open(server_.config()));
  TopicStore store_{client_, "events", Keys("lrpc:queue:", "events", false)};
};

TEST_F(TopicStoreTest, WritesTheManualsSixFields) {
  open("handler");
  must(publish({R"({"Type":"user.login"})"}));
  const auto all = entries("lrpc:queue:events:handler");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(all[0], UnorderedElementsAre(Pair("id", kId), Pair("body", R"({"Type":"user.login"})"),
                                           Pair("timestamp", "1706745600"), Pair("channel", "handler"),
                                           Pair("expires_at", "1706747400"), Pair("attempts", "0")));
  // The group is there for a program that knows only the manual.
  const Reply read = must(ask(
      *client_, {"XREADGROUP", "GROUP", "events:handler", "somebody", "STREAMS", "lrpc:queue:events:handler", ">"}));
  EXPECT_EQ(read[0][1].size(), 1U);
}

TEST_F(TopicStoreTest, WritesFurtherFieldsOnlyWhenUsed) {
  open("c");
  auto batch = batch_of({"plain", "rich"});
  batch[1].message->set_key("k");
  batch[1].message->set_header("h", "caf\xC3\xA9");
  must(store_.publish(batch, {}, in(kPatience)));
  const auto all = entries("lrpc:queue:events:c");
  EXPECT_EQ(all[0].size(), 6U);
  EXPECT_EQ(all[1].size(), 8U);
  EXPECT_EQ(all[1].at("key"), "k");
  EXPECT_EQ(all[1].at("headers"), "{\"h\":\"caf\xC3\xA9\"}");
  batch = batch_of({"x"});
  batch[0].message->set_header("h", "\xFF");
  EXPECT_EQ(error_of_call(store_.publish(batch, {}, in(kPatience))).code, ErrorCode::invalid_argument);
}

TEST_F(TopicStoreTest, D1_EveryChannelGetsEveryMessage) {
  for (const char* channel : {"a", "b", "c"}) open(channel);
  must(publish({"1", "2"}));
  for (const char* channel : {"a", "b", "c"}) {
    EXPECT_THAT(bodies(std::string("lrpc:queue:events:") + channel), ElementsAre("1", "2"));
    EXPECT_EQ(entries(std::string("lrpc:queue:events:") + channel)[0]["channel"], channel);
  }
  EXPECT_THAT(must(store_.channels(in(kPatience))), ElementsAre("a", "b", "c"));
}

TEST_F(TopicStoreTest, D4_BacklogBecomesTheFirstChannel) {
  must(publish({"1", "2"}));
  EXPECT_EQ(entries("lrpc:queue:events::backlog")[0]["channel"], "");
  open("first");
  open("second");
  EXPECT_THAT(bodies("lrpc:queue:events:first"), ElementsAre("1", "2"));
  EXPECT_THAT(bodies("lrpc:queue:events:second"), ElementsAre());
  EXPECT_EQ(number({"EXISTS", "lrpc:queue:events::backlog"}), 0);
  must(publish({"3"}));
  EXPECT_THAT(bodies("lrpc:queue:events:first"), ElementsAre("1", "2", "3"));
}

TEST_F(TopicStoreTest, D4_BacklogMovesBehindAStreamThatIsThereAlready) {
  for (int i = 0; i < 5; ++i) {
    std::vector<Outgoing> batch;
    for (int j = 0; j < 500; ++j) batch.push_back(outgoing(std::to_string(i * 500 + j)));
    must(store_.publish(batch, {}, in(kPatience)));
  }
  must(ask(*client_, {"XADD", "lrpc:queue:events:c", "*", "id", "x", "body", "theirs"}));
  open("c");
  const auto all = bodies("lrpc:queue:events:c");
  ASSERT_EQ(all.size(), 2'501U);
  EXPECT_EQ(all.front(), "theirs");
  for (int i = 0; i < 2'500; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i) + 1], std::to_string(i));
  EXPECT_EQ(number({"EXISTS", "lrpc:queue:events::backlog"}), 0);
}

TEST_F(TopicStoreTest, ChannelOfAnotherProgramIsAChannel) {
  must(ask(*client_, {"XGROUP", "CREATE", "lrpc:queue:events:theirs", "events:theirs", "0", "MKSTREAM"}));
  EXPECT_GT(must(store_.open_channel("theirs", false, in(kPatience))).number, 0);
  must(publish({"1"}));
  EXPECT_THAT(bodies("lrpc:queue:events:theirs"), ElementsAre("1"));
}

TEST_F(TopicStoreTest, D2_D16_FullChannelRefusesTheWholeBatch) {
  open("a");
  must(publish({"1", "2"}));
  open("b");
  const TopicPolicy three{.max_msg_size = 3};
  const Error full = error_of_call(publish({"3", "4"}, three));
  EXPECT_EQ(full.code, ErrorCode::queue_full);
  EXPECT_TRUE(full.retryable);
  EXPECT_THAT(full.message, HasSubstr("channel a of topic events holds 2 of at most 3"));
  EXPECT_EQ(number({"XLEN", "lrpc:queue:events:a"}), 2);
  EXPECT_EQ(number({"XLEN", "lrpc:queue:events:b"}), 0);
  must(publish({"3"}, three));
  EXPECT_EQ(error_of_call(publish({"4"}, three)).code, ErrorCode::queue_full);
}

TEST_F(TopicStoreTest, D16_DelayedMessagesAndTheBacklogCount) {
  const TopicPolicy two{.max_msg_size = 2};
  std::vector<Outgoing> later;
  later.push_back(outgoing("later", std::chrono::hours(1)));
  must(store_.publish(later, two, in(kPatience)));
  must(publish({"1"}, two));
  EXPECT_THAT(error_of_call(publish({"2"}, two)).message, HasSubstr("the backlog of topic events holds 2"));
  open("c");
  EXPECT_EQ(error_of_call(publish({"2"}, two)).code, ErrorCode::queue_full);
  EXPECT_EQ(number({"ZCARD", "lrpc:queue:events:c:delayed"}), 1);
}

TEST_F(TopicStoreTest, D16_DropOldestDropsWhatNobodyHolds) {
  open("c");
  const TopicPolicy policy{.max_msg_size = 3, .overflow = Overflow::drop_oldest};
  must(publish({"1", "2", "3"}, policy));
  must(ask(*client_, {"XREADGROUP", "GROUP", "events:c", "me", "COUNT", "1", "STREAMS", "lrpc:queue:events:c", ">"}));
  EXPECT_THAT(must(publish({"4", "5"}, policy)), ElementsAre(Pair("c", 2)));
  EXPECT_THAT(bodies("lrpc:queue:events:c"), ElementsAre("1", "4", "5"));
  EXPECT_EQ(error_of_call(publish({"6", "7", "8"}, policy)).code, ErrorCode::queue_full) << "one is in flight";
  EXPECT_THAT(bodies("lrpc:queue:events:c"), ElementsAre("1", "4", "5"));
}

TEST_F(TopicStoreTest, D17_DelayedMessagesWaitInTheirSet) {
  open("a");
  open("b");
  std::vector<Outgoing> later;
  later.push_back(outgoing("same", std::chrono::hours(1)));
  later.push_back(outgoing("same", std::chrono::hours(1)));
  must(store_.publish(later, {}, in(kPatience)));
  EXPECT_EQ(number({"ZCARD", "lrpc:queue:events:a:delayed"}), 2) << "the same message twice is two messages";
  EXPECT_EQ(number({"ZCARD", "lrpc:queue:events:b:delayed"}), 2);
  EXPECT_EQ(number({"XLEN", "lrpc:queue:events:a"}), 0);
  const auto now = must(ask(*client_, {"TIME"}))[0].number().value_or(0);
  const auto due = must(ask(*client_, {"ZRANGE", "lrpc:queue:events:a:delayed", "0", "0", "WITHSCORES"}));
  EXPECT_NEAR(static_cast<double>(due[1].number().value_or(0)) / 1000, static_cast<double>(now + 3'600), 60);
}

TEST_F(TopicStoreTest, D2_BatchesAreBounded) {
  open("c");
  std::vector<Outgoing> batch;
  for (std::size_t i = 0; i <= TopicStore::kMostEntries; ++i) batch.push_back(outgoing("x"));
  const Error error = error_of_call(store_.publish(batch, {}, in(kPatience)));
  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_THAT(error.message, HasSubstr("65536"));
  batch.pop_back();
  must(store_.publish(batch, {}, in(kPatience)));
  EXPECT_EQ(number({"XLEN", "lrpc:queue:events:c"}), 65'536);
  open("d");
  const Error twice = error_of_call(store_.publish(batch, {}, in(kPatience)));
  EXPECT_EQ(twice.code, ErrorCode::invalid_argument);
  EXPECT_THAT(twice.message, HasSubstr("for 2 channels"));
  EXPECT_EQ(number({"XLEN", "lrpc:queue:events:d"}), 0);
}

TEST_F(TopicStoreTest, D20_DeletionLeavesAMarkAndANewIncarnation) {
  const auto first = open("c");
  EXPECT_EQ(open("c"), first) << "opening again changes nothing";
  must(publish({"1"}));
  must(store_.delete_channel("c", in(kPatience)));
  EXPECT_THAT(must(store_.channels(in(kPatience))), ElementsAre());
  EXPECT_EQ(number({"EXISTS", "lrpc:queue:events:c"}), 0);
  EXPECT_EQ(number({"HGET", "lrpc:queue:events", "c"}), -first);
  EXPECT_EQ(error_of_call(store_.delete_channel("c", in(kPatience))).code, ErrorCode::channel_not_found);
  EXPECT_EQ(error_of_call(store_.open_channel("c", false, in(kPatience))).code, ErrorCode::channel_not_found);
  must(publish({"2"}));
  EXPECT_THAT(bodies("lrpc:queue:events::backlog"), ElementsAre("2")) << "without channels a backlog again";
  EXPECT_GT(open("c"), first);
  EXPECT_THAT(bodies("lrpc:queue:events:c"), ElementsAre("2"));
}

TEST_F(TopicStoreTest, D22_ADeletedStreamGetsItsGroupAgain) {
  const auto first = open("c");
  must(ask(*client_, {"DEL", "lrpc:queue:events:c"}));
  must(publish({"1"}));
  EXPECT_EQ(open("c"), first);
  const Reply read =
      must(ask(*client_, {"XREADGROUP", "GROUP", "events:c", "me", "STREAMS", "lrpc:queue:events:c", ">"}));
  EXPECT_EQ(read[0][1].size(), 1U) << "from the start";
}

TEST_F(TopicStoreTest, UnknownChannelIsNotFound) {
  EXPECT_EQ(error_of_call(store_.open_channel("none", false, in(kPatience))).code, ErrorCode::channel_not_found);
  EXPECT_EQ(number({"EXISTS", "lrpc:queue:events"}), 0) << "nothing was made";
}

TEST_F(TopicStoreTest, ScriptsSurviveFlushAndRestart) {
  open("c");
  must(publish({"1"}));
  must(ask(*client_, {"SCRIPT", "FLUSH"}));
  must(publish({"2"}));
  EXPECT_EQ(number({"XLEN", "lrpc:queue:events:c"}), 2);
  EXPECT_EQ(must(ask(*client_, {"SCRIPT", "EXISTS", publish_one_script().hash()}))[0].number(), 1);
}

TEST_F(TopicStoreTest, FullServerRefusesAndKeepsWhatItHas) {
  open("c");
  must(publish({"1"}));
  must(ask(*client_, {"CONFIG", "SET", "maxmemory", "1"}));
  const Error full = error_of_call(publish({"2"}));
  EXPECT_EQ(full.code, ErrorCode::queue_full);
  EXPECT_THAT(full.message, HasSubstr("maxmemory"));
  must(ask(*client_, {"CONFIG", "SET", "maxmemory", "0"}));
  EXPECT_THAT(bodies("lrpc:queue:events:c"), ElementsAre("1"));
}

TEST_F(TopicStoreTest, WrongTypeAtAKeyIsNamed) {
  must(ask(*client_, {"SET", "lrpc:queue:events", "not ours"}));
  const Error error = error_of_call(publish({"1"}));
  EXPECT_EQ(error.code, ErrorCode::backend);
  EXPECT_THAT(error.message, HasSubstr("WRONGTYPE"));
}

TEST_F(TopicStoreTest, ConcurrentOpeningsAndPublishesLoseNothing) {
  std::atomic<int> published{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          if (publish({"x"})) ++published;
        }
      });
    }
    for (int t = 0; t < 4; ++t) threads.emplace_back([&] { open("c"); });
  }
  EXPECT_EQ(published, 800);
  EXPECT_EQ(number({"XLEN", "lrpc:queue:events:c"}), 800);
}

TEST(Keys, ClusterTagsTheTopic) {
  const Keys plain("lrpc:queue:", "events", false);
  EXPECT_EQ(plain.stream("handler"), "lrpc:queue:events:handler");
  EXPECT_EQ(plain.registry(), "lrpc:queue:events");
  const Keys tagged("lrpc:queue:", "events", true);
  EXPECT_EQ(tagged.stream("handler"), "lrpc:queue:{events}:handler");
  EXPECT_EQ(tagged.delayed("handler"), "lrpc:queue:{events}:handler:delayed");
  EXPECT_EQ(tagged.group("handler"), "events:handler");
}

}  // namespace
}  // namespace lrpc::queue::redis
