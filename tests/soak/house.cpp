// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "consumers.hpp"

namespace lrpc::queue::soak {
namespace {

constexpr std::size_t kPage = 20;

class House {
 public:
  explicit House(World& world) : world_(world) {}

  /// One channel's dead letters: listed; in turn some put back, all put back, all forgotten, none of these.
  void look_at_dead_letters(Station& station, std::size_t round) {
    Channel<Load>& channel = *station.channel;
    std::vector<std::string> some;
    std::string cursor;
    do {
      const auto page = channel.dead_letters(kPage, cursor);
      if (!page) return world_.trouble.error("dead_letters", page.error());
      for (const auto& letter : page->items) {
        ++world_.counts.listed;
        if (!letter.message) world_.trouble.error("a dead letter without a message");
        if (some.size() < kPage / 2) some.push_back(letter.id);
      }
      cursor = page->cursor;
    } while (!cursor.empty());
    switch (round % 4) {
      case 0:
        if (!some.empty()) count("requeue_dead", channel.requeue_dead(some), world_.counts.requeued);
        break;
      case 1:
        count("requeue_dead of all", channel.requeue_dead(), world_.counts.requeued);
        break;
      case 2:
        count("purge_dead", channel.purge_dead(), world_.counts.purged);
        break;
      default:
        break;
    }
    if (auto stats = channel.stats(); !stats) world_.trouble.error("stats", stats.error());
  }

 private:
  void count(const char* what, const Result<std::int64_t>& result, std::atomic<std::int64_t>& sum) {
    if (result) {
      sum += *result;
    } else {
      world_.trouble.error(what, result.error());
    }
  }

  World& world_;
};

}  // namespace

std::optional<std::int64_t> depth_of_all(World& world) {
  std::int64_t sum = 0;
  for (Line& line : world.lines) {
    for (Station& station : line.stations) {
      const auto depth = station.channel->depth();
      if (!depth) {
        world.trouble.error("depth", depth.error());
        return std::nullopt;
      }
      sum += *depth;
    }
  }
  return sum;
}

void keep_house(World& world, const std::stop_token& stop) {
  House house(world);
  auto due = SteadyClock::now() + world.plan.beat();
  for (std::size_t round = 0; rest(std::min(Duration(1'000), world.plan.beat()), stop);) {
    if (const auto depth = depth_of_all(world)) world.depth = *depth;
    if (SteadyClock::now() < due) continue;
    due += world.plan.beat();
    for (Line& line : world.lines) {
      for (Station& station : line.stations) house.look_at_dead_letters(station, round);
    }
    ++round;
  }
}

}  // namespace lrpc::queue::soak
