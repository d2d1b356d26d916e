// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "nemesis.hpp"

#include <condition_variable>
#include <mutex>
#include <numeric>
#include <random>
#include <utility>

namespace lrpc::queue::torture {

void rest(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
}

void Nemesis::add(Fault kind, int weight, Action action) {
  entries_.push_back({.kind = std::move(kind), .weight = weight, .action = std::move(action)});
}

void Nemesis::restrict(const std::set<std::string>& names) {
  if (names.empty()) return;
  std::erase_if(entries_, [&](const Entry& entry) { return !names.contains(entry.kind.name); });
}

void Nemesis::run(std::chrono::steady_clock::time_point end, const std::stop_token& stop) {
  std::vector<int> weights;
  for (const Entry& entry : entries_) weights.push_back(entry.weight);
  std::discrete_distribution<std::size_t> which(weights.begin(), weights.end());
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < end) {
    // Now and then the peace in which nothing explains a duplicate.
    rest(std::chrono::milliseconds(chance(random_, 6) ? 2'500 : between(random_, 20, 500)), stop);
    if (entries_.empty() || stop.stop_requested() || std::chrono::steady_clock::now() >= end) continue;
    const Entry& entry = entries_[which(random_)];
    Fault fault = entry.kind;
    fault.begin_us = machine_us();
    entry.action(fault);
    fault.end_us = machine_us();
    if (fault.name.empty()) continue;
    ledger_.fault(fault);
    ++counts_[fault.name];
  }
}

}  // namespace lrpc::queue::torture
