// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "nemesis.hpp"

/// The memory back end: producers and consumers are threads of this process, the clock is one that jumps.

namespace lrpc::queue::torture {
namespace {

using std::chrono::steady_clock;

/// Moves a clock with the machine's.
class Running {
 public:
  explicit Running(std::shared_ptr<ManualClock> clock)
      : thread_([clock = std::move(clock)](const std::stop_token& stop) {
          auto before = steady_clock::now();
          while (!stop.stop_requested()) {
            std::this_thread::sleep_for(Duration(2));
            const auto passed = std::chrono::duration_cast<Duration>(steady_clock::now() - before);
            before += passed;
            clock->advance(passed);
          }
        }) {}

 private:
  std::jthread thread_;
};

/// The round's queue, with its consumers.
class Rig {
 public:
  explicit Rig(const RoundOptions& options)
      : options_(options),
        ledger_(options.folder / "memory.ledger"),
        clock_(std::make_shared<ManualClock>()),
        running_(clock_),
        // Every other round as a back end that serialises.
        queue_(Queue::open({.memory_config = {.serialize = options.seed % 2 == 1},
                            .logger = [](LogLevel, std::string_view) {},
                            .clock = clock_})
                   .value()) {
    // Channels are there before the first publish: each gets every message.
    for (const char* const name : {kWork, kPull}) static_cast<void>(open(name).value());
    for (Line& line : subscriptions_) subscribe(line);
    for (Line& line : pullers_) start_pulling(line);
    for (int i = 0; i < 3; ++i) {
      publishers_.emplace_back([this, i](const std::stop_token& stop) {
        Publisher(part("p" + std::to_string(i), static_cast<std::uint64_t>(i)))
            .run([this] { return queue_.topic<std::string>(kTopic); }, stop);
      });
    }
  }

  void add_faults(Nemesis& nemesis);
  void heal_and_drain(Ledger& ledger);
  [[nodiscard]] Ledger& ledger() noexcept { return ledger_; }
  [[nodiscard]] const Setup& setup() const noexcept { return setup_; }

 private:
  /// One after the other the lives of one consumer.
  struct Line {
    std::string name{};
    int lives = 0;
    std::string life{};
    std::shared_ptr<Worker> worker{};
    std::optional<Subscription> subscription{};
    std::atomic<std::int64_t> stalled = 0;
    std::atomic<bool> forget = false;
    std::jthread thread{};
  };

  Result<Channel<std::string>> open(const char* name) {
    auto topic = queue_.topic<std::string>(kTopic);
    if (!topic) return std::unexpected(topic.error());
    return topic->get_or_add_channel(name, channel_config(name, setup_));
  }

  Part part(std::string name, std::uint64_t salt) {
    return {.name = std::move(name),
            .seed = options_.seed * 101 + salt,
            .setup = setup_,
            .ledger = ledger_,
            .clock = clock_};
  }

  std::shared_ptr<Worker> new_life(Line& line, const char* channel) {
    line.life = line.name + "." + std::to_string(line.lives++);
    return std::make_shared<Worker>(part(line.life, std::hash<std::string>{}(line.life)), channel, &failing_);
  }

  void subscribe(Line& line) {
    auto channel = open(kWork);
    if (!channel) throw std::runtime_error("cannot open: " + channel.error().message);
    line.worker = new_life(line, kWork);
    auto subscription =
        channel->subscribe([worker = line.worker](Message<std::string>& message) { return worker->handle(message); });
    if (!subscription) throw std::runtime_error("cannot subscribe: " + subscription.error().message);
    line.subscription = std::move(*subscription);
  }

  void start_pulling(Line& line) {
    line.thread = std::jthread([this, &line](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        auto channel = open(kPull);
        if (channel) new_life(line, kPull)->pull(*channel, stop, &line.stalled, &line.forget);
      }
    });
  }

  void reopen_subscriptions() {
    for (Line& line : subscriptions_) subscribe(line);
  }

