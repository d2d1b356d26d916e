// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include <thread>

namespace lrpc::queue::conformance {

std::vector<int> numbers(int from, int to) {
  std::vector<int> list;
  for (int i = from; i <= to; ++i) list.push_back(i);
  return list;
}

namespace {

constexpr std::chrono::seconds kPatience(5);

Duration scaled(double factor) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(kPatience) * factor);
}

}  // namespace

Context::Context(const Subject& subject) : subject_(subject), patience_(scaled(subject.patience)) {}

Result<Queue> Context::try_open(Config overlay) {
  if (claims(Capability::manual_clock) && !overlay.clock) overlay.clock = clock_;
  if (!overlay.logger) {
    overlay.logger = [logs = logs_](LogLevel, std::string_view line) {
      const std::lock_guard lock(logs->mutex);
      logs->lines.emplace_back(line);
    };
  }
  return subject_.open(std::move(overlay));
}

Queue Context::open(Config overlay) { return must(try_open(std::move(overlay))); }

void Context::advance_slowly(Duration total, Duration step) {
  for (Duration passed(0); passed < total; passed += step) {
    advance(std::min(step, total - passed));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Context::advance_to_whole_second() { advance(Duration((1000 - now_ms() % 1000) % 1000)); }

void Context::wait_a_moment() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

bool Context::eventually(const std::function<bool()>& condition) const {
  const Stopwatch watch;
  while (!condition()) {
    if (watch.elapsed() > patience_) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::stop_token Context::deadline() { return timers_.emplace_back(std::make_unique<Timer>(patience_))->token(); }

bool Context::Logs::contains(std::string_view text) {
  const std::lock_guard lock(mutex);
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

}  // namespace lrpc::queue::conformance
