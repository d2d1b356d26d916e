// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "variants.hpp"

/// \file
/// Runs the conformance suite over one variant in a process of its own, so that a variant that hangs, crashes or leaves
/// threads behind cannot disturb the others.

namespace lrpc::queue::mutants {

/// What became of a run.
struct Outcome {
  std::size_t tests = 0;              ///< Run.
  std::vector<std::string> failed{};  ///< Their names.
  std::vector<std::string> notes{};   ///< First lines of the failures.
  bool cut_short = false;             ///< Enough had failed; not all tests were run.
  std::string trouble{};              ///< Set: the process hung or crashed, and in which test.
};

/// One running child. The process must not have started a thread yet.
class Child {
 public:
  /// Starts the suite over `variant`; one without `spoil` runs the whole suite over the unbroken wrapper.
  explicit Child(const Variant& variant);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  /// Becomes readable when there is something to read.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Takes in what the child reported. False when it has ended; the outcome is complete then.
  bool read();
  /// Kills a child that has shown enough, or whose present test has been running for too long. True when it did; the
  /// outcome is complete then.
  bool kill_if_due();
  [[nodiscard]] const Outcome& outcome() const noexcept { return outcome_; }

 private:
  void take_line(const std::string& line);
  void reap();

  pid_t pid_ = -1;
  int fd_ = -1;
  std::string unread_;
  std::string test_;  // running now
  bool ended_ = false;
  bool mutant_ = false;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_news_ = started_;
  Outcome outcome_;
};

}  // namespace lrpc::queue::mutants
