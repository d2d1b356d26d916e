// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "crew.hpp"
#include "disk.hpp"
#include "fixture.hpp"
#include "nemesis.hpp"
#include "proxy.hpp"
#include "server_clock.hpp"
#include "server_group.hpp"

/// Redis: one server with AOF always or everysec behind proxies, its clock the test's in some rounds; or Sentinel.

namespace lrpc::queue::torture {
namespace {

using std::chrono::steady_clock;

constexpr std::int64_t kFarthestJumpMs = 3'000;

/// What a round's seed chooses.
enum class Kind : std::uint8_t { always, everysec, moved_clock, sentinel };

Kind kind_of(std::uint64_t seed) {
  constexpr std::array kKinds{Kind::always, Kind::everysec, Kind::moved_clock, Kind::always, Kind::sentinel};
  return kKinds.at(seed % kKinds.size());
}

/// Short time-outs: what hangs is to be noticed within a round.
std::string redis_config_text(const std::string& where) {
  return R"("storage_type": "redis", "redis_config": {)" + where +
         R"(, "min_idle_conns": 1, "dial_timeout": "1s", "read_timeout": "1s", "write_timeout": "1s",)"
         R"( "pool_timeout": "1s"})";
}

void pass(std::int64_t ms) { std::this_thread::sleep_for(Duration(ms)); }

/// A server's wall clock: the machine's, and that much more.
class MovedClock {
 public:
  MovedClock()
      : thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            clock_.set(system_clock()->now().wall_ms + offset_ms_);
            std::this_thread::sleep_for(Duration(1));
          }
        }) {}
  [[nodiscard]] std::vector<std::string> launcher() const { return clock_.launcher(); }
  void jump_to(std::int64_t offset_ms) { offset_ms_ = offset_ms; }

 private:
  redis::ServerClock clock_;
  std::atomic<std::int64_t> offset_ms_ = 0;
  std::jthread thread_;
};

/// The one server of a round, behind two proxies.
class Single {
 public:
  Single(const RoundOptions& options, const Setup& setup, Kind kind)
      : always_(kind != Kind::everysec),
        lease_ms_(setup.lease.count()),
        clock_(kind == Kind::moved_clock ? std::make_unique<MovedClock>() : nullptr),
        // A write beyond the limit is to fail, not to kill.
        server_({"--appendonly", "yes", "--appendfsync", always_ ? "always" : "everysec"}, launcher()),
        producers_(server_),
        consumers_(server_),
        crew_(options, setup,
              {.producers = write_config(options.folder / "producers.json", redis_config_text(addr(producers_))),
               .consumers = write_config(options.folder / "consumers.json", redis_config_text(addr(consumers_)))}) {}

  [[nodiscard]] RedisConfig config() const { return server_.config(); }
  Crew& crew() noexcept { return crew_; }
  void add_faults(Nemesis& nemesis);
  void heal() {
    for (redis::Proxy* const proxy : {&producers_, &consumers_}) {
      proxy->both(redis::Proxy::Flow::pass);
      proxy->delay(Duration(0));
      proxy->accept(true);
    }
  }

 private:
  static std::string addr(const redis::Proxy& proxy) { return R"("addr": ")" + proxy.address() + "\""; }
  [[nodiscard]] std::vector<std::string> launcher() const {
    std::vector<std::string> words = clock_ ? clock_->launcher() : std::vector<std::string>{"/usr/bin/env"};
    words.insert(words.begin() + 1, "--ignore-signal=XFSZ");
    return words;
  }
  void restart() {
    server_.kill();
    server_.start();
  }

  const bool always_;
  const std::int64_t lease_ms_;
  std::unique_ptr<MovedClock> clock_;
  redis::RedisServer server_;
  redis::Proxy producers_;
  redis::Proxy consumers_;
  Crew crew_;
};

