// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report.hpp"
#include "story.hpp"

/// What the answer of a settlement explains: a message comes again when its settlement failed (D1, D10), and a fault
/// must have made it fail. One that was answered with success explains nothing, whatever lines did before.

namespace lrpc::queue::torture {
namespace {

/// A message that its consumer rejects or acks at 20,000 ms and that comes again at 27,000.
class ComesAgain {
 public:
  explicit ComesAgain(Ending ending = Ending::reject) {
    story_.published("p0:0", 0);
    story_.delivered("p0:0", "work", "w0.0", 1, 1);
    first_ = story_.history().deliveries.size();
    story_.delivered("p0:0", "pull", "n0.0", 1, 19'999, ending, 1);
    story_.delivered("p0:0", "pull", "n1.0", 2, 27'000);
  }
  ComesAgain& answered(Answer answer, std::int64_t after = 6'000) {
    Story::answered(story_.delivery(first_), answer, after);
    return *this;
  }
  /// Lines that are found dead whenever somebody uses them.
  ComesAgain& half_open(std::int64_t at) {
    story_.fault("half-open-lines", at, at).lurks = true;
    return *this;
  }
  ComesAgain& cut(std::int64_t at) {
    story_.fault("cut-lines", at, at).cuts = true;
    return *this;
  }
  ComesAgain& fault(std::int64_t from, std::int64_t to, const std::string& target = "") {
    story_.fault("stall-answers", from, to, target);
    return *this;
  }
  ComesAgain& began(const std::string& consumer, std::int64_t at) {
    story_.began(consumer, at);
    return *this;
  }
  [[nodiscard]] Verdict verdict() const { return story_.verdict(); }
  [[nodiscard]] bool is_explained() const {
    const Verdict result = verdict();
    EXPECT_EQ(result.duplicated + result.unexplained, 1) << findings_of(result);
    EXPECT_EQ(result.ok(), result.unexplained == 0) << findings_of(result);
    return result.unexplained == 0;
  }

 private:
  Story story_;
  std::size_t first_ = 0;
};

TEST(Settlement, D1_AnsweredWithSuccessIsNotToComeAgain) {
  EXPECT_FALSE(ComesAgain().answered(Answer::ok).is_explained());
  EXPECT_FALSE(ComesAgain(Ending::handled).answered(Answer::ok, 0).is_explained());
}

TEST(Settlement, D1_NorDoesADeadLineExplainWhatWasAnsweredWithSuccess) {
  EXPECT_FALSE(ComesAgain().answered(Answer::ok).half_open(0).is_explained());
  EXPECT_FALSE(ComesAgain().answered(Answer::ok).half_open(15'000).is_explained());
}

TEST(Settlement, D1_NorAFaultThatCameWhenASuccessWasOnItsWay) {
  EXPECT_FALSE(ComesAgain().answered(Answer::ok).fault(23'000, 24'000).is_explained());
  EXPECT_TRUE(ComesAgain().answered(Answer::ok).fault(20'000, 20'500).is_explained());  // as ever
}

TEST(Settlement, D10_OfUnknownOutcomeOnALineFoundDeadLateIsExplained) {
  const ComesAgain story = std::move(ComesAgain().answered(Answer::unknown).half_open(0));
  EXPECT_TRUE(story.is_explained());
  EXPECT_EQ(story.verdict().not_settled, 1);
  EXPECT_EQ(story.verdict().failed_settlements, 1);
}

TEST(Settlement, D10_OfUnknownOutcomeWithoutAnyFaultIsReported) {
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).is_explained());
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).half_open(26'500).is_explained());    // after the answer
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).fault(1'000, 2'000).is_explained());  // over, and leaves nothing
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).cut(10'000).is_explained());          // likewise
}

TEST(Settlement, D10_LinesThatWereCutSinceAreNoDeadOnes) {
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).half_open(0).cut(10'000).is_explained());
  EXPECT_TRUE(ComesAgain().answered(Answer::unknown).cut(0).half_open(10'000).is_explained());
  EXPECT_TRUE(ComesAgain().answered(Answer::unknown).half_open(0).cut(26'500).is_explained());  // too late
}

TEST(Settlement, D10_AProcessThatBeganLaterHadNoLine) {
  EXPECT_TRUE(ComesAgain().answered(Answer::unknown).half_open(5'000).began("n0.0", 4'000).is_explained());
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).half_open(5'000).began("n0.0", 6'000).is_explained());
}

TEST(Settlement, D10_OfUnknownOutcomeIsExplainedByAFaultWhileTheCallLasted) {
  EXPECT_TRUE(ComesAgain().answered(Answer::unknown).fault(23'000, 24'000).is_explained());
  EXPECT_TRUE(ComesAgain().answered(Answer::unknown).fault(23'000, 24'000, "n0.0").is_explained());
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).fault(23'000, 24'000, "n1.0").is_explained());
  EXPECT_FALSE(ComesAgain().answered(Answer::unknown).fault(26'100, 26'200).is_explained());
}

TEST(Settlement, D10_WhatFailedForAnotherReasonDidNotFailByADeadLine) {
  for (const Answer answer : {Answer::refused, Answer::failed}) {
    EXPECT_FALSE(ComesAgain().answered(answer).half_open(0).is_explained());
    EXPECT_FALSE(ComesAgain().answered(answer).is_explained());
    EXPECT_TRUE(ComesAgain().answered(answer).fault(23'000, 24'000).is_explained());
  }
}

TEST(Settlement, D10_WhoWasGivenItBeforeTheCallWasNotGivenItByTheCall) {
  Story story;
  story.published("p0:0", 0);
  story.delivered("p0:0", "work", "w0.0", 1, 1);
  Story::answered(story.delivered("p0:0", "pull", "n0.0", 1, 19'000, Ending::reject, 1'000), Answer::unknown, 6'000);
  story.delivered("p0:0", "pull", "n1.0", 2, 19'500);
  story.fault("half-open-lines", 0, 0).lurks = true;
  EXPECT_EQ(story.verdict().unexplained, 1);
}

TEST(Settlement, D1_ThatNobodyAnsweredIsExplainedByTheEndOfItsConsumer) {
  EXPECT_FALSE(ComesAgain().is_explained());
  EXPECT_TRUE(ComesAgain().fault(24'000, 24'100, "n0.0").is_explained());
  EXPECT_FALSE(ComesAgain().fault(24'000, 24'100, "n1.0").is_explained());
  EXPECT_FALSE(ComesAgain().fault(24'000, 24'100).is_explained());
  EXPECT_FALSE(ComesAgain().answered(Answer::ok, 10).fault(24'000, 24'100, "n0.0").is_explained());
}

TEST(Settlement, D10_ANackOfUnknownOutcomeLeavesTwoCopies) {
  const auto tell = [](Answer answer, bool dead_line) {
    Story story;
    story.published("p0:0", 0);
    story.delivered("p0:0", "work", "w0.0", 1, 1);
    Story::answered(story.delivered("p0:0", "pull", "n0.0", 1, 20'000, Ending::retry), answer, 6'000);
    Story::answered(story.delivered("p0:0", "pull", "n1.0", 2, 27'000), Answer::ok, 0);
    Story::answered(story.delivered("p0:0", "pull", "n1.0", 2, 27'100), Answer::ok, 0);
    if (dead_line) story.fault("half-open-lines", 0, 0).lurks = true;
    Rules rules = Story::rules();
    rules.attempts_exact = false;
    return story.verdict(rules);
  };
  EXPECT_TRUE(tell(Answer::unknown, true).ok()) << findings_of(tell(Answer::unknown, true));
  EXPECT_EQ(tell(Answer::unknown, false).unexplained, 1);
  EXPECT_EQ(tell(Answer::ok, true).unexplained, 1);
}

TEST(Settlement, D10_ANackThatSucceedsAfterTheLeaseIsForeign) {
  const auto tell = [](Answer answer) {
    Story story;
    story.published("p0:0", 0);
    story.delivered("p0:0", "work", "w0.0", 1, 1);
    Story::answered(story.delivered("p0:0", "pull", "n0.0", 1, 10, Ending::retry, 3'000), answer, 1);
    story.delivered("p0:0", "pull", "n1.0", 2, 2'500);
    return story.verdict();
  };
  EXPECT_TRUE(tell(Answer::ok).failed("foreign_ack"));
  EXPECT_TRUE(tell(Answer::refused).ok()) << findings_of(tell(Answer::refused));
}

TEST(Settlement, D7_OneThatCouldNotBeGivenUpIsNoRetryBeyondTheCap) {
  const auto tell = [](Answer answer, bool dead_line) {
    Story story;
    story.published("p0:0", 0);
    story.delivered("p0:0", "work", "w0.0", 1, 1);
    for (int i = 1; i <= 3; ++i) {
      Delivered& d = story.delivered("p0:0", "pull", "n0.0", i, 10'000 * i, Ending::retry);
      Story::answered(d, i == 3 ? answer : Answer::ok, 10);
    }
    story.delivered("p0:0", "pull", "n0.0", 4, 40'000);
    if (dead_line) story.fault("half-open-lines", 0, 0).lurks = true;
    return story.verdict();
  };
  EXPECT_TRUE(tell(Answer::unknown, true).ok()) << findings_of(tell(Answer::unknown, true));
  EXPECT_TRUE(tell(Answer::unknown, false).failed("cap"));
  EXPECT_TRUE(tell(Answer::ok, true).failed("cap"));
}

TEST(Settlement, D10_ErrorsByWhatTheyTell) {
  EXPECT_EQ(answer_of(ErrorCode::message_not_found), Answer::refused);
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::timeout, ErrorCode::outcome_unknown}) {
    EXPECT_EQ(answer_of(code), Answer::unknown);
  }
  for (const ErrorCode code : {ErrorCode::channel_closed, ErrorCode::backend, ErrorCode::permission}) {
    EXPECT_EQ(answer_of(code), Answer::failed);
  }
}

TEST(Settlement, AFindingTellsTheAnswer) {
  const Verdict verdict = ComesAgain().answered(Answer::unknown).verdict();
  EXPECT_THAT(findings_of(verdict), testing::HasSubstr("rejected at 20000 ms, answered unknown (outcome_unknown) at"));
}

}  // namespace
}  // namespace lrpc::queue::torture
