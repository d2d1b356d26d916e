// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue.hpp>

/// \file
/// What fault tests publish, and what they saw of it.

namespace lrpc::queue::support {

/// The bodies that came, and how often. Safe to use from many threads.
class Ledger {
 public:
  void saw(const std::string& body) {
    const std::lock_guard lock(mutex_);
    if (++times_[body] == 1) first_.push_back(body);
  }
  [[nodiscard]] std::size_t distinct() const {
    const std::lock_guard lock(mutex_);
    return times_.size();
  }
  [[nodiscard]] int times(const std::string& body) const {
    const std::lock_guard lock(mutex_);
    const auto it = times_.find(body);
    return it == times_.end() ? 0 : it->second;
  }
  [[nodiscard]] bool has(const std::vector<std::string>& bodies) const {
    return std::ranges::all_of(bodies, [this](const std::string& body) { return times(body) > 0; });
  }
  /// Those of `bodies` that did not come, for the message of a failed test.
  [[nodiscard]] std::vector<std::string> missing(const std::vector<std::string>& bodies) const {
    std::vector<std::string> result;
    std::ranges::copy_if(bodies, std::back_inserter(result), [this](const auto& body) { return times(body) == 0; });
    return result;
  }
  /// Those that came more than once.
  [[nodiscard]] std::vector<std::string> repeated() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> result;
    for (const auto& [body, times] : times_) {
      if (times > 1) result.push_back(body);
    }
    return result;
  }
  /// In the order in which they came first.
  [[nodiscard]] std::vector<std::string> in_order() const {
    const std::lock_guard lock(mutex_);
    return first_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int> times_;
  std::vector<std::string> first_;
};

/// Publishes bodies "0", "1", ... one after the other until stopped, whatever happens.
class Publisher {
 public:
  explicit Publisher(Topic<std::string> topic, const PubOptions& options = {}, Duration pause = Duration(0))
      : Publisher(std::move(topic), [options](int) { return options; }, pause) {}
  /// `options_of`: those of each number.
  template <std::invocable<int> OptionsOf>
  Publisher(Topic<std::string> topic, OptionsOf options_of, Duration pause = Duration(0))
      : thread_([this, topic = std::move(topic), options_of = std::move(options_of),
                 pause](const std::stop_token& stop) mutable {
          for (int number = 0; !stop.stop_requested(); ++number) {
            const auto result = topic.pub(std::to_string(number), options_of(number));
            {
              const std::lock_guard lock(mutex_);
              if (result) {
                accepted_.push_back(std::to_string(number));
              } else {
                errors_.push_back(result.error());
              }
            }
            if (pause.count() > 0) std::this_thread::sleep_for(pause);
          }
        }) {}

  /// What was accepted until the end.
  std::vector<std::string> stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    return accepted();
  }
  [[nodiscard]] std::vector<std::string> accepted() const {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }
  [[nodiscard]] std::vector<Error> errors() const {
    const std::lock_guard lock(mutex_);
    return errors_;
  }
  /// Waits until so many more were accepted; false when they are not within `patience`.
  [[nodiscard]] bool goes_on(std::size_t more = 20, Duration patience = std::chrono::seconds(10)) const {
    const std::size_t enough = count() + more;
    for (const auto end = std::chrono::steady_clock::now() + patience; std::chrono::steady_clock::now() < end;) {
      if (count() >= enough) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return count() >= enough;
  }

 private:
  [[nodiscard]] std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return accepted_.size();
  }

  mutable std::mutex mutex_;
  std::vector<std::string> accepted_;
  std::vector<Error> errors_;
  std::jthread thread_;  // last: uses the others
};

}  // namespace lrpc::queue::support
