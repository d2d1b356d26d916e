// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <ostream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report.hpp"
#include "story.hpp"

/// Histories as bugs leave them, each with the check that must see it. docs/reliability.md has the table.

namespace lrpc::queue::torture {
namespace {

struct Bug {
  std::string name{};
  std::string check{};
  std::function<void(Story&)> happens{};
};

void PrintTo(const Bug& bug, std::ostream* out) { *out << bug.name; }

// NOLINTNEXTLINE(cert-err58-cpp): a list of tests
const std::vector<Bug> kBugs{
    {"ack_before_handle", "lost",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::none, -1);
       s.fault("kill-consumer", 12, 13, "w0.0");
     }},
    {"commit_past_a_gap", "lost",
     [](Story& s) {
       for (int i = 0; i < 5; ++i) s.published("p0:" + std::to_string(i), i);
       for (int i = 0; i < 5; ++i) s.handled_elsewhere("p0:" + std::to_string(i), 10 + i);
       for (const int i : {0, 1, 3, 4}) s.delivered("p0:" + std::to_string(i), "work", "w0.0", 1, 20 + i);
       s.delivered("p0:2", "work", "w0.0", 1, 22, Ending::none, -1);
       s.fault("kill-consumer", 30, 31, "w0.0");
     }},
    {"drop_on_nack", "lost",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::retry);
     }},
    {"rejected_and_no_dead_letter", "lost",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::reject);
     }},
    {"foreign_ack", "foreign_ack",
     [](Story& s) {
       s.published("p0:0", 0);
       s.delivered("p0:0", "work", "w0.0", 1, 1);
       Delivered& late = s.delivered("p0:0", "pull", "n0.0", 1, 10, Ending::handled, 3'000);
       late.answer = Answer::ok;
       late.settle_begin_us = late.end_us;
       s.delivered("p0:0", "pull", "n1.0", 2, 2'100, Ending::none, -1);
       s.fault("pause-consumer", 11, 2'900, "n0.0");
       s.fault("kill-consumer", 3'200, 3'201, "n1.0");
     }},
    {"lease_not_renewed", "unexplained",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::handled, 3'000);
       s.delivered("p0:0", "work", "w1.0", 2, 2'050);
     }},
    {"ack_not_stored", "unexplained",
     [](Story& s) {
       s.good("p0:0", 0);
       s.delivered("p0:0", "work", "w1.0", 2, 30'000);
       s.fault("kill-consumer", 20'000, 20'001, "w0.0");  // long after the ack
     }},
    {"rejected_with_success_and_back", "unexplained",
     [](Story& s) {
       s.published("p0:0", 0);
       s.delivered("p0:0", "work", "w0.0", 1, 1);
       Story::answered(s.delivered("p0:0", "pull", "n0.0", 1, 20'000, Ending::reject), Answer::ok, 5);
       s.delivered("p0:0", "pull", "n0.0", 2, 23'000);
       s.fault("half-open-lines", 0, 0).lurks = true;
     }},
    {"dead_letter_without_its_body", "dead_letter",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::reject);
       s.dead("", "rejected", 1, 11);
     }},
    {"dead_letter_without_its_error", "dead_letter",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::reject);
       s.dead("p0:0", "rejected", 1, 11).has_error = false;
     }},
    {"dead_letter_too_early", "dead_letter",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::retry);
       s.dead("p0:0", "max_retries", 1, 11);
     }},
    {"retry_without_a_cap", "cap",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       for (int i = 1; i <= 4; ++i) s.delivered("p0:0", "work", "w0.0", i, 100 * i, Ending::retry);
       s.delivered("p0:0", "work", "w0.0", 5, 500);
     }},
    {"prefetch_lost_on_close", "lost",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.fault("close-consumer", 5, 100, "w0.0");
     }},
    {"group_rebuilt_at_the_end", "lost",
     [](Story& s) {
       s.good("p0:0", 0);
       s.published("p0:1", 50);
       s.fault("kill-server-aof-always", 60, 200);
       s.good("p0:2", 300);
     }},
    {"delconsumer_with_pending", "lost",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::none, -1);
       s.fault("pause-consumer", 12, 4'000, "w0.0");
     }},
    {"resend_of_an_unknown_outcome", "attempts",
     [](Story& s) {
       s.published("p0:0", 0, Published::unknown);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10);
       s.delivered("p0:0", "work", "w1.0", 1, 900);
       s.fault("swallow-answers", 0, 1'000);
     }},
    {"crash_not_counted", "attempts",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::none, -1);
       s.fault("kill-consumer", 12, 13, "w0.0");
       s.delivered("p0:0", "work", "w1.0", 1, 2'500);
     }},
    {"half_of_a_publish", "lost",
     [](Story& s) {
       s.published("p0:0", 0, Published::unknown);
       s.delivered("p0:0", "work", "w0.0", 1, 10);
     }},
    {"refused_but_stored", "unexpected",
     [](Story& s) {
       s.published("p0:0", 0, Published::refused);
       s.delivered("p0:0", "work", "w0.0", 1, 10);
     }},
    {"out_of_nowhere", "unexpected", [](Story& s) { s.delivered("p0:7", "work", "w0.0", 1, 10); }},
    {"delay_forgotten", "early",
     [](Story& s) {
       s.published("p0:0", 0).due_tick_ms = 500;
       s.delivered("p0:0", "pull", "n0.0", 1, 500);
       s.delivered("p0:0", "work", "w0.0", 1, 10);
     }},
    {"expiry_forgotten", "late",
     [](Story& s) {
       s.published("p0:0", 0).expires_s = 1;
       s.delivered("p0:0", "pull", "n0.0", 1, 10);
       s.delivered("p0:0", "work", "w0.0", 1, 2'500);
     }},
    {"expired_and_no_dead_letter", "lost",
     [](Story& s) {
       s.published("p0:0", 0).expires_s = 1;
       s.handled_elsewhere("p0:0", 1);
       s.good("p0:1", 2'000);
     }},
    {"dead_letter_of_one_not_expired", "dead_letter",
     [](Story& s) {
       s.published("p0:0", 0).expires_s = 10;
       s.handled_elsewhere("p0:0", 1);
       s.dead("p0:0", "expired", 0, 1'000);
     }},
    {"given_up_twice", "unexplained",
     [](Story& s) {
       s.published("p0:0", 0);
       s.handled_elsewhere("p0:0", 1);
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::reject);
       s.dead("p0:0", "rejected", 1, 11);
       s.dead("p0:0", "rejected", 1, 12);
     }},
    {"two_of_a_key_at_once", "key_order",
     [](Story& s) {
       for (const char* const token : {"p0:0", "p0:1"}) {
         s.published(token, 0).key = "k";
         s.handled_elsewhere(token, 1);
       }
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::handled, 20);
       s.delivered("p0:1", "work", "w0.0", 1, 15);
     }},
    {"past_a_retry_of_its_key", "key_order",
     [](Story& s) {
       for (const char* const token : {"p0:0", "p0:1"}) {
         s.published(token, 0).key = "k";
         s.handled_elsewhere(token, 1);
       }
       s.delivered("p0:0", "work", "w0.0", 1, 10, Ending::retry);
       s.delivered("p0:1", "work", "w0.0", 1, 15);
       s.delivered("p0:0", "work", "w0.0", 2, 110);
     }},
    {"a_key_backwards", "key_order",
     [](Story& s) {
       for (const char* const token : {"p0:0", "p0:1"}) {
         s.published(token, 0).key = "k";
         s.handled_elsewhere(token, 1);
       }
       s.delivered("p0:1", "work", "w0.0", 1, 10);
       s.delivered("p0:0", "work", "w0.0", 1, 15);
     }},
    {"a_publisher_backwards", "publisher_order",
     [](Story& s) {
       s.published("p0:0", 0);
       s.published("p0:1", 2);
       s.delivered("p0:1", "pull", "n0.0", 1, 10);
       s.delivered("p0:0", "pull", "n0.0", 1, 12);
       s.delivered("p0:0", "work", "w0.0", 1, 10);
       s.delivered("p0:1", "work", "w0.0", 1, 12);
     }},
    {"one_that_stays_in_flight", "depth",
     [](Story& s) {
       s.good("p0:0", 0);
       s.left("work", 1);
     }},
};

class RecordedBug : public testing::TestWithParam<Bug> {};

TEST_P(RecordedBug, IsCaughtByItsCheck) {
  Story story;
  story.good("p9:0", 0);
  GetParam().happens(story);
  const Verdict verdict = story.verdict();
  EXPECT_FALSE(verdict.ok());
  EXPECT_TRUE(verdict.failed(GetParam().check)) << findings_of(verdict);
}

INSTANTIATE_TEST_SUITE_P(Histories, RecordedBug, testing::ValuesIn(kBugs),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace lrpc::queue::torture
