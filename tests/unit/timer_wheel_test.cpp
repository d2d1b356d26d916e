// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "base/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <vector>

namespace lrpc::queue::detail {
namespace {

struct Timer : TimerNode {
  int number = 0;
};

// Random insertions, removals and jumps, checked against an ordered map.
TEST(TimerWheel, AgreesWithAnOrderedMap) {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    TimerWheel wheel;
    std::deque<Timer> timers;
    std::multimap<std::int64_t, int> expected;
    std::int64_t now = static_cast<std::int64_t>(random() % 5'000'000'000);
    for (int step = 0; step < 300; ++step) {
      const auto what = random() % 10;
      if (what < 6) {
        Timer& timer = timers.emplace_back();
        timer.number = static_cast<int>(timers.size()) - 1;
        // Mostly near, sometimes far, sometimes past.
        const auto reach = static_cast<unsigned>(random() % 40);
        const std::int64_t due = now - 5 + static_cast<std::int64_t>(random() % ((std::uint64_t{1} << reach) + 10));
        wheel.insert(timer, due, now);
        expected.emplace(due < now ? now : due, timer.number);
      } else if (what < 8 && !timers.empty()) {
        Timer& timer = timers[random() % timers.size()];
        if (timer.linked()) {
          wheel.remove(timer);
          std::erase_if(expected, [&](const auto& entry) { return entry.second == timer.number; });
        }
      } else {
        const auto reach = static_cast<unsigned>(random() % 36);
        now += static_cast<std::int64_t>(random() % (std::uint64_t{1} << reach));
        if (!expected.empty()) {
          ASSERT_LE(wheel.next_event(), expected.begin()->first) << "seed " << seed;
        }
        std::vector<int> fired;
        wheel.advance(now, [&](TimerNode& node) { fired.push_back(static_cast<Timer&>(node).number); });
        std::vector<int> due;
        while (!expected.empty() && expected.begin()->first <= now) {
          due.push_back(expected.begin()->second);
          expected.erase(expected.begin());
        }
        // Those of the past and those of the present may share a slot; times must not be mixed up.
        ASSERT_EQ(fired.size(), due.size()) << "seed " << seed << " step " << step;
        ASSERT_TRUE(std::ranges::is_permutation(fired, due)) << "seed " << seed;
      }
      ASSERT_EQ(wheel.size(), expected.size()) << "seed " << seed;
    }
  }
}

TEST(TimerWheel, FiresInTheOrderOfTimeThenOfInsertion) {
  TimerWheel wheel;
  std::deque<Timer> timers(6);
  const std::vector<std::int64_t> due{5000, 70, 5000, 70, 1'000'000, 5000};
  for (std::size_t i = 0; i < due.size(); ++i) {
    timers[i].number = static_cast<int>(i);
    wheel.insert(timers[i], due[i], 1);
  }
  std::vector<int> fired;
  wheel.advance(2'000'000, [&](TimerNode& node) { fired.push_back(static_cast<Timer&>(node).number); });
  EXPECT_EQ(fired, (std::vector<int>{1, 3, 0, 2, 5, 4}));
  EXPECT_EQ(wheel.next_event(), TimerWheel::kNever);
}

TEST(TimerWheel, NotAMillisecondEarly) {
  TimerWheel wheel;
  Timer timer;
  for (const std::int64_t due :
       {std::int64_t{17}, std::int64_t{4097}, std::int64_t{30'000}, std::int64_t{86'400'000}}) {
    int fired = 0;
    wheel.insert(timer, due, 1);
    wheel.advance(due - 1, [&](TimerNode&) { ++fired; });
    EXPECT_EQ(fired, 0) << due;
    wheel.advance(due, [&](TimerNode&) { ++fired; });
    EXPECT_EQ(fired, 1) << due;
  }
}

TEST(TimerWheel, MayBeAddedToWhileItFires) {
  TimerWheel wheel;
  Timer first;
  Timer second;
  wheel.insert(first, 10, 1);
  int fired = 0;
  wheel.advance(20, [&](TimerNode& node) {
    ++fired;
    if (&node == &first) wheel.insert(second, 10, 10);
  });
  EXPECT_EQ(fired, 2) << "one that is due already fires in the same turn";
}

}  // namespace
}  // namespace lrpc::queue::detail
