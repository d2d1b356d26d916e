// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Publishes of many callers that go together, without a server.
#include "redis/gathering.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lrpc::queue::redis {
namespace {

using testing::Contains;

constexpr Duration kPatience = std::chrono::seconds(20);

SteadyTime in(Duration time) { return std::chrono::steady_clock::now() + time; }

Parcel parcel(std::size_t count = 1) {
  Parcel result{.count = count, .bytes = count};
  for (std::size_t i = 0; i < count; ++i) result.messages.add("m");
  return result;
}

/// A line that carries parcels only while it is open, and answers as it is told.
class Line {
 public:
  Gathering::Send send() {
    return [this](const Parcel& parcel, SteadyTime) -> Result<Dropped> {
      std::unique_lock lock(mutex_);
      carried_.push_back(parcel.count);
      EXPECT_EQ(parcel.messages.count(), parcel.count);
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
      if (refuses_ != 0 && parcel.count >= refuses_) return fail(code_, "refused", true);
      stored_ += parcel.count;
      return Dropped();
    };
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void refuse(std::size_t from, ErrorCode code) {
    refuses_ = from;
    code_ = code;
  }
  void await_carried(std::size_t parcels) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return carried_.size() >= parcels; });
  }
  std::vector<std::size_t> carried() {
    const std::lock_guard lock(mutex_);
    return carried_;
  }
  std::size_t stored() {
    const std::lock_guard lock(mutex_);
    return stored_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  std::vector<std::size_t> carried_;
  std::size_t stored_ = 0;
  std::size_t refuses_ = 0;
  ErrorCode code_ = ErrorCode::queue_full;
};

class GatheringTest : public testing::Test {
 protected:
  /// So many callers that publish one each, after those under way fill the line.
  void publish_beside_a_full_line(int callers) {
    for (int i = 0; i < kUnderWay; ++i) call();
    line_.await_carried(kUnderWay);
    for (int i = 0; i < callers; ++i) call();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // until they wait
  }
  void call() {
    threads_.emplace_back([this] {
      const auto result = gathering_.publish(parcel(), in(kPatience), line_.send());
      if (result) {
        ++published_;
      } else {
        const std::lock_guard lock(mutex_);
        errors_.push_back(result.error().code);
      }
    });
  }

  static constexpr int kUnderWay = 4;
  Line line_;
  Gathering gathering_;
  std::atomic<int> published_{0};
  std::mutex mutex_;
  std::vector<ErrorCode> errors_;
  std::vector<std::jthread> threads_;
};

TEST_F(GatheringTest, WhoWaitsGoesTogether) {
  publish_beside_a_full_line(20);
  EXPECT_EQ(line_.carried().size(), std::size_t{kUnderWay}) << "the others wait";
  line_.open();
  threads_.clear();
  EXPECT_EQ(published_, kUnderWay + 20);
  EXPECT_EQ(line_.stored(), std::size_t{kUnderWay + 20});
  EXPECT_LT(line_.carried().size(), std::size_t{kUnderWay + 20}) << "in fewer steps";
}

TEST_F(GatheringTest, D16_ARefusalOfAllIsNoRefusalOfEach) {
  line_.refuse(2, ErrorCode::queue_full);
  publish_beside_a_full_line(20);
  line_.open();
  threads_.clear();
  EXPECT_EQ(published_, kUnderWay + 20) << "alone there was room for each";
  EXPECT_EQ(line_.stored(), std::size_t{kUnderWay + 20}) << "once each";
}

TEST_F(GatheringTest, D22_AnUnknownOutcomeIsThatOfAll) {
  line_.refuse(1, ErrorCode::outcome_unknown);
  publish_beside_a_full_line(20);
  line_.open();
  threads_.clear();
  EXPECT_EQ(published_, 0);
  EXPECT_EQ(errors_, std::vector<ErrorCode>(kUnderWay + 20, ErrorCode::outcome_unknown)) << "and nothing is repeated";
}

TEST_F(GatheringTest, D22_WhoWaitsInVainHasSentNothing) {
  publish_beside_a_full_line(0);
  const auto late = gathering_.publish(parcel(), in(Duration(50)), line_.send());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::timeout);
  line_.open();
  threads_.clear();
  EXPECT_EQ(line_.stored(), std::size_t{kUnderWay});
}

TEST_F(GatheringTest, D22_WhoLeavesASentStepDoesNotKnow) {
  publish_beside_a_full_line(0);
  std::jthread impatient;
  {
    // The second of two that wait goes along with the first, whose step is then held up again.
    Line held;
    Gathering::Send slow = held.send();
    Gathering gathering;
    for (int i = 0; i < kUnderWay; ++i) {
      threads_.emplace_back(
          [&, i] { EXPECT_TRUE(gathering.publish(parcel(), in(kPatience), i == 0 ? line_.send() : slow)); });
    }
    line_.await_carried(kUnderWay + 1);
    held.await_carried(kUnderWay - 1);
    std::jthread leader([&] { EXPECT_TRUE(gathering.publish(parcel(), in(Duration(400)), slow)); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ErrorCode code = ErrorCode::backend;
    impatient = std::jthread([&] {
      const auto result = gathering.publish(parcel(), in(Duration(300)), slow);
      ASSERT_FALSE(result);
      code = result.error().code;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    line_.open();  // the first ends: those that wait go
    impatient.join();
    EXPECT_EQ(code, ErrorCode::outcome_unknown);
    EXPECT_THAT(held.carried(), Contains(2U));
    held.open();
    leader.join();
    threads_.clear();
  }
}

TEST_F(GatheringTest, ManyCallers) {
  line_.open();
  std::vector<std::jthread> callers;
  for (int t = 0; t < 16; ++t) {
    callers.emplace_back([this] {
      for (int i = 0; i < 500; ++i)
        EXPECT_TRUE(gathering_.publish(parcel(static_cast<std::size_t>(1 + i % 3)), in(kPatience), line_.send()));
    });
  }
  callers.clear();
  std::size_t expected = 0;
  for (int i = 0; i < 500; ++i) expected += static_cast<std::size_t>(1 + i % 3);
  EXPECT_EQ(line_.stored(), 16 * expected);
}

}  // namespace
}  // namespace lrpc::queue::redis
