// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "machine.hpp"

namespace lrpc::queue::simulation {

void Journal::keep(std::string text) {
  std::string line = std::to_string(step_) + ": " + std::move(text);
  if (mode_ == Mode::print) {
    std::printf("%s\n", line.c_str());
    return;
  }
  lines_.push_back(std::move(line));
  if (lines_.size() > kLast) lines_.pop_front();
}

Coverage::Coverage(std::string name, std::vector<std::string> states, std::vector<std::string> events,
                   std::vector<Transition> expected)
    : name_(std::move(name)),
      states_(std::move(states)),
      events_(std::move(events)),
      expected_(std::move(expected)),
      counts_(states_.size() * events_.size() * states_.size()) {}

std::string Coverage::table() const {
  std::string text = "| " + name_ + " | event | becomes | count |\n|---|---|---|---:|\n";
  for (std::size_t from = 0; from < states_.size(); ++from) {
    for (std::size_t event = 0; event < events_.size(); ++event) {
      for (std::size_t to = 0; to < states_.size(); ++to) {
        const std::uint64_t count = counts_[place(from, event, to)];
        if (count == 0) continue;
        text += "| " + states_[from] + " | " + events_[event] + " | " + states_[to] + " | " + std::to_string(count) +
                " |\n";
      }
    }
  }
  return text;
}

std::vector<std::string> Coverage::faults() const {
  std::vector<std::string> faults;
  std::vector<bool> known(counts_.size());
  const auto index = [](const std::vector<std::string>& names, const std::string& name) {
    const auto it = std::ranges::find(names, name);
    if (it == names.end()) throw std::logic_error("no such state or event: " + name);
    return static_cast<std::size_t>(it - names.begin());
  };
  for (const Transition& one : expected_) {
    const std::size_t at = place(index(states_, one.from), index(events_, one.event), index(states_, one.to));
    known[at] = true;
    if (counts_[at] == 0 && !one.rare)
      faults.push_back(name_ + ": never " + one.from + " -" + one.event + "-> " + one.to);
  }
  for (std::size_t at = 0; at < counts_.size(); ++at) {
    if (known[at] || counts_[at] == 0) continue;
    const std::size_t row = at / states_.size();
    faults.push_back(name_ + ": not foreseen: " + states_[row / events_.size()] + " -" + events_[row % events_.size()] +
                     "-> " + states_[at % states_.size()]);
  }
  return faults;
}

}  // namespace lrpc::queue::simulation
