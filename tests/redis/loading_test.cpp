// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A server that still loads its data: it answers, and refuses (D22).
#include <signal.h>

#include <memory>

#include "queue_fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

/// A server that loads for as long as a test likes.
class Loading : public testing::Test {
 protected:
  /// Starts it again, with what it has now.
  void restart() {
    // It answers now and then between two keys: before Redis 7 after 2 MB.
    const bool old = server_version() < 700;
    must(ask(*must(Client::open(server_.config())),
             {"EVAL", "for i = 1, ARGV[1] do redis.call('SET', 'other' .. i, string.rep('x', ARGV[2])) end", "0",
              old ? "40" : "2000", old ? "2100000" : "2000"}));
    must(ask(*must(Client::open(server_.config())), {"SAVE"}));
    server_.kill();
    if (old) return server_.start("Loading RDB", {"--key-load-delay", "200000"});
    server_.start("Loading RDB", {"--key-load-delay", "50000", "--loading-process-events-interval-bytes", "2000"});
  }
  /// Until then.
  void let_it_finish() {
    EXPECT_TRUE(eventually([&] {
      const auto client = Client::open(server_.config());
      return client && ask(**client, {"CONFIG", "SET", "key-load-delay", "0"}).has_value();
    }));
  }
  RedisServer server_{{"--rdbcompression", "no"}};
};

TEST_F(Loading, D22_calls_say_so) {
  must(Party(server_).topic.pub("before"));
  restart();
  Config config = queue_config(server_);
  const Error opening = error_of_call([&]() -> Result<void> {
    auto queue = Queue::open(config);
    if (!queue) return std::unexpected(queue.error());
    auto topic = queue->topic<std::string>("orders");
    if (!topic) return std::unexpected(topic.error());
    auto published = topic->pub("while loading");
    if (!published) return std::unexpected(published.error());
    return {};
  }());
  EXPECT_EQ(opening.code, ErrorCode::unavailable) << opening.message;
  EXPECT_TRUE(opening.retryable);
  EXPECT_THAT(opening.message, HasSubstr("still loads"));
  let_it_finish();
}

TEST_F(Loading, D1_D22_publishers_and_consumers_outlast_it) {
  Config config = queue_config(server_);
  config.redis_config.max_retries = 10'000;
  Party publisher(config);
  Party subscriber(server_);
  Party waiting(config, "mail");
  must(publisher.topic.pub("before"));
  restart();
  Ledger ledger;
  const Subscription subscription =
      must(subscriber.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
  std::atomic<int> mails{0};
  const std::jthread next([&] {
    while (mails < 2) mails += waiting.channel.next().has_value() ? 1 : 0;
  });
  std::atomic<bool> published{false};
  const std::jthread patient(
      [&] { published = publisher.topic.pub("while loading", {.timeout = seconds(30)}).has_value(); });
  // The server refuses several while it loads.
  EXPECT_TRUE(eventually([&] {
    const auto client = Client::open(server_.config());
    if (!client) return false;
    const auto stats = ask(**client, {"INFO", "errorstats"}, Repeat::safe);
    return stats && stats->text().contains("errorstat_LOADING");
  }));
  EXPECT_FALSE(published);
  let_it_finish();
  EXPECT_TRUE(eventually([&] { return published.load(); }));
  EXPECT_TRUE(eventually([&] { return ledger.has({"before", "while loading"}) && mails == 2; }));
}

}  // namespace
}  // namespace lrpc::queue::redis
