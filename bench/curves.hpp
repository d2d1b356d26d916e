// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "suite.hpp"
#include "timing.hpp"

/// \file
/// What the groups that are plotted have in common.

namespace lrpc::queue::bench {

inline constexpr std::array<std::size_t, 10> kBatchSizes{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
inline constexpr std::array<std::size_t, 6> kChannelNumbers{1, 2, 4, 16, 64, 256};
inline constexpr std::array<std::size_t, 7> kProducerNumbers{1, 2, 4, 8, 16, 32, 64};
inline constexpr std::array<std::size_t, 7> kDepths{1, 10, 100, 1'000, 10'000, 100'000, 1'000'000};

/// What is measured at each x.
struct Measured {
  std::string key{};    ///< In the name of its cases.
  std::string title{};  ///< In the legend.
  std::function<Reading(std::size_t)> run{};
};

/// Adds a plot with a curve for each of what is measured, and their cases, those of one x in turn.
template <class Numbers>
void add_sweep(Group& group, Plot plot, const Numbers& numbers, const std::vector<Measured>& all) {
  for (const Measured& one : all) plot.curves.push_back({.title = one.title});
  for (const std::size_t x : numbers) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::string name = fmt::format("{}/{}_{}", plot.name, all[i].key, x);
      group.cases.push_back({name, [run = all[i].run, x] { return run(x); }});
      plot.curves[i].points.push_back({.x = static_cast<double>(x), .figure = {name}});
    }
  }
  group.plots.push_back(std::move(plot));
}

/// The costs of a publish and of a take + settle, in nanoseconds, by depth, as the fields of one reading: `make(depth)`
/// makes what has so many messages waiting, with `publish()` and `consume()` of `block` messages each. The depths are
/// measured in turns, since a machine's speed changes in less time than a million messages take.
template <class Make>
[[nodiscard]] Reading costs_by_depth(std::size_t deepest, std::size_t samples, std::size_t block, Make make) {
  struct Site {
    std::size_t depth;
    decltype(make(deepest)) place;
    std::vector<double> publish{};
    std::vector<double> consume{};
  };
  std::vector<Site> sites;
  for (const std::size_t depth : kDepths) {
    if (depth <= deepest) sites.push_back({.depth = depth, .place = make(depth)});
  }
  for (std::size_t i = 0; i < samples; ++i) {
    for (Site& site : sites) {
      site.publish.push_back(timed([&] { site.place.publish(); }) / static_cast<double>(block));
      site.consume.push_back(timed([&] { site.place.consume(); }) / static_cast<double>(block));
    }
  }
  Reading reading;
  for (const Site& site : sites) {
    reading[fmt::format("publish_{}", site.depth)] = median(site.publish);
    reading[fmt::format("consume_{}", site.depth)] = median(site.consume);
  }
  return reading;
}

/// Adds to a curve the points of such a case; `what` is "publish" or "consume".
inline void add_depths(Plot& plot, std::size_t curve, const std::string& name, const char* what, std::size_t deepest) {
  for (const std::size_t depth : kDepths) {
    if (depth > deepest) break;
    plot.curves[curve].points.push_back({static_cast<double>(depth), {name, fmt::format("{}_{}", what, depth)}});
  }
}

/// Shares, in percent, of which a distribution is made.
inline constexpr std::array<double, 10> kShares{1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9};

/// Adds the distribution, in microseconds, of times in nanoseconds.
inline void add_distribution(Reading& reading, const std::vector<double>& ns) {
  for (const double share : kShares) reading[fmt::format("q{}", share)] = quantile(ns, share / 100) / 1e3;
}

/// The distributions of two cases that have one.
[[nodiscard]] inline Plot distribution_plot(std::string name, std::string title, const std::string& ours,
                                            const std::string& raw, const std::string& raw_title) {
  Plot plot{.name = std::move(name),
            .title = std::move(title),
            .x_title = "share of the messages, percent",
            .y_title = "µs",
            .log_x = false,
            .curves = {{.title = "lrpc-queue"}, {.title = raw_title}}};
  for (const double share : kShares) {
    plot.curves[0].points.push_back({share, {ours, fmt::format("q{}", share)}});
    plot.curves[1].points.push_back({share, {raw, fmt::format("q{}", share)}});
  }
  return plot;
}

/// Nanoseconds that `callers` threads take for `calls` each of what `make()` gives each of them, made before the start.
template <class Make>
[[nodiscard]] double time_of_callers(std::size_t callers, std::size_t calls, Make make) {
  std::latch start(static_cast<std::ptrdiff_t>(callers + 1));
  std::vector<std::jthread> threads;
  threads.reserve(callers);
  for (std::size_t t = 0; t < callers; ++t) {
    threads.emplace_back([&] {
      auto call = make();
      start.arrive_and_wait();
      for (std::size_t i = 0; i < calls; ++i) call();
    });
  }
  start.arrive_and_wait();
  return timed([&] { threads.clear(); });
}

}  // namespace lrpc::queue::bench
