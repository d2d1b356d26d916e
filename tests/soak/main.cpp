// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <charconv>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "consumers.hpp"
#include "support/process_figures.hpp"
#include "verdict.hpp"

/// Mixed load at a moderate rate for long, and what becomes of memory, threads, descriptors and times meanwhile. Exit
/// code 1 when something grew or is missing, 2 for anything else that went wrong.
namespace lrpc::queue::soak {
namespace {

constexpr const char* kUsage =
    "usage: soak --backend memory|redis|kafka [--minutes N | --seconds N] [--rate N] [--folder DIR] [--leak BYTES]\n"
    "--rate: messages a second over all topics (300). --leak loses so many bytes a message, to see that it is "
    "noticed.\n"
    "Writes samples.csv (a line a second), plot.csv (at most 300), summary.txt, errors.txt and log.txt to DIR (soak).\n"
    "SIGINT and SIGTERM end it early, in good order.\n";
constexpr std::size_t kPlotted = 300;
/// What the channels may need at the end: retries, what is put back, a group that finds together.
constexpr auto kDrainTime = std::chrono::seconds(90);

Plan parse(const std::vector<std::string>& words) {
  Plan plan;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::string& name = words[i];
    if (i + 1 == words.size()) throw std::invalid_argument(name + "?");
    const std::string& value = words[i + 1];
    const auto number = [&](std::int64_t least) {
      std::int64_t result = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
      if (error != std::errc() || end != value.data() + value.size() || result < least) {
        throw std::invalid_argument(std::string(name).append(" ").append(value));
      }
      return result;
    };
    if (name == "--backend") {
      plan.backend = value;
    } else if (name == "--minutes") {
      plan.time = std::chrono::minutes(number(1));
    } else if (name == "--seconds") {
      plan.time = std::chrono::seconds(number(1));
    } else if (name == "--rate") {
      plan.rate = number(3);
    } else if (name == "--folder") {
      plan.folder = value;
    } else if (name == "--leak") {
      plan.leak = number(0);
    } else {
      throw std::invalid_argument(name + "?");
    }
  }
  return plan;
}

/// SIGINT and SIGTERM are for the main thread; none that starts later gets them.
class EndSignals {
 public:
  EndSignals() {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGINT);
    ::sigaddset(&set_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  /// Whether one came by then.
  [[nodiscard]] bool wait_until(SteadyClock::time_point time) const {
    const auto left = std::max<std::chrono::nanoseconds>(time - SteadyClock::now(), std::chrono::nanoseconds(0));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec wait{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    return ::sigtimedwait(&set_, nullptr, &wait) >= 0;
  }

 private:
  sigset_t set_{};
};

/// Those who take part, from start to drain.
class Crew {
 public:
  explicit Crew(World& world) : world_(world) {
    for (Line& line : world.lines) {
      for (Station& station : line.stations) employ(line, station);
    }
    for (Line& line : world.lines) {
      const double rate = static_cast<double>(world.plan.rate) / static_cast<double>(world.lines.size());
      publishers_.emplace_back(
          [&world, &line, rate](const std::stop_token& stop) { publish(world, line, rate, stop); });
    }
    helpers_.emplace_back([&world](const std::stop_token& stop) { come_and_go(world, stop); });
    helpers_.emplace_back([&world](const std::stop_token& stop) { keep_house(world, stop); });
  }

  /// No more messages; consumers go on until nothing is left. Returns the depth, -1 = not known.
  std::int64_t drain() {
    publishers_.clear();
    helpers_.clear();
    std::optional<std::int64_t> depth;
    for (const auto end = SteadyClock::now() + kDrainTime; SteadyClock::now() < end;) {
      depth = depth_of_all(world_);
      if (depth == 0) break;
      std::this_thread::sleep_for(Duration(200));
    }
    pullers_.clear();
    return depth.value_or(-1);
  }

 private:
  void employ(Line& line, Station& station) {
    if (station.subscribed) {
      static_cast<void>(must(station.channel->subscribe([this, &line, &station](const Message<Load>& message) {
        return handle(world_, station, line, message);
      }),
                             "subscribe"));
      return;
    }
    pullers_.emplace_back(
        [this, &line, &station](const std::stop_token& stop) { pull(world_, station, line, *station.channel, stop); });
  }

  World& world_;
  std::list<std::jthread> publishers_;
  std::list<std::jthread> pullers_;
  std::list<std::jthread> helpers_;
};

Sample take_sample(World& world, SteadyClock::time_point begin) {
  const ProcessFigures own = support::own_figures();
  return {.seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count(),
          .rss_kib = static_cast<double>(own.rss_kib),
          .threads = static_cast<double>(own.threads),
          .descriptors = static_cast<double>(own.descriptors),
          .server_kib = static_cast<double>(world.server.memory().value_or(0)),
          .depth = static_cast<double>(world.depth),
          .handle = world.handle_time.take_interval(),
          .publish = world.publish_time.take_interval(),
          .published = world.counts.published,
          .handled = world.counts.handled,
          .dead = world.counts.dead,
          .expired = world.counts.expired,
          .errors = world.trouble.errors(),
          .load = support::machine_load()};
}

void tell_progress(const World& world, const Sample& sample) {
  std::printf(
      "%5.1f min: RSS %.1f MiB, %.0f threads, %.0f descriptors, server %.1f MiB, depth %.0f, "
      "publish to handler p99 %.2f ms, %lld published, %lld handled, %lld guests, %lld errors, load %.1f\n",
      sample.seconds / 60, sample.rss_kib / 1024, sample.threads, sample.descriptors, sample.server_kib / 1024,
      sample.depth, static_cast<double>(sample.handle.p99) / 1'000, static_cast<long long>(sample.published),
      static_cast<long long>(sample.handled), static_cast<long long>(world.counts.guests),
      static_cast<long long>(sample.errors), sample.load);
  std::fflush(stdout);
}

/// Until the time is over or a signal comes.
std::vector<Sample> watch(World& world, const EndSignals& signals) {
  const auto begin = SteadyClock::now();
  std::vector<Sample> samples;
  samples.reserve(static_cast<std::size_t>(world.plan.time / std::chrono::seconds(1)) + 1);
  std::ofstream csv(world.plan.folder / "samples.csv");
  write_csv_head(csv);
  auto next_line = begin + std::chrono::minutes(1);
  for (auto due = begin + std::chrono::seconds(1); due <= begin + world.plan.time; due += std::chrono::seconds(1)) {
    const bool ended = signals.wait_until(due);
    samples.push_back(take_sample(world, begin));
    write_csv(csv, samples.back());
    csv.flush();
    if (SteadyClock::now() >= next_line) {
      tell_progress(world, samples.back());
      next_line += std::chrono::minutes(1);
    }
    if (ended) break;
  }
  return samples;
}

Outcomes outcomes_of(World& world, std::int64_t depth) {
  Outcomes result{.depth = depth,
                  .dead_counted = world.counts.dead,
                  .expired_counted = world.counts.expired,
                  .dropped = world.counts.dropped,
                  .requeued = world.counts.requeued,
                  .purged = world.counts.purged,
                  .lost_leases = world.counts.lost_leases,
                  .handle = world.handle_time.total(),
                  .publish = world.publish_time.total(),
                  .server_memory = world.server.memory_is(),
                  .server_judged = world.server.judged()};
  for (Line& line : world.lines) {
    for (Station& station : line.stations) {
      result.tally += station.book.tally(line.accepted);
      result.repeated += station.book.repeated();
      result.out_of_order += station.book.out_of_order();
      if (auto stats = station.channel->stats()) {
        result.dead_kept += stats->dead;
      } else {
        world.trouble.error("stats", stats.error());
      }
    }
  }
  return result;
}

/// A thread that was joined may still be seen for a moment.
ProcessFigures figures_after(const ProcessFigures& before) {
  ProcessFigures after = support::own_figures();
  for (int i = 0; i < 100 && (after.threads > before.threads || after.descriptors > before.descriptors); ++i) {
    std::this_thread::sleep_for(Duration(20));
    after = support::own_figures();
  }
  return after;
}

void write_files(const Plan& plan, const std::vector<Sample>& samples, const std::string& text) {
  std::ofstream plot(plan.folder / "plot.csv");
  write_csv_head(plot);
  for (const Sample& sample : thinned(samples, kPlotted)) write_csv(plot, sample);
  std::ofstream(plan.folder / "summary.txt") << text;
}

int run(const Plan& plan) {
  std::filesystem::create_directories(plan.folder);
  const auto server = start_server(plan.backend);
  const EndSignals signals;
  std::thread([] {}).join();  // with the first one the thread sanitizer starts one of its own, which stays
  const ProcessFigures before = support::own_figures();
  std::vector<Sample> samples;
  Outcomes outcomes;
  {
    World world(plan, *server);
    Crew crew(world);
    samples = watch(world, signals);
    outcomes = outcomes_of(world, crew.drain());
    if (auto closed = world.queue->close(); !closed) world.trouble.error("close", closed.error());
    outcomes.errors = world.trouble.errors();
    outcomes.warnings = world.trouble.warnings();
  }
  outcomes.before = before;
  outcomes.after = figures_after(before);
  const std::string text = summary(samples, outcomes);
  write_files(plan, samples, text);
  std::printf("%s", text.c_str());
  return findings(samples, outcomes).empty() ? 0 : 1;
}

}  // namespace
}  // namespace lrpc::queue::soak

int main(int argc, char** argv) try {
  return lrpc::queue::soak::run(lrpc::queue::soak::parse({argv + 1, argv + argc}));
} catch (const std::invalid_argument& error) {
  std::fprintf(stderr, "soak: %s\n%s", error.what(), lrpc::queue::soak::kUsage);
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "soak: %s\n", error.what());
  return 2;
}
