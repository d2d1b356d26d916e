// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "link.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace lrpc::queue::wire {

void Link::set_rates(const FaultRates& rates) {
  const std::lock_guard lock(mutex_);
  rates_ = rates;
}

void Link::inject(Op op, Fault fault, std::uint64_t times) {
  const std::lock_guard lock(mutex_);
  injections_.at(static_cast<std::size_t>(op)) = {.fault = fault, .times = times};
}

void Link::set_connected(bool connected) {
  {
    const std::lock_guard lock(mutex_);
    connected_ = connected;
  }
  cut_.notify_all();
  wake_all();
}

std::uint64_t Link::calls(Op op) const {
  const std::lock_guard lock(mutex_);
  return counters_.at(static_cast<std::size_t>(op)).calls;
}

std::uint64_t Link::faults(Op op, Fault fault) const {
  const std::lock_guard lock(mutex_);
  const Counters& counters = counters_.at(static_cast<std::size_t>(op));
  return fault == Fault::refuse ? counters.refused : counters.lost;
}

int Link::on_the_way() const {
  const std::lock_guard lock(mutex_);
  return on_the_way_;
}

bool Link::reachable() const {
  const std::lock_guard lock(mutex_);
  return connected_ && server_->up();
}

Duration Link::jittered(Duration base) {
  const std::lock_guard lock(mutex_);
  return Duration(std::uniform_int_distribution<Duration::rep>(base.count() / 2, base.count())(random_));
}

bool Link::chance(double probability) { return std::bernoulli_distribution(probability)(random_); }

Fault Link::draw(Op op) {
  Injection& injection = injections_.at(static_cast<std::size_t>(op));
  if (injection.times > 0) {
    if (injection.times != UINT64_MAX) --injection.times;
    return injection.fault;
  }
  if (chance(rates_.refuse)) return Fault::refuse;
  return chance(rates_.lose_reply) ? Fault::lose_reply : Fault::none;
}

Duration Link::draw_delay() {
  if (!chance(rates_.delay)) return Duration{0};
  return Duration(
      std::uniform_int_distribution<Duration::rep>(rates_.max_delay.count() / 2, rates_.max_delay.count())(random_));
}

Result<Bytes> Link::call(Op op, std::span<const std::byte> request, SteadyTime deadline) {
  {
    const std::lock_guard lock(mutex_);
    ++counters_.at(static_cast<std::size_t>(op)).calls;
    ++on_the_way_;
  }
  Result<Bytes> reply = carry(op, request, deadline);
  const std::lock_guard lock(mutex_);
  --on_the_way_;
  return reply;
}

Result<Bytes> Link::carry(Op op, std::span<const std::byte> request, SteadyTime deadline) {
  Fault fault{};
  {
    std::unique_lock lock(mutex_);
    Counters& counters = counters_.at(static_cast<std::size_t>(op));
    fault = draw(op);
    if (const Duration delay = draw_delay(); delay.count() > 0) {
      const SteadyTime arrival = std::chrono::steady_clock::now() + delay;
      cut_.wait_until(lock, std::min(arrival, deadline), [this] { return !connected_; });
      if (arrival > deadline) fault = Fault::refuse;
    }
    if (!connected_ || !server_->up()) fault = Fault::refuse;
    if (fault == Fault::refuse) ++counters.refused;
    if (fault == Fault::lose_reply) ++counters.lost;
  }
  if (fault == Fault::refuse) return fail(ErrorCode::unavailable, "the server cannot be reached", true);
  Bytes reply = server_->handle(request);
  if (fault == Fault::lose_reply) return fail(ErrorCode::outcome_unknown, "the line broke before the reply came");
  return reply;
}

void Link::listen(std::uint64_t channel, std::weak_ptr<Wakeup> wakeup) {
  const std::lock_guard lock(mutex_);
  std::erase_if(wakeups_, [](const auto& item) { return item.second.expired(); });
  wakeups_.emplace(channel, std::move(wakeup));
}

void Link::on_news(std::uint64_t number) {
  std::vector<std::shared_ptr<Wakeup>> awake;
  {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = wakeups_.equal_range(number);
    for (auto it = first; it != last; ++it) {
      if (auto wakeup = it->second.lock()) awake.push_back(std::move(wakeup));
    }
  }
  for (const auto& wakeup : awake) wakeup->wake();
}

void Link::wake_all() {
  std::vector<std::shared_ptr<Wakeup>> awake;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, weak] : wakeups_) {
      if (auto wakeup = weak.lock()) awake.push_back(std::move(wakeup));
    }
  }
  for (const auto& wakeup : awake) wakeup->wake();
}

}  // namespace lrpc::queue::wire
