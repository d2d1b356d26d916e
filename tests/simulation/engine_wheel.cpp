// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The timing wheel, beside a map.
#include <algorithm>

#include "engine_machine.hpp"

namespace lrpc::queue::simulation {

bool EngineMachine::add_timer() {
  Timer& timer = timers_.emplace_back();
  timer.number = static_cast<int>(timers_.size()) - 1;
  const auto reach = random_.below(34U);
  const std::int64_t due = wheel_now_ - 3 + random_.below((std::int64_t{1} << reach) + 8);
  wheel_.insert(timer, due, wheel_now_);
  due_.emplace(std::max(due, wheel_now_), timer.number);
  say([&] { return "timer " + std::to_string(timer.number) + " for " + std::to_string(due); });
  return true;
}

bool EngineMachine::remove_timer() {
  if (due_.empty()) return false;
  const auto& one = random_.any_of(due_);
  const int number = one.second;
  wheel_.remove(timers_[static_cast<std::size_t>(number)]);
  std::erase_if(due_, [number](const auto& entry) { return entry.second == number; });
  say([&] { return "timer " + std::to_string(number) + " is taken out"; });
  return true;
}

bool EngineMachine::turn_wheel() {
  wheel_now_ += random_.below(std::int64_t{1} << random_.below(34U));
  check(due_.empty() || wheel_.next_event() <= due_.begin()->first, "D9: a timer is due before the wheel's next event");
  say([&] { return "the wheel turns to " + std::to_string(wheel_now_); });
  std::int64_t last = 0;
  wheel_.advance(wheel_now_, [&](detail::TimerNode& node) {
    const int number = static_cast<Timer&>(node).number;
    const auto it = std::ranges::find_if(due_, [number](const auto& entry) { return entry.second == number; });
    check(it != due_.end(), "a timer fires that was taken out");
    check(it->first <= wheel_now_, "D8: a timer fires early");
    check(it->first >= last, "timers fire out of order");
    last = it->first;
    due_.erase(it);
  });
  check(due_.empty() || due_.begin()->first > wheel_now_, "D9: a timer that is due does not fire");
  return true;
}

}  // namespace lrpc::queue::simulation
