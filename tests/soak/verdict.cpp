// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "verdict.hpp"

#include <fmt/format.h>

namespace lrpc::queue::soak {
namespace {

double hours_of(std::span<const Sample> samples) {
  return samples.empty() ? 0 : (samples.back().seconds - samples.front().seconds) / 3'600;
}

struct Figure {
  std::string name{};
  double Sample::* figure = nullptr;
  Limit limit{};
  double unit = 1;
  const char* unit_name = "";
  bool judged = true;
};

std::vector<Figure> figures_of(const Outcomes& outcomes) {
  std::vector<Figure> all{
      {.name = "RSS", .figure = &Sample::rss_kib, .limit = kMemoryLimit, .unit = 1024, .unit_name = " MiB"},
      {.name = "threads", .figure = &Sample::threads, .limit = kHandleLimit},
      {.name = "descriptors", .figure = &Sample::descriptors, .limit = kHandleLimit}};
  if (!outcomes.server_memory.empty()) {
    all.push_back({.name = std::string(outcomes.server_memory),
                   .figure = &Sample::server_kib,
                   .limit = kMemoryLimit,
                   .unit = 1024,
                   .unit_name = " MiB",
                   .judged = outcomes.server_judged});
  }
  return all;
}

double ms(std::int64_t us) { return static_cast<double>(us) / 1'000; }

std::string line_of(const char* name, const Quantiles& times) {
  return fmt::format("{}: p50 {:.2f} ms, p99 {:.2f} ms, p99.9 {:.2f} ms, max {:.1f} ms ({})\n", name, ms(times.p50),
                     ms(times.p99), ms(times.p999), ms(times.max), times.count);
}

}  // namespace

std::vector<std::string> findings(std::span<const Sample> samples, const Outcomes& outcomes) {
  std::vector<std::string> all;
  const auto expect_none = [&](std::int64_t number, const char* what) {
    if (number > 0) all.push_back(fmt::format("{} {}", number, what));
  };
  const Tally& tally = outcomes.tally;
  expect_none(tally.missing, "messages missing");
  // Who was not handled has expired, or is among the dead letters, or was when these were purged.
  expect_none(tally.unseen + tally.dead - outcomes.expired_counted - outcomes.purged - outcomes.dead_kept,
              "messages expired or dead without being counted");
  expect_none(outcomes.dead_counted - outcomes.requeued - outcomes.purged - outcomes.dead_kept, "dead letters missing");
  expect_none(outcomes.dropped, "messages dropped");
  expect_none(outcomes.out_of_order, "messages of a key out of order");
  expect_none(outcomes.errors, "calls that failed");
  expect_none(outcomes.after.threads - outcomes.before.threads, "threads left behind");
  expect_none(outcomes.after.descriptors - outcomes.before.descriptors, "descriptors left behind");
  if (tally.handled == 0) all.emplace_back("nothing was handled");
  if (outcomes.depth != 0) all.push_back(fmt::format("a depth of {} at the end", outcomes.depth));
  if (const double hours = hours_of(samples); hours >= kHoursToJudge) {
    for (const Figure& figure : figures_of(outcomes)) {
      if (figure.judged && grows(quarters_of(column(samples, figure.figure)), hours, figure.limit)) {
        all.push_back(figure.name + " grows");
      }
    }
  }
  return all;
}

std::string summary(std::span<const Sample> samples, const Outcomes& outcomes) {
  const double hours = hours_of(samples);
  const Tally& tally = outcomes.tally;
  std::string result = fmt::format(
      "\n{:.1f} minutes; medians of the quarters, and the change between the second and the fourth:\n", hours * 60);
  for (const Figure& figure : figures_of(outcomes)) {
    const Quarters quarters = quarters_of(column(samples, figure.figure));
    result += fmt::format("  {:22}", figure.name);
    for (const double value : quarters) result += fmt::format(" {:8.1f}", value / figure.unit);
    const double change = hours > 0 ? (quarters[3] - quarters[1]) / figure.unit / (hours / 2) : 0;
    result += fmt::format("{}, {:+.1f} an hour{}\n", figure.unit_name, change, figure.judged ? "" : " (not judged)");
  }
  if (hours < kHoursToJudge) result += "  too short to judge growth\n";
  result += fmt::format("closed: {} threads and {} descriptors; before the queue was opened {} and {}\n",
                        outcomes.after.threads, outcomes.after.descriptors, outcomes.before.threads,
                        outcomes.before.descriptors);
  result += line_of("publish to handler", outcomes.handle);
  result += line_of("publish", outcomes.publish);
  result += fmt::format("messages of all channels: {} accepted = {} handled + {} dead + {} expired + {} missing\n",
                        tally.accepted, tally.handled, tally.dead, tally.unseen, tally.missing);
  result += fmt::format("dead letters: {} made, {} put back, {} purged, {} kept; expired besides: {}\n",
                        outcomes.dead_counted, outcomes.requeued, outcomes.purged, outcomes.dead_kept,
                        outcomes.expired_counted);
  result += fmt::format("handled again {}, lost leases {}, depth at the end {}, errors {}, warnings logged {}\n",
                        outcomes.repeated, outcomes.lost_leases, outcomes.depth, outcomes.errors, outcomes.warnings);
  const auto found = findings(samples, outcomes);
  result += found.empty() ? "PASSED\n" : "FAILED:\n";
  for (const std::string& finding : found) result += "  " + finding + "\n";
  return result;
}

}  // namespace lrpc::queue::soak
