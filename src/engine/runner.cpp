// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/runner.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace lrpc::queue::detail {
namespace {

// The runner whose handler the thread is running, and that thread's worker.
constinit thread_local const Runner* current_runner = nullptr;
constinit thread_local void* current_worker = nullptr;

constexpr auto kIdleLife = std::chrono::seconds(10);  // an idle thread ends after this
// Handlers quicker than this finish before another thread would be awake: work is not spread over threads then.
constexpr double kFastNs = 10'000;

}  // namespace

Runner::Runner(std::shared_ptr<ChannelCore> core, std::shared_ptr<void> owner, AnyHandler handler)
    : core_(std::move(core)),
      owner_(std::move(owner)),
      handler_(std::move(handler)),
      settle_(core_),
      max_in_flight_(core_->policy().max_in_flight) {}

bool Runner::start() {
  jumps_ = core_->context->clock->on_jump([weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      const std::lock_guard lock(self->mutex_);
      self->time_requested_ = true;
      self->time_.notify_one();
    }
  });
  const std::lock_guard lock(mutex_);
  ensure_helper();
  if (live_ == 0) stopping_ = true;
  return live_ > 0;
}

bool Runner::in_handler() const noexcept { return current_runner == this; }

void Runner::after_handler(std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  auto& after = static_cast<Worker*>(current_worker)->after;
  if (!after) {
    after = std::move(action);
  } else {
    after = [first = std::move(after), second = std::move(action)] {
      first();
      second();
    };
  }
}

void Runner::pause_changed() {
  const std::lock_guard lock(mutex_);
  idle_.notify_all();
  if (!stopping_ && (!ready_.empty() || can_fetch())) ensure_helper();
}

std::int64_t Runner::prefetched() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::int64_t>(ready_.size());
}

bool Runner::holds_unseen(const Envelope::IdQuery& id) const {
  const auto unseen = [&](const Item& item) { return !item.again && item.delivery.message->id_is(id); };
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(ready_, unseen) ||
         std::ranges::any_of(keys_, [&](const auto& line) { return std::ranges::any_of(line.second.waiting, unseen); });
}

bool Runner::ended() const {
  const std::lock_guard lock(mutex_);
  return stopping_ && live_ == 0;
}

// Somebody must be there to take what is ready or to fetch: wakes an idle worker or starts one. One more than handlers
// may run, since the one that fetches cannot be called back.
void Runner::ensure_helper() {
  if (idle_count_ > wakeups_) {
    ++wakeups_;
    idle_.notify_one();
  } else if (live_ <= max_in_flight_) {
    workers_.emplace_back();
    const auto it = std::prev(workers_.end());
    ++live_;
    try {
      it->thread = std::thread([self = shared_from_this(), it] { self->work(it); });
    } catch (const std::exception&) {  // no thread to be had: those that there are do the work
      workers_.erase(it);
      --live_;
    }
  }
}

// Before a handler runs: whatever else is to be done must not wait for it.
void Runner::ensure_progress() {
  if (stopping_ || active_ >= max_in_flight_) return;
  if (ready_.empty() && (fetching_ || !can_fetch())) return;
  if (speed_ == Speed::fast) {
    if (!watching_) {
      watching_ = true;
      wake_timekeeper();
    }
  } else {
    ensure_helper();
  }
}

void Runner::measure(std::chrono::nanoseconds took) noexcept {
  const auto ns = static_cast<double>(took.count());
  average_ns_ = speed_ == Speed::unknown ? ns : average_ns_ + (ns - average_ns_) / 8;
  speed_ = average_ns_ < kFastNs ? Speed::fast : Speed::slow;
}