void Single::add_faults(Nemesis& nemesis) {
  Random& random = nemesis.random();
  const std::int64_t reach = lease_ms_ + 1'500;
  crew_.add_faults(nemesis);
  add_line_faults(nemesis, producers_, consumers_, reach);
  // With everysec the write itself waits up to two seconds for an fsync that is slow.
  const std::int64_t forgets = always_ ? 0 : 2'000;
  nemesis.add({.name = always_ ? "kill-server-aof-always" : "kill-server-aof-everysec",
               .redelivers = true,
               .reorders = true,
               .reach_ms = reach,
               .may_lose_ms = forgets},
              8, [this, &random](Fault&) {
                server_.kill();
                pass(between(random, 0, 800));
                server_.start();
              });
  nemesis.add({.name = "pause-server", .redelivers = true, .reorders = true, .reach_ms = reach}, 4,
              [this, &random](Fault&) {
                server_.signal(SIGSTOP);
                pass(between(random, 100, 3'000));
                server_.signal(SIGCONT);
              });
  nemesis.add({.name = "script-flush"}, 6, [this](Fault& fault) {
    const auto client = redis::Client::open(server_.config());
    if (!client || !redis::ask(**client, {"SCRIPT", "FLUSH"})) fault.name.clear();
  });
  // With `always` the server gives up when it cannot write, else it refuses writes until it can.
  nemesis.add({.name = "disk-full", .redelivers = true, .reorders = true, .reach_ms = reach, .may_lose_ms = forgets}, 4,
              [this, &random](Fault&) {
                const auto more = static_cast<std::uint64_t>(between(random, 0, 20'000));
                limit_files(server_.pid(), largest_file(server_.file(""), ".aof") + more);
                pass(between(random, 300, 2'000));
                if (always_) {
                  restart();
                } else {
                  limit_files(server_.pid(), std::nullopt);
                  pass(1'500);  // it tries again every second
                }
              });
  if (clock_) {
    nemesis.add(
        {.name = "server-clock-jumps", .redelivers = true, .reorders = true, .moves_clock = true, .reach_ms = reach},
        16, [this, &random](Fault&) {
          clock_->jump_to(between(random, -kFarthestJumpMs, kFarthestJumpMs));
          pass(20);
        });
  }
}

/// A master, two replicas and three sentinels. What a master accepted just before it died may be gone: replication does
/// not wait.
class Watched {
 public:
  Watched(const RoundOptions& options, const Setup& setup)
      : lease_ms_(setup.lease.count()), trio_(2), crew_(options, setup, ways(options)) {}

  [[nodiscard]] RedisConfig config() const { return trio_.config(); }
  Crew& crew() noexcept { return crew_; }
  void add_faults(Nemesis& nemesis);
  void heal() {}

 private:
  Crew::Ways ways(const RoundOptions& options) {
    std::string where = std::string(R"("sentinel": {"master": ")") + redis::SentinelTrio::name() + R"(", "addrs": [)";
    for (std::size_t i = 0; i < 3; ++i) where += (i > 0 ? ", \"" : "\"") + trio_.sentinel(i) + "\"";
    const auto file = write_config(options.folder / "config.json", redis_config_text(where + "]}"));
    return {.producers = file, .consumers = file};
  }

  const std::int64_t lease_ms_;
  redis::SentinelTrio trio_;
  std::size_t master_ = 0;
  Crew crew_;
};

void Watched::add_faults(Nemesis& nemesis) {
  crew_.add_faults(nemesis);
  Random& random = nemesis.random();
  const Fault kind{.redelivers = true, .reorders = true, .reach_ms = lease_ms_ + 2'500, .may_lose_ms = 2'000};
  const auto add = [&](const char* name, int signal) {
    Fault fault = kind;
    fault.name = name;
    nemesis.add(fault, 12, [this, &random, signal](Fault&) {
      const std::size_t old = master_;
      trio_.server(old).signal(signal);
      master_ = trio_.await_master_other_than(old);
      pass(between(random, 0, 500));
      if (signal == SIGSTOP) {
        trio_.server(old).signal(SIGCONT);
      } else {
        trio_.server(old).await_end();
        trio_.server(old).start();
      }
      master_ = trio_.await_settled();
    });
  };
  add("sentinel-failover-of-a-dead-master", SIGKILL);
  add("sentinel-failover-of-a-hung-master", SIGSTOP);
}

template <class Rig>
Round torture_rig(Rig& rig, const RoundOptions& options, const Setup& setup, const Rules& rules) {
  Round round;
  {
    Ledger ledger(options.folder / "nemesis.ledger");
    Nemesis nemesis(options.seed, ledger);
    rig.add_faults(nemesis);
    nemesis.restrict(options.faults);
    nemesis.run(steady_clock::now() + options.time, {});
    rig.heal();
    rig.crew().end_producers();
    Config config{.storage_type = StorageType::redis, .redis_config = rig.config()};
    config.logger = [](LogLevel, std::string_view) {};
    Queue queue = open_queue(config);
    drain(queue, setup, ledger, std::chrono::seconds(25));
    rig.crew().end_consumers();
    round.faults = nemesis.counts();
  }
  round.verdict = check(read_ledgers(options.folder), rules);
  return round;
}

}  // namespace

Round redis_round(const RoundOptions& options) {
  const Setup setup;
  const Kind kind = kind_of(options.seed);
  Rules rules = rules_of(setup);
  if (kind == Kind::sentinel) {
    Watched rig(options, setup);
    return torture_rig(rig, options, setup, rules);
  }
  // The server's clock moves in steps then, as fast as this process is let run.
  if (kind == Kind::moved_clock) {
    rules.early_tolerance_ms = 200;
    rules.clocks_apart_ms = kFarthestJumpMs + 200;
  }
  Single rig(options, setup, kind);
  return torture_rig(rig, options, setup, rules);
}

}  // namespace lrpc::queue::torture
