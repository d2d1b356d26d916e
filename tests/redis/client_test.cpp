// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The client against a real server: logins, sharing, time-outs, lost servers, and the fields of RedisConfig as they are
// seen from outside.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

/// How many connections of ours the server sees, the observer's own excepted.
std::size_t connections(Client& observer) {
  const std::string list(must(ask(observer, {"CLIENT", "LIST"})).text());
  std::size_t count = 0;
  for (auto at = list.find("name=lrpc-queue "); at != std::string::npos; at = list.find("name=lrpc-queue ", at + 1)) {
    ++count;
  }
  return count;
}

class ClientTest : public testing::Test {
 protected:
  RedisServer server_;
};

TEST_F(ClientTest, AsksAndHears) {
  const auto client = must(Client::open(server_.config()));
  EXPECT_EQ(must(ask(*client, {"PING"})).text(), "PONG");
  EXPECT_EQ(must(ask(*client, {"SET", "k", "v"})).text(), "OK");
  EXPECT_EQ(must(ask(*client, {"GET", "k"})).text(), "v");
  EXPECT_TRUE(must(ask(*client, {"GET", "none"})).is_nil());
  EXPECT_EQ(must(ask(*client, {"INCR", "n"})).number(), 1);
  EXPECT_EQ(must(ask(*client, {"GET", "n"})).number(), 1);
  EXPECT_EQ(must(ask(*client, {"RPUSH", "l", "a", "b"})).number(), 2);
  const Reply list = must(ask(*client, {"LRANGE", "l", "0", "-1"}));
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[1].text(), "b");
}

TEST_F(ClientTest, CarriesAnyBytesAndLargeBodies) {
  const auto client = must(Client::open(server_.config()));
  std::string body(8 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7);
  must(ask(*client, {"SET", std::string_view("k\r\n\0", 4), body}));
  EXPECT_EQ(must(ask(*client, {"GET", std::string_view("k\r\n\0", 4)})).text(), body);
}

TEST_F(ClientTest, RepliesOfOnePipelineComeInOrder) {
  const auto client = must(Client::open(server_.config()));
  Pipeline pipeline;
  for (std::int64_t i = 0; i < 5'000; ++i) pipeline.begin(2).arg("ECHO").arg(i);
  const auto replies = must(client->call(pipeline, in(kPatience), Repeat::no));
  ASSERT_EQ(replies.size(), 5'000U);
  for (std::size_t i = 0; i < replies.size(); ++i) ASSERT_EQ(replies[i].text(), std::to_string(i));
}

TEST_F(ClientTest, ManyCallersShareFewConnections) {
  RedisConfig config = server_.config();
  config.pool_size = 2;
  const auto client = must(Client::open(config));
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 16; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 300; ++i) {
          const std::string text = std::to_string(t) + "/" + std::to_string(i);
          Pipeline two;
          two.add({"ECHO", text}).add({"ECHO", text + "!"});
          const auto replies = client->call(two, in(kPatience), Repeat::no);
          if (!replies || (*replies)[0].text() != text || (*replies)[1].text() != text + "!") ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(connections(*client), 2U);
}

TEST_F(ClientTest, ErrorRepliesSayWhatToDo) {
  const auto client = must(Client::open(server_.config()));
  must(ask(*client, {"SET", "k", "v"}));
  const Error wrong_type = error_of_call(ask(*client, {"XLEN", "k"}));
  EXPECT_EQ(wrong_type.code, ErrorCode::backend);
  EXPECT_THAT(wrong_type.message, HasSubstr("key_prefix"));
  must(ask(*client, {"CONFIG", "SET", "maxmemory", "1"}));
  const Error full = error_of_call(ask(*client, {"SET", "k", "w"}));
  EXPECT_EQ(full.code, ErrorCode::queue_full);
  EXPECT_TRUE(full.retryable);
  EXPECT_THAT(full.message, HasSubstr("maxmemory"));
}

TEST_F(ClientTest, NoServerIsUnavailable) {
  RedisConfig config = server_.config();
  config.addr = "127.0.0.1:" + std::to_string(free_port());
  const Error refused = error_of_call(Client::open(config));
  EXPECT_EQ(refused.code, ErrorCode::unavailable);
  EXPECT_THAT(refused.message, HasSubstr(config.addr));
  config.addr = server_.file("none.sock");
  EXPECT_EQ(error_of_call(Client::open(config)).code, ErrorCode::unavailable);
}

TEST_F(ClientTest, DialTimeoutBoundsTheLogin) {
  server_.signal(SIGSTOP);  // the kernel still accepts connections for it
  RedisConfig config = server_.config();
  config.dial_timeout = milliseconds(100);
  const Error error = error_of_call(Client::open(config));  // or the test's own time-out ends it
  EXPECT_TRUE(error.code == ErrorCode::timeout || error.code == ErrorCode::unavailable) << to_string(error.code);
  server_.signal(SIGCONT);
}

TEST_F(ClientTest, ReadTimeoutGivesTheConnectionUp) {
  RedisConfig config = server_.config();
  config.read_timeout = milliseconds(100);
  const auto client = must(Client::open(config));
  server_.signal(SIGSTOP);
  const Error error = error_of_call(ask(*client, {"PING"}));
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("read_timeout"));
  server_.signal(SIGCONT);
  // On a new connection; on a busy machine a try may take longer than this read_timeout, too.
  EXPECT_TRUE(eventually([&] { return ask(*client, {"PING"}, Repeat::safe).has_value(); }));
}

TEST_F(ClientTest, WriteTimeoutBoundsASendThatNobodyTakes) {
  RedisConfig config = server_.config();
  config.write_timeout = milliseconds(100);
  const auto client = must(Client::open(config));
  server_.signal(SIGSTOP);
  const std::string body(64 << 20, 'x');  // more than any socket's buffers
  const Error error = error_of_call(ask(*client, {"SET", "k", body}));
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("write_timeout"));
  server_.signal(SIGCONT);
}

