// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker.hpp"
#include "kafka/admin.hpp"
#include "kafka/producer.hpp"

/// What tests of the client layer have in common.
namespace lrpc::queue::kafka::test {

[[nodiscard]] inline SteadyTime in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }
[[nodiscard]] inline SteadyTime soon() { return in(kPatience); }

[[nodiscard]] inline KafkaConfig config_for(const std::string& address) {
  KafkaConfig config;
  config.brokers = {address};
  return config;
}
[[nodiscard]] inline KafkaConfig shared_config() { return config_for(shared_broker().address()); }

[[nodiscard]] inline Logger silent() {
  return [](LogLevel, std::string_view) {};
}

/// A log that is kept.
class Lines {
 public:
  [[nodiscard]] Logger logger() {
    return [this](LogLevel level, std::string_view text) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(level, text);
    };
  }
  /// Those that contain a text, of a level and above.
  [[nodiscard]] std::vector<std::string> with(std::string_view part, LogLevel least = LogLevel::debug) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> found;
    for (const auto& [level, text] : lines_) {
      if (level >= least && text.find(part) != std::string::npos) found.push_back(text);
    }
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> lines_;
};

/// The value, or the test ends with the error's text.
template <class T>
T good(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

[[nodiscard]] inline std::unique_ptr<Producer> producer_for(const KafkaConfig& config) {
  return good(Producer::make(config, silent()));
}
[[nodiscard]] inline std::unique_ptr<Admin> admin_for(const KafkaConfig& config) {
  return good(Admin::make(config, silent()));
}

/// A topic of its own on the shared broker.
[[nodiscard]] inline std::string new_topic(int partitions = 1, const Settings& settings = {}) {
  std::string name = unique_name("client");
  RawAdmin(shared_broker().settings()).create_topic(name, partitions, settings);
  return name;
}

[[nodiscard]] inline std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Produces and returns how each record fared.
inline std::vector<Produced> produce(Producer& producer, std::span<const Record> records,
                                     SteadyTime deadline = soon()) {
  std::vector<Produced> out(records.size());
  producer.produce(records, deadline, out);
  return out;
}
inline Produced produce(Producer& producer, const Record& record, SteadyTime deadline = soon()) {
  return std::move(produce(producer, {&record, 1}, deadline)[0]);
}

/// The time that `call` takes.
template <class F>
std::chrono::milliseconds took(F&& call) {
  const auto began = std::chrono::steady_clock::now();
  std::forward<F>(call)();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
}

}  // namespace lrpc::queue::kafka::test
