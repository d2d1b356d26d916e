// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/settle_queue.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace lrpc::queue::detail {

namespace {
constexpr std::size_t kMostDeferred = 64;
}

void SettleQueue::ack(const DeliveryTag& tag, bool may_wait) {
  std::size_t none = 0;
  if (!core_->context->capabilities.batch_acks && send_acks({&tag, 1}, {}, none)) return;
  {
    const std::lock_guard lock(mutex_);
    acks_.push_back(tag);
    if (may_wait && acks_.size() < kMostDeferred) {
      deferred_.store(true, std::memory_order_release);
      return;
    }
  }
  flush();
}

void SettleQueue::settle(Settlement settlement) {
  std::vector<Settlement> one;
  one.push_back(std::move(settlement));
  settle(std::move(one));
}

void SettleQueue::settle(std::vector<Settlement> settlements) {
  if (settlements.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    std::ranges::move(settlements, std::back_inserter(settlements_));
  }
  flush();
}

SteadyTime SettleQueue::retry_at() const {
  const std::lock_guard lock(mutex_);
  return retry_at_;
}

void SettleQueue::retry() {
  {
    const std::lock_guard lock(mutex_);
    retry_at_ = SteadyTime::max();
    retries_.store(false, std::memory_order_release);
  }
  flush();
}

std::vector<DeliveryTag> SettleQueue::pending() const {
  const std::lock_guard lock(mutex_);
  std::vector<DeliveryTag> tags = acks_;
  tags.insert(tags.end(), on_the_way_.begin(), on_the_way_.end());
  for (const Settlement& s : settlements_) tags.push_back(s.tag);
  return tags;
}

std::size_t SettleQueue::flush(std::span<Delivery> out) {
  std::unique_lock lock(mutex_);
  deferred_.store(false, std::memory_order_release);  // who is sending looks again before ending
  if (flushing_ || retry_at_ != SteadyTime::max()) return 0;
  flushing_ = true;
  bool sent = true;
  std::size_t received = 0;
  while (sent && (!acks_.empty() || !settlements_.empty())) {
    std::vector<DeliveryTag> acks = std::exchange(acks_, {});
    std::vector<Settlement> settlements = std::exchange(settlements_, {});
    on_the_way_ = acks;
    for (const Settlement& s : settlements) on_the_way_.push_back(s.tag);
    lock.unlock();
    const bool acked = acks.empty() || send_acks(acks, std::exchange(out, {}), received);
    const bool settled = settlements.empty() || send(settlements);
    lock.lock();
    on_the_way_.clear();
    if (!acked) acks_.insert(acks_.begin(), acks.begin(), acks.end());
    if (!settled) {
      settlements_.insert(settlements_.begin(), std::make_move_iterator(settlements.begin()),
                          std::make_move_iterator(settlements.end()));
    }
    sent = acked && settled;
    if (sent) {
      failures_ = 0;
    } else {
      // Jittered, doubling from 50 ms to about 2 s (D22).
      const int doublings = std::min(failures_++, 5);
      const double wait_ms = (50 << doublings) * (0.5 + random_unit());
      retry_at_ = std::chrono::steady_clock::now() + Duration(static_cast<std::int64_t>(wait_ms));
      retries_.store(true, std::memory_order_release);
    }
  }
  flushing_ = false;
  sent_.notify_all();
  return received;
}

void SettleQueue::flush_all() {
  flush();
  std::unique_lock lock(mutex_);
  sent_.wait(lock, [this] { return !flushing_; });
}

// True when there is nothing to repeat.
bool SettleQueue::failed(Error error, std::string_view doing) {
  const bool transient = error.code == ErrorCode::unavailable || error.code == ErrorCode::outcome_unknown ||
                         error.code == ErrorCode::timeout;
  const bool closed = core_->life.load() != ChannelLife::open && !transient;
  const Error explained = core_->explain(std::move(error), doing);
  if (!closed) core_->context->log(LogLevel::warning, explained.message);
  return !transient;
}

bool SettleQueue::send_acks(std::span<const DeliveryTag> tags, std::span<Delivery> out, std::size_t& received) {
  bool one = false;
  std::unique_ptr<bool[]> many;
  std::span<bool> done(&one, 1);
  if (tags.size() > 1) {
    many = std::make_unique<bool[]>(tags.size());
    done = {many.get(), tags.size()};
  }
  auto result =
      out.empty() ? core_->backend->ack(tags, done) : core_->backend->ack_and_receive(tags, done, out, received);
  if (!result) {
    return failed(std::move(result.error()), "acknowledging handled messages");
  }
  if (const auto n = std::ranges::count(done, true); n > 0) core_->count_acked(static_cast<std::size_t>(n));
  return true;
}

bool SettleQueue::send(std::span<Settlement> settlements) {
  if (auto result = core_->backend->settle(settlements); !result) {
    return failed(std::move(result.error()), "settling handled messages");
  }
  for (const Settlement& s : settlements) {
    if (s.done && s.action != Settlement::Action::give_back) core_->count_settled(s);
  }
  return true;
}

}  // namespace lrpc::queue::detail