void Runner::work(Workers::iterator me) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool may_run = active_ < max_in_flight_ && !core_->paused.load(std::memory_order_acquire);
    const bool has_work = !stopping_ && !ready_.empty() && may_run;
    if (!has_work && settle_.deferred() && !can_fetch()) {
      lock.unlock();
      settle_.flush();
      lock.lock();
      if (settle_.retries()) wake_timekeeper();
    } else if (has_work) {
      Item item = std::move(ready_.front());
      ready_.pop_front();
      run(lock, *me, item);
    } else if (stopping_) {
      break;
    } else if (can_fetch()) {
      fetch(lock);
    } else {
      ++idle_count_;
      const auto woken = idle_.wait_for(lock, kIdleLife);
      --idle_count_;
      if (wakeups_ > 0) --wakeups_;
      const bool needed = stopping_ || !ready_.empty() || can_fetch() || live_ == 1;
      if (woken == std::cv_status::timeout && !needed) break;
    }
  }
  finished_.push_back(std::move(me->thread));
  workers_.erase(me);
  const bool last = --live_ == 0 && stopping_;
  if (last) {
    quit_ = true;
    time_.notify_all();
  }
  // Released without the lock.
  const std::shared_ptr<void> owner = last ? std::move(owner_) : nullptr;
  const std::shared_ptr<void> jumps = last ? std::move(jumps_) : nullptr;
  ended_cv_.notify_all();
  lock.unlock();
}

void Runner::run(std::unique_lock<std::mutex>& lock, Worker& me, Item& item) {
  const Context& context = *core_->context;
  const Instant now = context.clock->coarse();
  me.busy = true;
  me.given_up.store(false, std::memory_order_relaxed);
  me.tag = item.delivery.tag;
  me.started_tick = now.tick_ms;
  const bool keyed = !item.key().empty();
  if (keyed) {
    me.key = item.key();
    me.message = item.delivery.message;
  }
  ++active_;
  ++runs_;
  const bool quick = speed_ == Speed::fast;
  const bool timed = !quick || runs_ % 16 == 0;
  ensure_progress();
  if (settle_.deferred() && !watching_) {
    // Should this handler not be quick after all, the timekeeper sends what was noted before.
    watching_ = true;
    wake_timekeeper();
  }
  time_handler();
  lock.unlock();

  std::chrono::nanoseconds took{-1};
  // It may have expired while it waited here, which happens at whole seconds.
  Admitted admitted = Admitted::yes;
  if (item.again) {
    admitted = admit_again(item);
    const std::lock_guard inner(mutex_);
    me.tag = item.delivery.tag;
    me.started_tick = context.clock->coarse().tick_ms;
    // Its time ran out before it began: the back end took so long.
    if (admitted == Admitted::yes && me.given_up) admitted = Admitted::late;
  } else if (item.admitted_s != now.wall_s() && admit({&item.delivery, 1}, now) == 0) {
    admitted = Admitted::no;
  }
  if (admitted == Admitted::yes) {
    core_->count_delivered({&item.delivery, 1});
    const bool clocked = timed || context.config.observer != nullptr;
    const SteadyTime begin = clocked ? std::chrono::steady_clock::now() : SteadyTime{};
    current_runner = this;
    current_worker = &me;
    in_user_code() = true;
    me.handling.store(true, std::memory_order_relaxed);
    Result<ProcessRsp> result = call_handler(std::move(item.delivery));
    me.handling.store(false, std::memory_order_relaxed);
    in_user_code() = false;
    current_runner = nullptr;
    current_worker = nullptr;
    if (clocked) took = std::chrono::steady_clock::now() - begin;
    context.observe([&](Observer& o) {
      o.handled(core_->topic, core_->name, result.has_value() && !result->retry && !result->dead_letter, took);
    });
    finish(me, std::move(result), quick);
  } else if (admitted == Admitted::late) {
    settle_.settle(give_back(item));
    item.delivery.message = EnvelopePtr{};  // here, without the lock
  }

  lock.lock();
  if (timed && took.count() >= 0) measure(took);
  me.busy = false;
  --active_;
  if (settle_.retries()) wake_timekeeper();
  std::optional<Settlement> back;
  if (keyed) {
    if (me.retry) back = hold_until(*std::exchange(me.retry, std::nullopt));
    if (!me.key.empty() && admitted != Admitted::later) release_key(me.key);  // still set: neither held nor timed out
    me.key.clear();
  }
  if (me.after || me.message) {
    EnvelopePtr last = std::move(me.message);
    auto after = std::exchange(me.after, nullptr);
    lock.unlock();
    if (back) settle_.settle(std::move(*back));
    if (after) {
      settle_.flush_all();  // the channel may end with it, and this handler's ack counts
      after();
    }
    after = nullptr;  // what it holds is released without the lock, too, and so is a body
    last = EnvelopePtr{};
    lock.lock();
  }
  if (stopping_) ended_cv_.notify_all();
}

