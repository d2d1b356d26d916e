// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "crew.hpp"

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <thread>
#include <utility>

#include "own_clock.hpp"
#include "persist.hpp"

namespace lrpc::queue::torture {
namespace {

using std::chrono::steady_clock;

constexpr auto kGoodEnd = std::chrono::seconds(30);
constexpr auto kPatience = std::chrono::minutes(1);

void pass(std::int64_t ms) { std::this_thread::sleep_for(Duration(ms)); }

/// Before the first publish: a channel that is made later has no right to it (D4).
void make_channels(const std::filesystem::path& file, const Setup& setup) {
  auto config = Config::load(file.string());
  if (!config) throw std::runtime_error(config.error().message);
  Queue queue = open_queue(*config);
  const auto made = persist(
      [&]() -> Result<void> {
        auto topic = queue.topic<std::string>(kTopic);
        if (!topic) return std::unexpected(topic.error());
        for (const char* const name : {kWork, kPull}) {
          const auto channel = topic->get_or_add_channel(name, channel_config(name, setup));
          if (!channel) return std::unexpected(channel.error());
        }
        return {};
      },
      {}, steady_clock::now() + kPatience);
  if (!made) throw std::runtime_error("the channels cannot be made: " + made.error().message);
}

}  // namespace

Crew::Crew(const RoundOptions& options, const Setup& setup, const Ways& ways,
           const std::function<void()>& await_consumers)
    : options_(options), setup_(setup) {
  make_channels(ways.consumers, setup);
  const auto add = [&](std::list<Member>& list, const char* kind, std::string base, const char* channel,
                       const std::filesystem::path& config) {
    Member& member = list.emplace_back();
    member.base = std::move(base);
    member.role = {.kind = kind, .channel = channel, .folder = options.folder, .config = config, .lease = setup.lease};
    if (setup.own_clocks) {
      member.role.clock = options.folder / (member.base + ".clock");
      member.clock = std::make_unique<support::SharedNumber>(member.role.clock);
    }
    start(member);
  };
  for (int i = 0; i < 3; ++i) add(consumers_, "consumer", "w" + std::to_string(i), kWork, ways.consumers);
  for (int i = 0; i < 2; ++i) add(consumers_, "consumer", "n" + std::to_string(i), kPull, ways.consumers);
  if (await_consumers) await_consumers();
  for (int i = 0; i < 3; ++i) add(producers_, "producer", "p" + std::to_string(i), "", ways.producers);
}

void Crew::start(Member& member) {
  Role& role = member.role;
  role.name = member.base + "." + std::to_string(member.lives++);
  role.seed = options_.seed * 1'000 + std::hash<std::string>{}(role.name) % 1'000;
  member.process.launch(role.words(options_.program), options_.folder / (role.name + ".log"));
}

Crew::Member& Crew::one_of(std::list<Member>& members, Random& random) {
  return *std::next(members.begin(), between(random, 0, static_cast<std::int64_t>(members.size()) - 1));
}

void Crew::end(Member& member) {
  member.process.signal(SIGTERM);
  if (member.process.await_end(kGoodEnd)) return;
  throw std::runtime_error(member.role.name + " does not end");
}

void Crew::end_all(std::list<Member>& members) {
  for (Member& member : members) member.process.signal(SIGTERM);
  for (Member& member : members) end(member);
  members.clear();
}

void Crew::end_producers() { end_all(producers_); }
void Crew::end_consumers() { end_all(consumers_); }

void Crew::add_faults(Nemesis& nemesis, std::int64_t group_reach_ms) {
  Random& random = nemesis.random();
  const std::int64_t lease = setup_.lease.count();
  const bool group = group_reach_ms > 0;
  nemesis.add({.name = "kill-consumer",
               .spreads = group,
               .redelivers = true,
               .reorders = group,
               .reach_ms = std::max<std::int64_t>(100, group_reach_ms)},
              16, [this, &random](Fault& fault) {
                Member& member = one_of(consumers_, random);
                fault.target = member.role.name;
                member.process.signal(SIGKILL);
                member.process.await_end();
                pass(between(random, 0, 300));
                start(member);
              });
  nemesis.add({.name = "kill-producer"}, 10, [this, &random](Fault&) {
    Member& member = one_of(producers_, random);
    member.process.signal(SIGKILL);
    member.process.await_end();
    start(member);
  });
  nemesis.add({.name = "pause-consumer",
               .spreads = group,
               .redelivers = true,
               .reorders = true,
               .reach_ms = std::max<std::int64_t>(1'500, group_reach_ms)},
              6, [this, &random, lease](Fault& fault) {
                Member& member = one_of(consumers_, random);
                fault.target = member.role.name;
                member.process.pause();
                pass(between(random, lease + 100, lease + 1'500));
                member.process.signal(SIGCONT);
              });
  nemesis.add({.name = "pause-producer"}, 3, [this, &random](Fault&) {
    Member& member = one_of(producers_, random);
    member.process.pause();
    pass(between(random, 200, 2'000));
    member.process.signal(SIGCONT);
  });
  nemesis.add({.name = "close-consumer",
               .spreads = group,
               .redelivers = true,
               .reorders = true,
               .reach_ms = std::max<std::int64_t>(100, group_reach_ms)},
              8, [this, &random](Fault& fault) {
                Member& member = one_of(consumers_, random);
                fault.target = member.role.name;
                end(member);
                start(member);
              });
  if (setup_.own_clocks) add_clock_faults(nemesis);
}

// It explains no delivery: only that this process finds something due, or expired, at another time than shortly before.
void Crew::add_clock_faults(Nemesis& nemesis) {
  Random& random = nemesis.random();
  nemesis.add({.name = "clock-jumps", .moves_clock = true, .reach_ms = 20}, 10, [this, &random](Fault& fault) {
    Member& member = one_of(chance(random, 40) ? producers_ : consumers_, random);
    fault.target = member.role.name;
    member.clock->store(between(random, -kFarthestClockMs, kFarthestClockMs));
  });
}

void add_line_faults(Nemesis& nemesis, support::Proxy& producers, support::Proxy& consumers, std::int64_t reach_ms,
                     bool half_open_lurks) {
  using Flow = support::Proxy::Flow;
  Random& random = nemesis.random();
  const auto line = [&]() -> support::Proxy& { return chance(random, 40) ? producers : consumers; };
  const auto add = [&](Fault kind, int weight, std::int64_t reach, auto action) {
    kind.redelivers = kind.reorders = true;
    kind.reach_ms = reach;
    nemesis.add(std::move(kind), weight, [line, action](Fault&) { action(line()); });
  };
  add({.name = "cut-lines", .cuts = true}, 8, 1'500, [](support::Proxy& proxy) { proxy.cut(); });
  add({.name = "reset-lines", .cuts = true}, 8, 1'500, [](support::Proxy& proxy) { proxy.reset(); });
  add({.name = "half-open-lines", .lurks = half_open_lurks}, 4, reach_ms,
      [](support::Proxy& proxy) { proxy.half_open(); });
  add({.name = "slow-lines"}, 4, 1'500, [&random](support::Proxy& proxy) {
    proxy.delay(Duration(between(random, 5, 150)));
    pass(between(random, 300, 1'500));
    proxy.delay(Duration(0));
  });
  const auto flows = [&](const char* name, Flow to_server, Flow to_client) {
    // A stream with a hole in it is no line any more.
    const bool cuts = to_server == Flow::swallow || to_client == Flow::swallow;
    add({.name = name, .cuts = cuts}, 3, reach_ms, [&random, to_server, to_client, cuts](support::Proxy& proxy) {
      proxy.to_server(to_server);
      proxy.to_client(to_client);
      pass(between(random, 100, 2'500));
      proxy.both(Flow::pass);
      if (cuts) proxy.cut();
    });
  };
  flows("swallow-requests", Flow::swallow, Flow::pass);
  flows("swallow-answers", Flow::pass, Flow::swallow);
  flows("black-hole", Flow::swallow, Flow::swallow);
  flows("stall-requests", Flow::stall, Flow::pass);
  flows("stall-answers", Flow::pass, Flow::stall);
  add({.name = "accept-nobody", .cuts = true}, 3, reach_ms, [&random](support::Proxy& proxy) {
    proxy.accept(false);
    proxy.cut();
    pass(between(random, 100, 2'000));
    proxy.accept(true);
  });
}

std::filesystem::path write_config(const std::filesystem::path& file, const std::string& members) {
  std::ofstream out(file);
  out << "{" << members << "}\n";
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
  return file;
}

Queue open_queue(const Config& config) {
  auto queue = persist([&] { return Queue::open(config); }, {}, steady_clock::now() + kPatience);
  if (!queue) throw std::runtime_error("the servers cannot be reached: " + queue.error().message);
  return *std::move(queue);
}

void drain(Queue& queue, const Setup& setup, Ledger& ledger, std::chrono::seconds stuck) {
  auto end = steady_clock::now() + stuck;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (;;) {
    auto topic = queue.topic<std::string>(kTopic);
    const std::int64_t depth = topic ? depth_of_all(*topic, setup) : -1;
    if (depth >= 0 && depth < least) {
      least = depth;
      end = steady_clock::now() + stuck;
    }
    const bool over = steady_clock::now() >= end;
    if ((over || depth == 0) && topic && note_the_end(*topic, setup, ledger)) return;
    if (steady_clock::now() >= end + stuck) throw std::runtime_error("the healed servers do not tell what is left");
    pass(50);
  }
}

}  // namespace lrpc::queue::torture
