// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lrpc::queue::simulation {

/// Where all chance of a run comes from: the same numbers for the same seed on every platform (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  /// From 0 to before `bound`, which is positive.
  template <class N>
  N below(N bound) noexcept {
    return static_cast<N>(next() % static_cast<std::uint64_t>(bound));
  }
  std::int64_t between(std::int64_t low, std::int64_t high) noexcept { return low + below(high - low + 1); }
  bool chance(int percent) noexcept { return below(100) < percent; }
  template <class List>
  auto& any_of(List& list) noexcept {
    return *std::next(list.begin(), below(static_cast<std::ptrdiff_t>(list.size())));
  }

 private:
  std::uint64_t state_;
};

/// What may happen next, by weight.
template <class Step>
class Choice {
 public:
  struct Weighted {
    Step step;
    int weight;
  };
  Choice(std::initializer_list<Weighted> steps) : steps_(steps) {
    for (const Weighted& one : steps_) all_ += one.weight;
  }
  /// Calls `attempt` with steps by chance until it says that one was done; not for ever.
  template <class Attempt>
  void take_one(Random& random, const Attempt& attempt) const {
    constexpr int kTries = 50;
    for (int tries = 0; tries < kTries; ++tries) {
      int at = random.below(all_);
      const Weighted* chosen = steps_.data();
      while (at >= chosen->weight) at -= (chosen++)->weight;
      if (attempt(chosen->step)) return;
    }
  }

 private:
  std::vector<Weighted> steps_;
  int all_ = 0;
};

/// A promise that was not kept.
class Broken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `text` makes the words, and is called only when they are needed.
template <class Text>
void check(bool ok, Text&& text) {
  if (!ok) throw Broken(std::string(text()));
}
inline void check(bool ok, const char* text) {
  if (!ok) throw Broken(text);
}
template <class A, class B>
void check_equal(const A& is, const B& expected, const char* what) {
  check(is == expected,
        [&] { return std::string(what) + ": is " + std::to_string(is) + ", expected " + std::to_string(expected); });
}

/// What happened, as lines. Off until a seed is run again to be read about.
class Journal {
 public:
  static constexpr std::size_t kLast = 30;
  enum class Mode : std::uint8_t { off, last, print };
  explicit Journal(Mode mode) : mode_(mode) {}

  template <class Text>
  void add(Text&& text) {
    if (mode_ != Mode::off) keep(text());
  }
  void set_step(int step) noexcept { step_ = step; }
  [[nodiscard]] const std::deque<std::string>& lines() const noexcept { return lines_; }

 private:
  void keep(std::string text);
  Mode mode_;
  int step_ = 0;
  std::deque<std::string> lines_;
};

/// Which transitions of a state machine happened, over all seeds of a run, and which have to.
class Coverage {
 public:
  struct Transition {
    std::string from{};
    std::string event{};
    std::string to{};
    bool rare = false;  ///< Known, and too seldom to be asked for.
  };
  Coverage(std::string name, std::vector<std::string> states, std::vector<std::string> events,
           std::vector<Transition> expected);

  template <class State, class Event>
  void count(State from, Event event, State to) noexcept {
    ++counts_[place(static_cast<std::size_t>(from), static_cast<std::size_t>(event), static_cast<std::size_t>(to))];
  }
  /// A table in Markdown.
  [[nodiscard]] std::string table() const;
  /// What should have happened and did not, and what happened and is not known.
  [[nodiscard]] std::vector<std::string> faults() const;

 private:
  [[nodiscard]] std::size_t place(std::size_t from, std::size_t event, std::size_t to) const noexcept {
    return (from * events_.size() + event) * states_.size() + to;
  }
  std::string name_;
  std::vector<std::string> states_;
  std::vector<std::string> events_;
  std::vector<Transition> expected_;
  std::vector<std::uint64_t> counts_;
};

/// Parts of the library, single-threaded, among a world that a seed moves, beside a model that knows what is right.
class Machine {
 public:
  Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  virtual ~Machine() = default;
  /// One thing happens. Throws Broken.
  virtual void step() = 0;
  /// All faults end, and what is left is worked off. Throws Broken.
  virtual void finish() = 0;
};

/// A sort of machine.
struct Kind {
  std::string_view name;
  std::unique_ptr<Machine> (*make)(std::uint64_t seed, Journal& journal);
  std::vector<Coverage*> coverage;
};

Kind kafka_kind();
Kind memory_kind();
Kind engine_kind();
Kind redis_kind();

}  // namespace lrpc::queue::simulation
