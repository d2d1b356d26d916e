// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "child.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "memory/backend.hpp"
#include "pass_through.hpp"

namespace lrpc::queue::mutants {
namespace {

using std::chrono::steady_clock;

// The suite itself gives a test a minute (a quarter of it over a mutant) and then leaves it alone: a child that is
// silent for longer is stuck outside a test.
constexpr std::chrono::seconds kStuck(90);
// A mutant that has failed a test needs no more proof after this time: its other tests mostly wait in vain.
constexpr std::chrono::seconds kProof(8);
// A failing test waits for what never comes: over a mutant not for long.
constexpr double kMutantPatience = 0.25;

void write_line(int fd, std::string line) {
  std::ranges::replace(line, '\n', ' ');
  line += '\n';
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t written = ::write(fd, line.data() + at, line.size() - at);
    if (written < 0 && errno != EINTR) std::_Exit(EXIT_FAILURE);  // nobody reads any more
    if (written > 0) at += static_cast<std::size_t>(written);
  }
}

/// Tells the parent what happens.
class Reporter final : public testing::EmptyTestEventListener {
 public:
  explicit Reporter(int fd) noexcept : fd_(fd) {}

  void OnTestStart(const testing::TestInfo& test) override { write_line(fd_, std::string("start ") + test.name()); }
  void OnTestPartResult(const testing::TestPartResult& part) override {
    if (!part.failed()) return;
    write_line(fd_, "note line " + std::to_string(part.line_number()) + ": " + part.summary());
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    write_line(fd_, std::string(test.result()->Failed() ? "fail " : "pass ") + test.name());
  }

 private:
  const int fd_;
};

[[noreturn]] void run_child(int fd, const Variant& variant) {
  const bool mutant = static_cast<bool>(variant.spoil);
  // What the suite does not claim is told by its own runs.
  if (const int nowhere = ::open("/dev/null", O_WRONLY); nowhere >= 0) ::dup2(nowhere, STDOUT_FILENO);

  conformance::Subject subject;
  if (mutant) subject.patience = kMutantPatience;
  subject.open = [spoil = variant.spoil](Config config) {
    config.backend_factory = [spoil](const BackendContext& context) -> Result<std::shared_ptr<Backend>> {
      auto inner = memory::make_backend(context);
      if (!inner) return inner;
      if (spoil) return spoil(std::move(*inner));
      return std::make_shared<BackendOf<TopicOf<PassChannel>>>(std::move(*inner));
    };
    return Queue::open(std::move(config));
  };
  conformance::register_suite(std::string(variant.name), subject, [&](std::string_view test) {
    return !mutant || std::ranges::any_of(variant.tests, [&](auto begin) { return test.starts_with(begin); });
  });
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new Reporter(fd));
  [[maybe_unused]] const int failed = RUN_ALL_TESTS();  // the listener has told
  write_line(fd, "end");
  std::_Exit(EXIT_SUCCESS);  // at once: a test that was left alone still has threads
}

}  // namespace

Child::Child(const Variant& variant) : mutant_(static_cast<bool>(variant.spoil)) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ == 0) {
    ::close(pipe[0]);
    run_child(pipe[1], variant);
  }
  ::close(pipe[1]);
  fd_ = pipe[0];
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      fd_(std::exchange(other.fd_, -1)),
      unread_(std::move(other.unread_)),
      test_(std::move(other.test_)),
      ended_(other.ended_),
      mutant_(other.mutant_),
      started_(other.started_),
      last_news_(other.last_news_),
      outcome_(std::move(other.outcome_)) {}

Child::~Child() {
  if (fd_ >= 0) ::close(fd_);
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void Child::take_line(const std::string& line) {
  const std::size_t blank = std::min(line.find(' '), line.size());
  const std::string_view word = std::string_view(line).substr(0, blank);
  const std::string rest = line.substr(std::min(blank + 1, line.size()));
  if (word == "start") {
    test_ = rest;
  } else if (word == "pass" || word == "fail") {
    ++outcome_.tests;
    if (word == "fail") outcome_.failed.push_back(rest);
    test_.clear();
  } else if (word == "note") {
    outcome_.notes.push_back(test_ + ": " + rest);
  } else {
    ended_ = true;
  }
}

bool Child::read() {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) {
    reap();
    return false;
  }
  last_news_ = steady_clock::now();
  unread_.append(buffer.data(), static_cast<std::size_t>(got));
  for (std::size_t end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n')) {
    take_line(unread_.substr(0, end));
    unread_.erase(0, end + 1);
  }
  return true;
}

void Child::reap() {
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  if (ended_ || !outcome_.trouble.empty()) return;
  const std::string where = test_.empty() ? "outside a test" : "in " + test_;
  outcome_.trouble = WIFSIGNALED(status) ? std::string("crashed (") + ::strsignal(WTERMSIG(status)) + ") " + where
                                         : "ended early " + where;
}

bool Child::kill_if_due() {
  const auto now = steady_clock::now();
  if (mutant_ && !outcome_.notes.empty() && now - started_ > kProof) {
    ended_ = outcome_.cut_short = true;
    // The note may be of the test that is running.
    if (!test_.empty() && outcome_.notes.back().starts_with(test_ + ":")) take_line("fail " + test_);
  } else if (now - last_news_ > kStuck) {
    outcome_.trouble = "hung " + (test_.empty() ? std::string("outside a test") : "in " + test_);
  } else {
    return false;
  }
  ::kill(pid_, SIGKILL);
  reap();
  return true;
}

}  // namespace lrpc::queue::mutants
