// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What operators ask of a real server: tail and diagnose.
#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "queue_fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Tail : public testing::Test {
 protected:
  TailPage<std::string> tail(std::string_view cursor, std::size_t limit = 10, Duration wait = Duration(0)) {
    return must(party_.topic.tail("billing", cursor, limit, wait));
  }
  static std::vector<std::string> bodies(const TailPage<std::string>& page) {
    std::vector<std::string> list;
    for (const auto& message : page.items) list.push_back(message.body());
    return list;
  }
  RedisServer server_;
  Party party_{server_};
};

TEST_F(Tail, ReadsPageAfterPageAndTakesNothing) {
  must(party_.topic.pub_batch({"1", "2", "3"}));
  const auto first = tail("0", 2);
  EXPECT_THAT(bodies(first), ElementsAre("1", "2"));
  EXPECT_EQ(first.items[0].attempts(), 0);
  const auto second = tail(first.cursor);
  EXPECT_THAT(bodies(second), ElementsAre("3"));
  const auto third = tail(second.cursor);
  EXPECT_THAT(bodies(third), IsEmpty());
  EXPECT_EQ(third.cursor, second.cursor);
  EXPECT_EQ(must(party_.channel.stats()).ready, 3);
  const auto taken = await_message(party_.channel);
  EXPECT_EQ(taken.attempts(), 1) << "a look does not count";
  EXPECT_EQ(tail("0").items[0].attempts(), 1);
}

TEST_F(Tail, WaitsForWhatComesFromNowOn) {
  must(party_.topic.pub("old"));
  const auto now = tail("");
  EXPECT_THAT(bodies(now), IsEmpty());
  std::jthread publisher([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    must(party_.topic.pub("new"));
  });
  EXPECT_THAT(bodies(tail(now.cursor, 10, kPatience)), ElementsAre("new"));
}

TEST_F(Tail, D20_EndsWithTheTopic) {
  std::jthread closer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    static_cast<void>(party_.topic.close());
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of_call(party_.topic.tail("billing", "", 10, kPatience)).code, ErrorCode::topic_closed);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST_F(Tail, NamesWhatIsWrong) {
  EXPECT_EQ(error_of_call(party_.topic.tail("none", "0", 10, Duration(0))).code, ErrorCode::channel_not_found);
  EXPECT_EQ(error_of_call(party_.topic.tail("billing", "x", 10, Duration(0))).code, ErrorCode::invalid_argument);
  must(party_.topic.delete_channel("billing"));
  EXPECT_EQ(error_of_call(party_.topic.tail("billing", "0", 10, Duration(0))).code, ErrorCode::channel_not_found);
}

bool finds(const Diagnosis& diagnosis, Finding::Level level, std::string_view what) {
  return std::ranges::any_of(diagnosis.findings, [&](const Finding& finding) {
    return finding.level == level && finding.what.find(what) != std::string::npos;
  });
}

TEST(Diagnose, NamesWhatEndangersThePromises) {
  const RedisServer server({"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"});
  const Diagnosis diagnosis = must(must(Queue::open(queue_config(server))).diagnose());
  EXPECT_NE(diagnosis.server.find(server.address()), std::string::npos);
  EXPECT_TRUE(finds(diagnosis, Finding::Level::warning, "appendonly is no"));
  EXPECT_TRUE(finds(diagnosis, Finding::Level::error, "allkeys-lru"));
  for (const Finding& finding : diagnosis.findings) {
    EXPECT_EQ(finding.advice.empty(), finding.level == Finding::Level::ok) << finding.what;
  }
}

TEST(Diagnose, IsContentWithASafeServer) {
  const RedisServer server(kDurable);
  const Diagnosis diagnosis = must(must(Queue::open(queue_config(server))).diagnose());
  EXPECT_TRUE(finds(diagnosis, Finding::Level::ok, "appendfsync always"));
  EXPECT_TRUE(std::ranges::all_of(diagnosis.findings, [](const Finding& f) { return f.level == Finding::Level::ok; }));
}

TEST(Diagnose, SaysWhatItMayNotSee) {
  const RedisServer server({"--user", "worker", "on", ">pass", "~*", "+@all", "-info", "-config"});
  Config config = queue_config(server);
  config.redis_config.username = "worker";
  config.redis_config.password = "pass";
  const Diagnosis diagnosis = must(must(Queue::open(std::move(config))).diagnose());
  EXPECT_TRUE(finds(diagnosis, Finding::Level::warning, "may not read INFO"));
}

}  // namespace
}  // namespace lrpc::queue::redis