Result<ProcessRsp> Runner::call_handler(Delivery&& delivery) {
  if (core_->context->config.interceptors.empty()) {
    return contain<ProcessRsp>([&] { return handler_(std::move(delivery)); });
  }
  EnvelopePtr message = std::move(delivery.message);
  MessageView view(message, delivery.attempts);
  return intercept(0, {.topic = core_->topic, .channel = core_->name, .message = view}, message, delivery);
}

Result<ProcessRsp> Runner::intercept(std::size_t index, const HandleCall& call, EnvelopePtr& message,
                                     Delivery& delivery) {
  const auto& interceptors = core_->context->config.interceptors;
  if (index == interceptors.size()) {
    delivery.message = message;
    return contain<ProcessRsp>([&] { return handler_(std::move(delivery)); });
  }
  return contain<ProcessRsp>(
      [&] { return interceptors[index]->handle(call, [&] { return intercept(index + 1, call, message, delivery); }); });
}

// Stores the outcome of a handler, without the lock.
void Runner::finish(const Worker& me, Result<ProcessRsp>&& result, bool quick) {
  // Set by the timekeeper or by stop, who have settled the delivery then. Should that happen right after this look, the
  // second settlement of the two finds nothing to settle.
  if (me.given_up.load(std::memory_order_acquire)) return;
  if (!result) {
    settle_failure(me, {}, std::move(result.error().message), true);
  } else if (result->dead_letter) {
    settle_failure(me, {.reject = true}, std::move(result->reason), false);
  } else if (result->retry || result->retry_after) {
    const Failure failure{
        .delay = result->retry_after ? std::optional(std::max(Duration(0), *result->retry_after)) : std::nullopt,
        .skip_attempts = result->skip_attempts};
    settle_failure(me, failure, std::move(result->reason), !failure.delay || *failure.delay <= kLongestHold);
  } else {
    // Where handlers are quick the next outcome comes at once: they go together.
    settle_.ack(me.tag, quick);
  }
}

// Settles a failed delivery. A keyed one that is to be retried stays here, so that the later ones of its key wait (D8).
void Runner::settle_failure(const Worker& me, const Failure& failure, std::string error, bool may_hold) {
  Settlement settlement = core_->settlement_for(me.tag, failure, std::move(error));
  if (settlement.action == Settlement::Action::retry && may_hold && me.message && hold(me.tag, settlement)) return;
  settle_.settle(std::move(settlement));
}

bool Runner::hold(DeliveryTag tag, const Settlement& retry) {
  Item item;
  item.delivery.tag = tag;
  item.delivery.attempts = tag.attempts;
  item.again = true;
  item.keep = std::make_unique<Settlement>(
      Settlement{.tag = tag, .action = Settlement::Action::keep, .count_attempt = retry.count_attempt});
  std::string key;
  {
    const std::lock_guard lock(mutex_);
    const auto mine = std::ranges::find_if(
        workers_, [&](const Worker& w) { return w.busy && !w.given_up && !w.key.empty() && w.tag == tag; });
    if (mine == workers_.end() || stopping_) return false;
    key = std::exchange(mine->key, {});
    item.delivery.message = mine->message;
  }
  if (tell_keep(item) == Kept::lost) {
    const std::lock_guard lock(mutex_);
    const auto mine = std::ranges::find_if(workers_, [&](const Worker& w) { return w.busy && w.tag == tag; });
    if (mine != workers_.end()) {
      mine->key = std::move(key);  // the handler still runs: the next of its key waits for its end
    } else {
      release_key(key);
      ensure_helper();
    }
    return false;
  }
  Held held{.due = due_after(retry.delay), .item = std::move(item)};
  std::optional<Settlement> back;
  {
    const std::lock_guard lock(mutex_);
    const auto mine = std::ranges::find_if(workers_, [&](const Worker& w) { return w.busy && w.tag == tag; });
    if (mine != workers_.end() && mine->handling.load(std::memory_order_relaxed) && !mine->given_up && !stopping_) {
      mine->retry = std::move(held);  // not beside the handler that has asked for it
    } else {
      back = hold_until(std::move(held));
    }
  }
  if (back) settle_.settle(std::move(*back));
  return true;
}

