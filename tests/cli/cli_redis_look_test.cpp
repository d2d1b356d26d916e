// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// tail and doctor: the commands that only look.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "fixture.hpp"
#include "proxy.hpp"
#include "redis_rig.hpp"

namespace lrpc::queue::test {
namespace {

// Also when nothing had come yet; what is published meanwhile is printed afterwards.
TEST(RedisTail, D22_SaysThatTheConnectionWasLostAndGoesOn) {
  const RedisRig rig;
  redis::Proxy line(rig.server);
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  Process process({"--redis", line.address(), "tail", "t", "c"});
  const auto client = redis::must(redis::Client::open(rig.server.config()));
  const auto waits = [&] {
    const auto clients = redis::ask(*client, {"INFO", "clients"}, redis::Repeat::safe);
    return clients && clients->text().contains("blocked_clients:1\r\n");
  };
  ASSERT_TRUE(redis::eventually(waits));
  line.accept(false);
  line.cut();
  ASSERT_TRUE(process.wait_for_error("trying again"));
  static_cast<void>(rig.out({"pub", "t", "meanwhile"}));
  line.accept(true);
  EXPECT_TRUE(process.wait_for_output("meanwhile\n"));
  static_cast<void>(rig.out({"pub", "t", "afterwards"}));
  EXPECT_TRUE(process.wait_for_output("afterwards\n"));
  process.signal(SIGINT);
  const RunResult result = process.wait();
  EXPECT_EQ(result.out, "meanwhile\nafterwards\n");
  EXPECT_EQ(lines_of(result.err).size(), 1U) << "said once: " << result.err;
}

/// Sends one command, as another program would.
void send_command(const redis::RedisServer& server, const std::vector<std::string>& words) {
  std::string request = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) request += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::array<char, 256> reply{};
  ASSERT_GT(::read(fd, reply.data(), reply.size()), 0);
  EXPECT_NE(reply[0], '-') << reply.data();
  ::close(fd);
}

TEST(RedisTail, AndSubShowWhatOtherProgramsWroteOnALine) {
  const RedisRig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  for (const char* const body : {"\x80\x01"
                                 "bin",
                                 "{\n \"a\": 1}", "bare"}) {
    send_command(rig.server, {"XADD", "lrpc:queue:t:c", "*", "id", "x", "body", body, "timestamp", "7"});
  }
  const auto seen = rig.json({"tail", "t", "c", "--from-start", "--max", "3"});
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].at("body"), nullptr);
  EXPECT_EQ(seen[0].at("body_base64"), "gAFiaW4=");
  EXPECT_EQ(seen[1].at("body"), nlohmann::json::parse("{\"a\":1}"));
  EXPECT_FALSE(seen[1].contains("body_base64"));
  EXPECT_EQ(seen[2].at("body_base64"), "YmFyZQ==");
  EXPECT_EQ(seen[2].at("timestamp"), 7);
  EXPECT_EQ(rig.out({"sub", "t", "c", "--max", "1", "--exec", "cat", "--concurrency", "1"}),
            "\x80\x01"
            "bin");
  EXPECT_EQ(rig.json({"sub", "t", "c", "--max", "1"}).size(), 1U);
  EXPECT_EQ(rig.out({"sub", "t", "c", "--max", "1"}), "bare\n");
  EXPECT_EQ(rig.json({"stats", "t", "c"}).at(0).at("dead"), 0);
}

TEST(RedisTail, SeveralChannelsMustBeNamedAndMissingOnesAreErrors) {
  const RedisRig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c", "--add", "d"}));
  const RunResult several = rig.run({"tail", "t", "--max", "1"});
  EXPECT_EQ(several.exit_code, 2);
  EXPECT_NE(several.err.find(R"(["c","d"])"), std::string::npos) << several.err;
  EXPECT_EQ(rig.run({"tail", "t", "e", "--max", "1"}).exit_code, 1);
  EXPECT_EQ(rig.run({"tail", "u", "--max", "1"}).exit_code, 1);
  EXPECT_EQ(rig.out({"channels", "t"}), "c\nd\n");
}

TEST(RedisDoctor, TellsOfASoundServerAndOfOneThatLosesMessages) {
  const redis::RedisServer sound({"--appendonly", "yes", "--maxmemory-policy", "noeviction"});
  const RunResult good = run({"doctor", "--redis", sound.address(), "--json"});
  EXPECT_EQ(good.exit_code, 0) << good.err << good.out;
  const auto diagnosis = nlohmann::json::parse(good.out);
  EXPECT_NE(diagnosis.at("server").get<std::string>().find("edis"), std::string::npos) << good.out;
  for (const auto& finding : diagnosis.at("findings")) EXPECT_NE(finding.at("level"), "error") << good.out;

  const redis::RedisServer evicting({"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"});
  const RunResult bad = run({"doctor", "--redis", evicting.address(), "--json"});
  EXPECT_EQ(bad.exit_code, 1) << bad.out;
  const auto findings = nlohmann::json::parse(bad.out).at("findings");
  EXPECT_TRUE(std::ranges::any_of(findings, [](const auto& finding) {
    return finding.at("level") == "error" && finding.at("what").template get<std::string>().contains("allkeys-lru");
  })) << bad.out;
  const RunResult text = run({"doctor", "--redis", evicting.address()});
  EXPECT_TRUE(text.out.starts_with("server: ")) << text.out;
  EXPECT_NE(text.out.find("\nerror: "), std::string::npos) << text.out;
}

}  // namespace
}  // namespace lrpc::queue::test
