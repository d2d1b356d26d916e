// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "child.hpp"

/// Tests the conformance suite: each variant of a back end that breaks a promise must make it fail, and the same
/// wrapper without a defect must pass it whole. Arguments are names of variants to run alone; --list names them.
namespace lrpc::queue::mutants {
namespace {

constexpr std::size_t kShownNames = 3;

std::vector<Variant> all_variants() {
  std::vector<Variant> all{{.name = "unbroken", .defect = "none: must pass the whole suite", .tests = {}, .spoil = {}}};
  for (const auto group : {delivery_variants, settlement_variants, topic_variants, lifecycle_variants}) {
    for (Variant& variant : group()) all.push_back(std::move(variant));
  }
  return all;
}

/// Runs every variant, as many at once as the machine has processors.
std::map<std::string_view, Outcome> run_all(const std::vector<Variant>& variants) {
  std::map<std::string_view, Outcome> outcomes;
  std::map<std::string_view, Child> running;
  const std::size_t at_once = std::max(2U, std::thread::hardware_concurrency());
  for (auto next = variants.begin(); next != variants.end() || !running.empty();) {
    while (next != variants.end() && running.size() < at_once) {
      running.emplace(next->name, *next);
      ++next;
    }
    std::vector<pollfd> ready;
    for (const auto& [name, child] : running) ready.push_back({.fd = child.fd(), .events = POLLIN, .revents = 0});
    ::poll(ready.data(), ready.size(), 200);
    for (auto it = running.begin(); it != running.end();) {
      Child& child = it->second;
      const bool news =
          std::ranges::any_of(ready, [&](const pollfd& p) { return p.fd == child.fd() && p.revents != 0; });
      const bool over = (news && !child.read()) || child.kill_if_due();
      if (over) outcomes[it->first] = child.outcome();
      it = over ? running.erase(it) : std::next(it);
    }
  }
  return outcomes;
}

/// What the table says about a run.
std::string describe(const Outcome& outcome) {
  if (!outcome.trouble.empty()) return outcome.trouble;
  std::string text = std::to_string(outcome.failed.size()) + (outcome.cut_short ? "+" : "") + " of " +
                     std::to_string(outcome.tests) + " failed";
  for (std::size_t i = 0; i < std::min(outcome.failed.size(), kShownNames); ++i) {
    text += (i == 0 ? ": " : ", ") + outcome.failed[i];
  }
  return outcome.failed.size() > kShownNames ? text + ", ..." : text;
}

/// A mutant is caught when a test fails; the unbroken wrapper when none does.
bool as_expected(const Variant& variant, const Outcome& outcome) {
  return outcome.trouble.empty() && outcome.tests > 0 && outcome.failed.empty() != static_cast<bool>(variant.spoil);
}

int run(const std::set<std::string_view>& wanted) {
  std::vector<Variant> variants = all_variants();
  std::erase_if(variants, [&](const Variant& v) { return !wanted.empty() && !wanted.contains(v.name); });
  const auto outcomes = run_all(variants);
  int passed = 0;
  for (const Variant& variant : variants) {
    const Outcome& outcome = outcomes.at(variant.name);
    const bool good = as_expected(variant, outcome);
    passed += good ? 1 : 0;
    std::printf("%-6s %-28s %s\n", good ? "ok" : "MISSED", std::string(variant.name).c_str(),
                describe(outcome).c_str());
    if (good) continue;
    std::printf("       %s\n", std::string(variant.defect).c_str());
    for (const std::string& note : outcome.notes) std::printf("       %s\n", note.c_str());
  }
  const int failed = static_cast<int>(variants.size()) - passed;
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace lrpc::queue::mutants

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const std::set<std::string_view> wanted(argv + 1, argv + argc);
  if (!wanted.contains("--list")) return lrpc::queue::mutants::run(wanted);
  for (const auto& variant : lrpc::queue::mutants::all_variants()) {
    std::printf("%-28s %s\n", std::string(variant.name).c_str(), std::string(variant.defect).c_str());
  }
  return 0;
}
