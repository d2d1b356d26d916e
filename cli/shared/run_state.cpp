// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/run_state.hpp"

namespace lrpc::queue::cli {

bool RunState::stop_for_signal(int signal) {
  int none = 0;
  const bool first = signal_.compare_exchange_strong(none, signal);
  if (first) stop();
  return first;
}

void RunState::stop_for_error(std::string_view text, int exit_code) {
  int none = kExitOk;
  error_code_.compare_exchange_strong(none, exit_code);
  console_.error(text);
  stop();
}

void RunState::stop_for_lost_output() {
  if (!output_lost_.exchange(true)) stop_for_error("nobody reads standard output any more");
}

void RunState::note_error(std::string_view text) {
  int none = kExitOk;
  error_code_.compare_exchange_strong(none, kExitError);
  console_.error(text);
}

void RunState::begin_message() {
  const std::lock_guard lock(mutex_);
  ++running_;
}

void RunState::end_message() {
  {
    const std::lock_guard lock(mutex_);
    --running_;
    last_activity_ = std::chrono::steady_clock::now();
  }
  changed_.notify_all();
}

std::int64_t RunState::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

void RunState::wait_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return running_ == 0; });
}

bool RunState::wait_stop(std::optional<Duration> idle) {
  const std::stop_token stop = stop_.get_token();
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!idle) {
      changed_.wait(lock, stop, [] { return false; });
    } else if (running_ > 0) {
      changed_.wait(lock, stop, [this] { return running_ == 0; });
    } else {
      const auto end = last_activity_ + *idle;
      if (std::chrono::steady_clock::now() >= end) return false;
      changed_.wait_until(lock, stop, end, [this] { return running_ > 0; });
    }
  }
  return true;
}

}  // namespace lrpc::queue::cli