TEST_F(ClientTest, ACallsDeadlineLeavesTheConnectionToOthers) {
  RedisConfig config = server_.config();
  config.pool_size = 1;
  const auto client = must(Client::open(config));
  const std::int64_t id = must(ask(*client, {"CLIENT", "ID"})).number().value_or(0);
  const Error error = error_of_call(ask(*client, {"BLPOP", "none", "0.3"}, Repeat::no, milliseconds(50)));
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  // The late reply goes to nobody, the next one to its caller.
  EXPECT_EQ(must(ask(*client, {"ECHO", "mine"})).text(), "mine");
  EXPECT_EQ(must(ask(*client, {"CLIENT", "ID"})).number(), id) << "another connection";
}

TEST_F(ClientTest, KilledServerInTheMiddleOfACall) {
  RedisConfig config = server_.config();
  config.max_retries = 0;
  const auto client = must(Client::open(config));
  std::jthread killer([&] {
    std::this_thread::sleep_for(milliseconds(50));
    server_.signal(SIGKILL);
  });
  EXPECT_EQ(error_of_call(ask(*client, {"BLPOP", "none", "0"})).code, ErrorCode::outcome_unknown);
  killer.join();
  server_.await_end();
  EXPECT_EQ(error_of_call(ask(*client, {"PING"})).code, ErrorCode::unavailable) << "nothing was sent";
  server_.start();
  EXPECT_EQ(must(ask(*client, {"PING"})).text(), "PONG");
}

TEST_F(ClientTest, RetriesWhatWasNotSentWhileTheServerIsAway) {
  RedisConfig config = server_.config();
  config.max_retries = 50;
  const auto client = must(Client::open(config));
  server_.signal(SIGKILL);
  server_.await_end();
  static_cast<void>(ask(*client, {"PING"}, Repeat::no, milliseconds(20)));  // finds the connection gone
  std::jthread starter([&] {
    std::this_thread::sleep_for(milliseconds(200));
    server_.start();
  });
  EXPECT_EQ(must(ask(*client, {"INCR", "n"})).number(), 1);
  starter.join();
  EXPECT_EQ(must(ask(*client, {"GET", "n"})).number(), 1) << "sent twice";
}

TEST_F(ClientTest, RepeatsAnUnknownOutcomeOnlyWhereItIsSafe) {
  RedisConfig config = server_.config();
  config.max_retries = 3;
  const auto client = must(Client::open(config));
  const auto other = must(Client::open(config));
  const auto kill_during = [&](Repeat repeat) {
    std::jthread killer([&] {
      std::this_thread::sleep_for(milliseconds(50));
      must(ask(*other, {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}));
      must(ask(*other, {"RPUSH", "l", "late"}));
    });
    return ask(*client, {"BLPOP", "l", "0"}, repeat);
  };
  EXPECT_EQ(error_of_call(kill_during(Repeat::no)).code, ErrorCode::outcome_unknown);
  EXPECT_EQ(must(ask(*other, {"DEL", "l"})).number(), 1);
  EXPECT_EQ(must(kill_during(Repeat::safe))[1].text(), "late");
}