  const RoundOptions& options_;
  const Setup setup_{.lease = Duration(1'000), .close_timeout = Duration(300), .dues_by_wall = false};
  Ledger ledger_;
  std::shared_ptr<ManualClock> clock_;
  Running running_;
  Queue queue_;
  std::atomic<bool> failing_ = false;
  std::array<Line, 2> subscriptions_{{{.name = "s0"}, {.name = "s1"}}};
  std::array<Line, 2> pullers_{{{.name = "n0"}, {.name = "n1"}}};
  std::list<std::jthread> publishers_;
};

void Rig::add_faults(Nemesis& nemesis) {
  Random& random = nemesis.random();
  // A handler that does not end in time loses its message (D20), so others may have it twice.
  nemesis.add({.name = "close-and-open-a-channel", .redelivers = true, .reorders = true, .reach_ms = 1'000}, 10,
              [this](Fault&) {
                if (auto channel = open(kWork)) static_cast<void>(channel->close());
                reopen_subscriptions();
              });
  nemesis.add({.name = "close-and-open-the-topic", .redelivers = true, .reorders = true, .reach_ms = 1'000}, 10,
              [this](Fault&) {
                if (auto topic = queue_.topic<std::string>(kTopic)) static_cast<void>(topic->close());
                reopen_subscriptions();
              });
  nemesis.add({.name = "stop-a-subscription", .redelivers = true, .reorders = true, .reach_ms = 1'000}, 10,
              [this, &random](Fault&) {
                Line& line = subscriptions_[static_cast<std::size_t>(between(random, 0, 1))];
                static_cast<void>(line.subscription->stop());
                subscribe(line);
              });
  // Far enough that leases end: of what `next` handed out, as subscriptions renew theirs.
  nemesis.add(
      {.name = "clock-jumps-forward", .redelivers = true, .reorders = true, .moves_clock = true, .reach_ms = 20}, 10,
      [this, &random](Fault&) { clock_->advance(Duration(between(random, 500, 3'000))); });
  nemesis.add({.name = "wall-clock-changed", .moves_clock = true, .reach_ms = 20}, 10,
              [this, &random](Fault&) { clock_->shift_wall(Duration(between(random, -2'000, 2'000))); });
  nemesis.add({.name = "consumer-stands-still", .redelivers = true, .reach_ms = 200}, 10, [this, &random](Fault&) {
    Line& line = pullers_[static_cast<std::size_t>(between(random, 0, 1))];
    line.stalled = between(random, 1'100, 1'800);  // longer than the lease
    std::this_thread::sleep_for(Duration(1'900));
  });
  nemesis.add({.name = "consumer-forgets-what-it-has"}, 10,
              [this, &random](Fault&) { pullers_[static_cast<std::size_t>(between(random, 0, 1))].forget = true; });
  nemesis.add({.name = "all-handlers-fail"}, 10, [this, &random](Fault&) {
    failing_ = true;
    std::this_thread::sleep_for(Duration(between(random, 20, 200)));
    failing_ = false;
  });
  nemesis.add({.name = "pause-and-resume"}, 10, [this, &random](Fault&) {
    auto channel = open(chance(random, 50) ? kWork : kPull);
    if (!channel) return;
    static_cast<void>(channel->pause());
    std::this_thread::sleep_for(Duration(between(random, 20, 500)));
    static_cast<void>(channel->resume());
  });
}

void Rig::heal_and_drain(Ledger& ledger) {
  for (std::jthread& publisher : publishers_) publisher.request_stop();
  publishers_.clear();
  auto topic = queue_.topic<std::string>(kTopic).value();
  // Bounded by what a message can need: its delay and its retries. What is left then is a finding.
  for (const auto end = steady_clock::now() + std::chrono::seconds(40); steady_clock::now() < end;) {
    if (depth_of_all(topic, setup_) == 0) break;
    std::this_thread::sleep_for(Duration(20));
  }
  for (Line& line : pullers_) line.thread = {};
  for (Line& line : subscriptions_) static_cast<void>(line.subscription->stop());
  if (!note_the_end(topic, setup_, ledger)) throw std::runtime_error("the memory back end does not tell its depth");
}

}  // namespace

Round memory_round(const RoundOptions& options) {
  Round round;
  Setup setup;
  {
    Rig rig(options);
    setup = rig.setup();
    Nemesis nemesis(options.seed, rig.ledger());
    rig.add_faults(nemesis);
    nemesis.restrict(options.faults);
    nemesis.run(steady_clock::now() + options.time, {});
    rig.heal_and_drain(rig.ledger());
    round.faults = nemesis.counts();
  }
  round.verdict = check(read_ledgers(options.folder), rules_of(setup));
  return round;
}

}  // namespace lrpc::queue::torture
