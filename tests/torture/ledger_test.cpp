// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "ledger.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <gtest/gtest.h>

#include "support/process.hpp"

namespace lrpc::queue::torture {
namespace {

class LedgerTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "one.ledger"; }
  [[nodiscard]] History read() const { return read_ledgers(folder_.path()); }

  support::TemporaryFolder folder_;
};

TEST_F(LedgerTest, SaysWhatWasWritten) {
  const std::int64_t before = machine_us() - 1;
  {
    Ledger ledger(file());
    ledger.intent("p0.1:7", "k", 12, 34, false, {.at_us = 56, .wall_ms = 0, .tick_ms = 0});
    ledger.outcome("p0.1:7", Published::refused, "unavailable");
    ledger.delivered("w0.0", 3, "p0.1:7", "work", 2, {.at_us = 60, .wall_ms = 61, .tick_ms = 62});
    ledger.ended("w0.0", 3, Ending::retry_same);
    ledger.settled("w0.0", 3, Answer::unknown, "timeout", 99);
    ledger.delivered("w0.0", 4, "p0.1:8", "work", 1, {.at_us = 63, .wall_ms = 64, .tick_ms = 65});
    ledger.settled("w0.0", 4, Answer::ok, "", 101);
    ledger.life("w0.0");
    ledger.dead(
        {.token = "p0.1:7", .channel = "work", .reason = "rejected", .attempts = 2, .has_error = true, .wall_ms = 70});
    ledger.dead({.token = "", .channel = "work", .reason = "", .attempts = 0, .has_error = false, .wall_ms = 0});
    ledger.fault({.name = "cut",
                  .begin_us = 1,
                  .end_us = 2,
                  .target = "w0.0",
                  .spreads = true,
                  .redelivers = true,
                  .reorders = false,
                  .moves_clock = true,
                  .reach_ms = 5,
                  .may_lose_ms = 6,
                  .lurks = true,
                  .cuts = false});
    ledger.fault({.name = "cut", .cuts = true});
    ledger.depth("work", 4, 80);
  }
  const History history = read();
  const Intent& intent = history.intents.at("p0.1:7");
  EXPECT_EQ(intent.publisher, "p0.1");
  EXPECT_EQ(intent.number, 7);
  EXPECT_EQ(intent.key, "k");
  EXPECT_EQ(intent.due_tick_ms, 12);
  EXPECT_EQ(intent.expires_s, 34);
  EXPECT_FALSE(intent.ordered);
  EXPECT_EQ(intent.begin_us, 56);
  EXPECT_EQ(intent.outcome, Published::refused);
  EXPECT_EQ(intent.code, "unavailable");
  ASSERT_EQ(history.deliveries.size(), 2U);
  const Delivered& d = history.deliveries.front();
  EXPECT_EQ(d.consumer, "w0.0");
  EXPECT_EQ(d.token, "p0.1:7");
  EXPECT_EQ(d.attempts, 2);
  EXPECT_EQ(d.wall_ms, 61);
  EXPECT_EQ(d.tick_ms, 62);
  EXPECT_EQ(d.ending, Ending::retry_same);
  EXPECT_EQ(d.answer, Answer::unknown);
  EXPECT_EQ(d.answer_code, "timeout");
  EXPECT_EQ(d.settle_begin_us, 99);
  EXPECT_GT(d.settle_end_us, before);
  EXPECT_EQ(history.deliveries[1].answer, Answer::ok);
  EXPECT_EQ(history.deliveries[1].answer_code, "");
  EXPECT_EQ(history.deliveries[1].ending, Ending::none);
  EXPECT_GT(history.lives.at("w0.0"), before);
  ASSERT_EQ(history.dead.size(), 2U);
  EXPECT_EQ(history.dead[0].reason, "rejected");
  EXPECT_TRUE(history.dead[0].has_error);
  EXPECT_EQ(history.dead[1].token, "");
  ASSERT_EQ(history.faults.size(), 2U);
  EXPECT_EQ(history.faults[0].target, "w0.0");
  EXPECT_TRUE(history.faults[0].spreads);
  EXPECT_TRUE(history.faults[0].moves_clock);
  EXPECT_FALSE(history.faults[0].reorders);
  EXPECT_EQ(history.faults[0].may_lose_ms, 6);
  EXPECT_TRUE(history.faults[0].lurks);
  EXPECT_FALSE(history.faults[0].cuts);
  EXPECT_FALSE(history.faults[1].lurks);
  EXPECT_TRUE(history.faults[1].cuts);
  EXPECT_EQ(history.depths.at("work"), 4);
  EXPECT_EQ(history.end_wall_ms, 80);
}

TEST_F(LedgerTest, SurvivesKill9) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Ledger ledger(file());
    for (int i = 0; i < 100; ++i) ledger.outcome("p0:" + std::to_string(i), Published::accepted, "");
    ::raise(SIGKILL);
    std::_Exit(EXIT_FAILURE);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(read().intents.size(), 100U);
}

TEST_F(LedgerTest, ALastLineThatIsCutOffIsNotThere) {
  std::ofstream(file()) << "O p0:0 1 - 5\nO p0:1 1 - 5";
  const History history = read();
  EXPECT_EQ(history.intents.size(), 1U);
}

TEST_F(LedgerTest, AnyOtherDamageIsTold) {
  std::ofstream(file()) << "O p0:0 one - 5\nO p0:1 1 - 5\n";
  EXPECT_THROW(static_cast<void>(read()), std::runtime_error);
}

}  // namespace
}  // namespace lrpc::queue::torture