TEST_F(ClientTest, PoolSizeBoundsTheConnections) {
  RedisConfig config = server_.config();
  config.pool_size = 3;
  const auto client = must(Client::open(config));
  const auto observer = must(Client::open(server_.config()));
  EXPECT_EQ(connections(*observer), 2U) << "one each";
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 12; ++t) threads.emplace_back([&] { static_cast<void>(ask(*client, {"BLPOP", "l", "0"})); });
    EXPECT_TRUE(eventually([&] { return connections(*observer) == 4; }));
    for (int t = 0; t < 12; ++t) must(ask(*observer, {"RPUSH", "l", "x"}));
  }
  EXPECT_EQ(connections(*observer), 4U);
}

TEST_F(ClientTest, MinIdleConnectionsAreOpenAtOnce) {
  RedisConfig config = server_.config();
  config.min_idle_conns = 5;
  const auto observer = must(Client::open(server_.config()));
  const auto client = must(Client::open(config));
  EXPECT_EQ(connections(*observer), 6U);
  config.pool_size = 2;
  const auto small = must(Client::open(config));
  EXPECT_EQ(connections(*observer), 8U) << "never more than pool_size";
}

TEST_F(ClientTest, PoolTimeoutBoundsTheWaitForAConnection) {
  RedisConfig config = server_.config();
  config.pool_size = 1;
  config.pool_timeout = milliseconds(50);
  config.max_retries = 0;
  config.read_timeout = seconds(30);
  const auto client = must(Client::open(config));
  std::atomic<bool> over{false};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 128; ++t) {
    threads.emplace_back([&] {
      // Again, should the test's own call have taken the last place.
      while (!over && !ask(*client, {"BLPOP", "l", "0"}, Repeat::no, seconds(30))) {
      }
    });
  }
  Error error;
  EXPECT_TRUE(eventually([&] {
    const auto result = ask(*client, {"RPUSH", "l", "x"}, Repeat::no, milliseconds(200));
    if (!result) error = result.error();
    return !result && result.error().code == ErrorCode::unavailable;
  }));
  EXPECT_THAT(error.message, HasSubstr("pool_timeout"));
  over = true;
  client->close();
}

TEST_F(ClientTest, TimeOutsOfAnyLength) {
  RedisConfig config = server_.config();
  config.dial_timeout = config.read_timeout = config.write_timeout = config.pool_timeout = Duration::max();
  const auto client = must(Client::open(config));
  EXPECT_EQ(must(client->command("PING", command({"PING"}), SteadyTime::max(), Repeat::no)).text(), "PONG");
  EXPECT_GT(client->usual_time(), Duration(0));
}

TEST_F(ClientTest, NothingIsSentAfterTheDeadline) {
  const auto client = must(Client::open(server_.config()));
  EXPECT_EQ(error_of_call(client->call(command({"INCR", "n"}), in(Duration(-1)), Repeat::no)).code, ErrorCode::timeout);
  EXPECT_TRUE(must(ask(*client, {"GET", "n"})).is_nil());
}

TEST_F(ClientTest, CloseEndsCalls) {
  const auto client = must(Client::open(server_.config()));
  std::jthread closer([&] {
    std::this_thread::sleep_for(milliseconds(50));
    client->close();
  });
  EXPECT_FALSE(ask(*client, {"BLPOP", "none", "0"}).has_value());
  EXPECT_EQ(error_of_call(ask(*client, {"PING"})).code, ErrorCode::unavailable);
}

TEST_F(ClientTest, DatabaseIsSelected) {
  RedisConfig config = server_.config();
  const auto zero = must(Client::open(config));
  config.db = 3;
  const auto three = must(Client::open(config));
  must(ask(*three, {"SET", "k", "v"}));
  EXPECT_TRUE(must(ask(*zero, {"GET", "k"})).is_nil());
  config.db = 99;
  const Error error = error_of_call(Client::open(config));
  EXPECT_EQ(error.code, ErrorCode::invalid_config);
  EXPECT_THAT(error.message, HasSubstr("SELECT"));
}

TEST(ClientLogin, Passwords) {
  const RedisServer server({"--requirepass", "secret"});
  RedisConfig config = server.config();
  const Error none = error_of_call(Client::open(config));
  EXPECT_EQ(none.code, ErrorCode::permission);
  EXPECT_THAT(none.message, HasSubstr("redis_config.password"));
  config.password = "hidden";
  const Error wrong = error_of_call(Client::open(config));
  EXPECT_EQ(wrong.code, ErrorCode::permission);
  EXPECT_EQ(wrong.message.find("hidden"), std::string::npos);
  config.password = "secret";
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"PING"})).text(), "PONG");
  config.password.clear();
  config.url = "redis://:secret@" + server.address();
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"PING"})).text(), "PONG");
}

