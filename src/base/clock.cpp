// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/clock.hpp>

#include <ctime>

#include <atomic>
#include <limits>
#include <list>

namespace lrpc::queue {
namespace {

std::int64_t read_ms(clockid_t id) noexcept {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const noexcept override {
    return {.wall_ms = read_ms(CLOCK_REALTIME), .tick_ms = read_ms(CLOCK_MONOTONIC)};
  }

  // One clock read in most calls: the wall clock is read again only when the monotonic one has moved on.
  [[nodiscard]] Instant coarse() const noexcept override {
    constinit thread_local Instant cached{};
    const std::int64_t tick = read_ms(CLOCK_MONOTONIC_COARSE);
    if (tick != cached.tick_ms) cached = {.wall_ms = read_ms(CLOCK_REALTIME_COARSE), .tick_ms = tick};
    return cached;
  }

  [[nodiscard]] Duration granularity() const noexcept override { return Duration(1); }
  [[nodiscard]] std::int64_t coarse_lag_ms() const noexcept override { return 10; }  // 100 Hz is the slowest kernel

  [[nodiscard]] std::chrono::steady_clock::time_point real(std::int64_t tick_ms) const noexcept override {
    // libstdc++'s steady_clock is CLOCK_MONOTONIC, in nanoseconds.
    constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max() / 1'000'000;
    if (tick_ms >= kLast) return std::chrono::steady_clock::time_point::max();
    return std::chrono::steady_clock::time_point(std::chrono::milliseconds(tick_ms));
  }

  [[nodiscard]] std::shared_ptr<void> on_jump(std::function<void()> /*listener*/) override { return nullptr; }
};

}  // namespace

const std::shared_ptr<Clock>& system_clock() {
  // Never destroyed: threads that outlive main's statics may still read the time.
  static const auto& clock = *new std::shared_ptr<Clock>(std::make_shared<SystemClock>());
  return clock;
}

struct ManualClock::State {
  std::atomic<std::int64_t> wall_ms{0};
  std::atomic<std::int64_t> tick_ms{1'000'000};  // not 0, so that "one hour ago" is representable
  std::mutex mutex;                              // guards listeners; held while they run
  std::list<std::function<void()>> listeners;

  void notify() {
    const std::lock_guard lock(mutex);
    for (const auto& listener : listeners) listener();
  }
};

ManualClock::ManualClock() : ManualClock(std::chrono::system_clock::now()) {}

ManualClock::ManualClock(TimePoint wall) : state_(std::make_shared<State>()) {
  state_->wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wall.time_since_epoch()).count();
}

ManualClock::~ManualClock() = default;

Instant ManualClock::now() const noexcept {
  return {.wall_ms = state_->wall_ms.load(std::memory_order_acquire),
          .tick_ms = state_->tick_ms.load(std::memory_order_acquire)};
}

std::chrono::steady_clock::time_point ManualClock::real(std::int64_t tick_ms) const noexcept {
  return tick_ms <= now().tick_ms ? std::chrono::steady_clock::time_point::min()
                                  : std::chrono::steady_clock::time_point::max();
}

std::shared_ptr<void> ManualClock::on_jump(std::function<void()> listener) {
  const std::lock_guard lock(state_->mutex);
  const auto it = state_->listeners.insert(state_->listeners.end(), std::move(listener));
  return std::shared_ptr<void>(state_.get(), [state = state_, it](void*) {
    const std::lock_guard inner(state->mutex);
    state->listeners.erase(it);
  });
}

void ManualClock::advance(Duration by) {
  state_->wall_ms.fetch_add(by.count(), std::memory_order_acq_rel);
  state_->tick_ms.fetch_add(by.count(), std::memory_order_acq_rel);
  state_->notify();
}

void ManualClock::shift_wall(Duration by) {
  state_->wall_ms.fetch_add(by.count(), std::memory_order_acq_rel);
  state_->notify();
}

}  // namespace lrpc::queue
