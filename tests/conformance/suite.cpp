// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "context.hpp"
#include "registry.hpp"

namespace lrpc::queue::conformance {
namespace {

struct Named {
  Capability capability;
  std::string_view name;
};
constexpr std::array kCapabilities = {
    Named{Capability::manual_clock, "manual_clock"},
    Named{Capability::atomic_batch, "atomic_batch"},
    Named{Capability::bounded_depth, "bounded_depth"},
    Named{Capability::typed_bodies, "typed_bodies"},
    Named{Capability::delayed_publish, "delayed_publish"},
    Named{Capability::dead_letters, "dead_letters"},
    Named{Capability::lease_expiry, "lease_expiry"},
    Named{Capability::delete_channel, "delete_channel"},
    Named{Capability::backlog, "backlog"},
    Named{Capability::exact_depth, "exact_depth"},
    Named{Capability::later_channels, "later_channels"},
    Named{Capability::split_stats, "split_stats"},
    Named{Capability::due_order, "due_order"},
    Named{Capability::steady_delays, "steady_delays"},
    Named{Capability::cheap_channels, "cheap_channels"},
    Named{Capability::longest_names, "longest_names"},
    Named{Capability::total_order, "total_order"},
    Named{Capability::disconnects, "disconnects"},
};

/// One run of a test on a thread of its own, so that a back end that never returns makes the test fail and not hang.
struct TestRun {
  TestRun(Subject s, TestCase t) : subject(std::move(s)), test(t) {}

  void execute() {
    try {
      Context ctx(subject);
      test.run(ctx);
    } catch (const Abort&) {  // recorded where it was thrown
    } catch (const std::exception& e) {
      ADD_FAILURE() << "the test threw: " << e.what();
    }
    const std::lock_guard lock(mutex);
    done = true;
    ended.notify_all();
  }
  bool wait(Duration limit) {
    std::unique_lock lock(mutex);
    return ended.wait_for(lock, limit, [this] { return done; });
  }

  const Subject subject;
  const TestCase test;
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
};

class ConformanceTest : public testing::Test {
 public:
  ConformanceTest(const Subject& subject, const TestCase& test) : run_(std::make_shared<TestRun>(subject, test)) {}

  void TestBody() override {
    const auto limit = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(60) *
                                                            std::max(run_->subject.patience, 0.25));
    std::thread thread([run = run_] { run->execute(); });
    if (run_->wait(limit)) {
      thread.join();
    } else {
      ADD_FAILURE() << "still running after " << limit.count() << " ms; left alone";
      thread.detach();
    }
  }

 private:
  std::shared_ptr<TestRun> run_;
};

bool encoded_only_but_typed(const TestCase& test, const Subject& subject) {
  return test.bodies == Bodies::encoded_only && subject.claims.contains(Capability::typed_bodies);
}

/// For each capability that is not claimed, a line with the rules whose tests it leaves out.
std::string report(const std::string& name, const Subject& subject, const std::vector<TestCase>& tests) {
  std::ostringstream out;
  const auto line = [&](std::string_view what, auto&& left_out) {
    std::set<std::string> rules;
    std::size_t count = 0;
    for (const TestCase& test : tests) {
      if (!left_out(test)) continue;
      ++count;
      std::istringstream words{std::string(test.rules)};
      for (std::string rule; words >> rule;) rules.insert(rule);
    }
    if (count == 0) return;
    out << name << ": " << what << ", which leaves out " << count << " tests of";
    for (const std::string& rule : rules) out << ' ' << rule;
    out << '\n';
  };
  for (const Named& c : kCapabilities) {
    if (subject.claims.contains(c.capability)) continue;
    line("does not claim " + std::string(c.name), [&](const TestCase& t) { return t.needs.contains(c.capability); });
  }
  line("bodies are not encoded", [&](const TestCase& t) { return encoded_only_but_typed(t, subject); });
  return out.str();
}

}  // namespace

std::string_view to_string(Capability capability) noexcept {
  for (const Named& c : kCapabilities) {
    if (c.capability == capability) return c.name;
  }
  return "unknown";
}

std::vector<TestCase> all_tests() {
  std::vector<TestCase> tests;
  for (const auto subject :
       {publish_tests,        message_tests,        delivery_tests,    subscription_tests, settle_tests,
        attempts_tests,       retry_tests,          key_order_tests,   lease_tests,        handler_tests,
        concurrency_tests,    expiry_tests,         ttl_tests,         codec_tests,        capacity_tests,
        delay_tests,          backlog_tests,        dead_letter_tests, stats_tests,        close_state_tests,
        close_delivery_tests, delete_channel_tests, blocking_tests,    disconnect_tests,   async_tests,
        hooks_tests,          input_tests,          stress_tests}) {
    const auto list = subject();
    tests.insert(tests.end(), list.begin(), list.end());
  }
  return tests;
}

std::size_t register_suite(const std::string& name, const Subject& subject,
                           const std::function<bool(std::string_view test)>& only) {
  const std::vector<TestCase> tests = all_tests();
  // A listing is read by programs.
  if (!testing::GTEST_FLAG(list_tests)) std::cout << report(name, subject, tests) << std::flush;
  std::size_t count = 0;
  for (const TestCase& test : tests) {
    const bool claimed = std::all_of(kCapabilities.begin(), kCapabilities.end(), [&](const Named& c) {
      return !test.needs.contains(c.capability) || subject.claims.contains(c.capability);
    });
    if (!claimed || encoded_only_but_typed(test, subject) || (only && !only(test.name))) continue;
    testing::RegisterTest(name.c_str(), std::string(test.name).c_str(), nullptr, nullptr, test.where.file_name(),
                          static_cast<int>(test.where.line()),
                          [subject, test]() -> ConformanceTest* { return new ConformanceTest(subject, test); });
    ++count;
  }
  return count;
}

}  // namespace lrpc::queue::conformance
