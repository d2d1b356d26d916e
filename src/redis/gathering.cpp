// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/gathering.hpp"

#include <algorithm>
#include <optional>

#include "base/parker.hpp"

namespace lrpc::queue::redis {
namespace {

/// Steps under way before callers wait. More than one, so that on a long line nobody waits for two round trips.
constexpr std::size_t kMostUnderWay = 4;
/// What goes together. The server does nothing else meanwhile.
constexpr std::size_t kMostMessages = 128;
constexpr std::size_t kMostBytes = 256 << 10U;
/// Who has more time than this beyond the leader's does not share the end of the leader's.
constexpr Duration kMoreTime{250};

/// Nothing was stored, and the cause may be what another had in the same step.
bool others_fault(const Error& error) {
  return error.code == ErrorCode::queue_full || error.code == ErrorCode::invalid_argument;
}

}  // namespace

/// A caller that waits, on its own stack. Whoever sets `state` to another than `waiting` or `sent` owes one release of
/// the parker, and the caller does not leave before it has it.
struct Gathering::Waiting {
  enum class State : std::uint8_t { waiting, sent, leads, done };
  const Parcel* parcel;
  SteadyTime deadline;
  State state = State::waiting;
  std::vector<Waiting*>* group = nullptr;    // while sent: where the leader finds it
  std::optional<Result<Dropped>> outcome{};  // empty when done: it has to go alone
  detail::Parker parker{};
};

Result<Dropped> Gathering::publish(const Parcel& parcel, SteadyTime deadline, const Send& send) {
  if (parcel.count > kMostMessages || parcel.bytes > kMostBytes) return send(parcel, deadline);
  {
    std::unique_lock lock(mutex_);
    if (under_way_ >= kMostUnderWay) {
      Waiting me{.parcel = &parcel, .deadline = deadline};
      waiting_.push_back(&me);
      lock.unlock();
      return wait(me, send);
    }
    ++under_way_;
  }
  return lead(parcel, deadline, send);
}

Result<Dropped> Gathering::wait(Waiting& me, const Send& send) {
  using State = Waiting::State;
  if (me.parker.park_until(me.deadline) == detail::Parker::Woken::time_out) {
    const std::lock_guard lock(mutex_);
    if (me.state == State::waiting) {
      std::erase(waiting_, &me);
      return fail(ErrorCode::timeout, "the call's time-out passed while other publishes were under way", true);
    }
    if (me.state == State::sent) {
      std::ranges::replace(*me.group, &me, nullptr);
      return fail(ErrorCode::outcome_unknown, "Redis did not answer before the call's time-out", true);
    }
  }
  // Released, or about to be.
  me.parker.park_until(SteadyTime::max());
  if (me.state == State::leads) return lead(*me.parcel, me.deadline, send);
  if (me.outcome) return std::move(*me.outcome);
  return send(*me.parcel, me.deadline);
}

// Sends its own with what waits; its place among those under way goes to the next who waits.
Result<Dropped> Gathering::lead(const Parcel& own, SteadyTime deadline, const Send& send) {
  Parcel all{.plain = own.plain};
  std::vector<Waiting*> group;
  take_along(own, all, group, deadline);
  if (group.empty()) {
    Result<Dropped> result = send(own, deadline);
    pass_on();
    return result;
  }
  Result<Dropped> result = send(all, deadline);
  pass_on();
  const bool alone = !result && others_fault(result.error());
  {
    const std::lock_guard lock(mutex_);
    std::erase(group, nullptr);
    for (Waiting* one : group) {
      one->state = Waiting::State::done;
      if (alone) continue;
      if (result) {
        one->outcome.emplace(Dropped());  // counted once, here
      } else {
        one->outcome.emplace(std::unexpected(result.error()));
      }
    }
  }
  for (Waiting* one : group) one->parker.release();
  return alone ? send(own, deadline) : std::move(result);
}

void Gathering::take_along(const Parcel& own, Parcel& all, std::vector<Waiting*>& group, SteadyTime deadline) {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  all.append(own);
  const auto goes_along = [&](const Waiting& one) {
    return one.deadline > now && one.deadline - kMoreTime <= deadline && one.parcel->plain == own.plain &&
           all.count + one.parcel->count <= kMostMessages && all.bytes + one.parcel->bytes <= kMostBytes;
  };
  std::erase_if(waiting_, [&](Waiting* one) {
    if (!goes_along(*one)) return false;
    all.append(*one->parcel);
    one->state = Waiting::State::sent;
    one->group = &group;
    group.push_back(one);
    return true;
  });
}

void Gathering::pass_on() {
  Waiting* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      --under_way_;
      return;
    }
    next = waiting_.front();
    waiting_.pop_front();
    next->state = Waiting::State::leads;
  }
  next->parker.release();
}

}  // namespace lrpc::queue::redis