TEST(ClientLogin, AclUsersAndTheirLimits) {
  const RedisServer server({"--user", "worker", "on", ">pass", "~lrpc:*", "+@all", "-@dangerous"});
  RedisConfig config = server.config();
  config.username = "worker";
  config.password = "pass";
  const auto client = must(Client::open(config));
  must(ask(*client, {"SET", "lrpc:k", "v"}));
  EXPECT_EQ(error_of_call(ask(*client, {"SET", "other", "v"})).code, ErrorCode::permission);
  EXPECT_EQ(error_of_call(ask(*client, {"FLUSHALL"})).code, ErrorCode::permission);
}

TEST(ClientLogin, UnixSocket) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "redis.sock").string();
  const RedisServer server({"--unixsocket", path});
  RedisConfig config = server.config();
  config.addr = path;
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"PING"})).text(), "PONG");
  config.url = "unix://" + path;
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"PING"})).text(), "PONG");
}

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!server_has_tls()) GTEST_SKIP() << "this server cannot do TLS";
  }
  [[nodiscard]] RedisConfig config(const RedisServer& server) const {
    RedisConfig config = server.config();
    config.tls = {.enabled = true, .ca_file = certificates_.file("ca.crt")};
    return config;
  }
  [[nodiscard]] std::vector<std::string> options(const char* clients) const {
    return {
        "--tls-cert-file",    certificates_.file("server.crt"), "--tls-key-file",     certificates_.file("server.key"),
        "--tls-ca-cert-file", certificates_.file("ca.crt"),     "--tls-auth-clients", clients};
  }
  const Certificates certificates_;
};

TEST_F(TlsTest, EncryptsAndChecksTheServer) {
  const RedisServer server(options("no"));
  RedisConfig config = this->config(server);
  const auto client = must(Client::open(config));
  const std::string body(1 << 20, 'x');
  must(ask(*client, {"SET", "k", body}));
  EXPECT_EQ(must(ask(*client, {"GET", "k"})).text(), body);

  config.tls.ca_file.clear();
  const Error stranger = error_of_call(Client::open(config));
  EXPECT_EQ(stranger.code, ErrorCode::permission);
  EXPECT_THAT(stranger.message, HasSubstr("ca_file"));
  config.tls.verify = false;
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"PING"})).text(), "PONG");

  config = this->config(server);
  config.tls.server_name = "redis.example";
  EXPECT_EQ(error_of_call(Client::open(config)).code, ErrorCode::permission);
  config.tls.server_name = "localhost";
  EXPECT_TRUE(Client::open(config).has_value());

  config = this->config(server);
  config.tls.enabled = false;
  config.url = "rediss://localhost:" + std::to_string(server.port());
  EXPECT_TRUE(Client::open(config).has_value());
}

TEST_F(TlsTest, ManyThreadsShareAnEncryptedConnection) {
  const RedisServer server(options("no"));
  RedisConfig config = this->config(server);
  config.pool_size = 1;
  const auto client = must(Client::open(config));
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        const std::string body(20'000, static_cast<char>('a' + t));
        for (int i = 0; i < 100; ++i) {
          const auto reply = ask(*client, {"ECHO", body});
          if (!reply || reply->text() != body) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST_F(TlsTest, ClientCertificates) {
  const RedisServer server(options("yes"));
  RedisConfig config = this->config(server);
  EXPECT_FALSE(Client::open(config).has_value());
  config.tls.cert_file = certificates_.file("server.crt");
  config.tls.key_file = certificates_.file("server.key");
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"PING"})).text(), "PONG");
  config.tls.key_file = certificates_.file("none.key");
  const Error error = error_of_call(Client::open(config));
  EXPECT_EQ(error.code, ErrorCode::invalid_config);
  EXPECT_THAT(error.message, HasSubstr("key_file"));
}

TEST_F(TlsTest, ServerThatSpeaksPlainTextIsAnError) {
  const RedisServer server;
  RedisConfig config = this->config(server);
  config.dial_timeout = milliseconds(500);
  EXPECT_FALSE(Client::open(config).has_value());
}

TEST_F(TlsTest, KilledServerDoesNotEndTheProcess) {
  RedisServer server(options("no"));
  RedisConfig config = this->config(server);
  config.max_retries = 0;
  const auto client = must(Client::open(config));
  server.signal(SIGKILL);
  server.await_end();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(ask(*client, {"PING"}).has_value());
}

}  // namespace
}  // namespace lrpc::queue::redis