// Tells the back end that a failed delivery stays in flight here. `later` when it cannot be reached: the item stays
// held all the same, its lease is renewed, and the back end is told before the next run.
Runner::Kept Runner::tell_keep(Item& item) {
  Settlement& keep = *item.keep;
  if (const auto result = core_->backend->settle({&keep, 1}); !result) {
    const ErrorCode code = result.error().code;
    return code == ErrorCode::unavailable || code == ErrorCode::outcome_unknown || code == ErrorCode::timeout
               ? Kept::later
               : Kept::lost;
  }
  if (!keep.done) return Kept::lost;
  core_->count_settled(keep);
  item.delivery.tag = keep.tag;
  item.delivery.attempts = keep.tag.attempts;
  item.keep.reset();
  return Kept::yes;
}

std::int64_t Runner::due_after(Duration delay) const { return core_->context->clock->now().tick_ms + delay.count(); }

// With the lock. What it returns is to be settled without it: the hold is over before it began.
std::optional<Settlement> Runner::hold_until(Held held) {
  if (stopping_) return give_back(held.item);
  held_.emplace(held.due, std::move(held.item));
  wake_timekeeper();
  return std::nullopt;
}

// A held retry's failed delivery counts; a `keep` that was stored has counted the next one already.
Settlement Runner::give_back(const Item& item) {
  return {.tag = item.delivery.tag, .action = Settlement::Action::give_back, .count_attempt = item.keep != nullptr};
}

// False when the delivery was settled by its id while it was held here. A back end that does not answer is taken at its
// last word.
bool Runner::still_ours(const DeliveryTag& tag) {
  bool done = false;
  const auto result = core_->backend->touch({&tag, 1}, core_->policy().ack_timeout, {&done, 1});
  return !result || done;
}

// Whether a held retry may run now: the back end knows of it and it has not expired. If not it is settled, or held
// anew.
Runner::Admitted Runner::admit_again(Item& item) {
  if (item.keep) {
    switch (tell_keep(item)) {
      case Kept::later: {
        constexpr Duration kPause{100};
        const DeliveryTag tag = item.delivery.tag;
        Held held{.due = due_after(kPause), .item = std::exchange(item, Item{})};
        item.delivery.tag = tag;
        std::unique_lock lock(mutex_);
        std::optional<Settlement> back = hold_until(std::move(held));
        lock.unlock();
        if (back) settle_.settle(std::move(*back));
        return Admitted::later;
      }
      case Kept::lost:
        item.delivery.message = EnvelopePtr{};  // here, without the lock
        return Admitted::no;
      case Kept::yes:
        break;
    }
  } else if (!still_ours(item.delivery.tag)) {
    item.delivery.message = EnvelopePtr{};
    return Admitted::no;
  }
  const DeliveryTag tag = item.delivery.tag;
  const bool yes = admit({&item.delivery, 1}, core_->context->clock->coarse()) == 1;
  item.delivery.tag = tag;
  return yes ? Admitted::yes : Admitted::no;
}

// The next of a key may run.
void Runner::release_key(const std::string& key) {
  const auto line = keys_.find(key);
  if (line == keys_.end()) return;
  if (line->second.waiting.empty()) {
    keys_.erase(line);
    return;
  }
  ready_.push_front(std::move(line->second.waiting.front()));
  line->second.waiting.pop_front();
  --key_waiting_;
}

}  // namespace lrpc::queue::detail
