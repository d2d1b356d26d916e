// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "broker.hpp"
#include "crew.hpp"
#include "disk.hpp"
#include "nemesis.hpp"
#include "persist.hpp"

/// Kafka: one broker behind a proxy, or a group of three.

namespace lrpc::queue::torture {
namespace {

using std::chrono::steady_clock;

void pass(std::int64_t ms) { std::this_thread::sleep_for(Duration(ms)); }

constexpr std::int64_t kSessionMs = 6'000;
/// A group that has lost somebody, or some time, is together again after this.
constexpr std::int64_t kGroupReachMs = kSessionMs + 6'000;

std::string kafka_config_text(const std::string& address, std::size_t replicas) {
  return R"("storage_type": "kafka", "kafka_config": {"brokers": [")" + address +
         R"("], "partition": 4, "session_timeout": ")" + std::to_string(kSessionMs / 1000) +
         R"(s", "heartbeat_interval": "1s", "rebalance_timeout": "10s", "commit_interval": "500ms",)" +
         R"( "write_timeout": "6s", "dial_timeout": "3s", "replication_factor": )" + std::to_string(replicas) + "}";
}

/// The one broker of a round; all who use it come by the proxy, the broker itself for its own topics included.
class Single {
 public:
  static constexpr const char* kKill = "kill-broker";
  Single()
      : broker_({.advertise = [this](int port) {
          proxy_.emplace(port);
          return proxy_->port();
        }}) {}

  [[nodiscard]] std::string address() const { return proxy_->address(); }
  [[nodiscard]] kafka::test::Settings settings() const { return broker_.settings(); }
  [[nodiscard]] static std::size_t replicas() { return 1; }
  [[nodiscard]] kafka::test::Broker& some_broker(Random& /*random*/) { return broker_; }
  /// A producer of retries that nobody needs for a while finds its line dead at any time later.
  void add_faults(Nemesis& nemesis) { add_line_faults(nemesis, *proxy_, *proxy_, kGroupReachMs, true); }
  void heal() {
    proxy_->both(support::Proxy::Flow::pass);
    proxy_->delay(Duration(0));
    proxy_->accept(true);
  }

 private:
  std::optional<support::Proxy> proxy_;
  kafka::test::Broker broker_;
};

/// Three brokers; topics have three replicas, of which two must be in step.
class Trio {
 public:
  static constexpr const char* kKill = "kill-one-of-three-brokers";
  [[nodiscard]] std::string address() const {
    std::string list = group_.addresses();
    for (std::size_t at = list.find(','); at != std::string::npos; at = list.find(',', at + 5)) {
      list.replace(at, 1, "\", \"");
    }
    return list;
  }
  [[nodiscard]] kafka::test::Settings settings() const { return group_.settings(); }
  [[nodiscard]] static std::size_t replicas() { return 3; }
  [[nodiscard]] kafka::test::Broker& some_broker(Random& random) {
    return group_.broker(static_cast<std::size_t>(between(random, 0, 2)));
  }
  static void add_faults(Nemesis& /*nemesis*/) {}
  static void heal() {}

 private:
  kafka::test::BrokerGroup group_;
};

/// Until the broker gives up, as one does whose only log folder takes no more; what it wrote last may be there in part.
/// Some of its files are larger than the limit at once, others grow up to it.
void fill_disk_of(kafka::test::Broker& broker, Random& random) {
  const auto largest = static_cast<std::int64_t>(largest_file(broker.data(), ".log"));
  limit_files(broker.pid(), static_cast<std::uint64_t>(between(random, 0, largest + 4'000)));
  if (broker.await_end(std::chrono::seconds(4))) return;
  limit_files(broker.pid(), 0);
  if (!broker.await_end(std::chrono::seconds(30))) throw std::runtime_error("a broker goes on with a full disk");
}

/// Until a channel's group has so many members, with a part each: a member that comes when others have messages already
/// takes some of these, as a rebalance does.
void await_group(const kafka::test::Settings& settings, const std::string& channel, std::size_t size) {
  const kafka::test::RawAdmin admin(settings);
  const bool together = persist(
      [&] {
        try {
          const auto members = admin.members(std::string("lrpc-queue-") + kTopic + "-" + channel);
          return members.size() == size && std::ranges::none_of(members, [](const kafka::test::RawMember& member) {
                   return member.assignment.empty();
                 });
        } catch (const kafka::test::RawError&) {
          return false;  // not yet
        }
      },
      {}, steady_clock::now() + std::chrono::minutes(1));
  if (!together) throw std::runtime_error("the consumers of " + channel + " do not come together");
}

template <class Rig>
Round torture_rig(const RoundOptions& options) {
  const Setup setup{.lease = Duration(3'000), .close_timeout = Duration(2'000), .own_clocks = true};
  Rules rules = rules_of(setup);
  rules.attempts_exact = false;
  rules.order_by_key = true;
  Round round;
  {
    Rig rig;
    const auto file = write_config(options.folder / "config.json", kafka_config_text(rig.address(), Rig::replicas()));
    Crew crew(options, setup, {.producers = file, .consumers = file}, [&rig] {
      await_group(rig.settings(), kWork, 3);
      await_group(rig.settings(), kPull, 2);
    });
    Ledger ledger(options.folder / "nemesis.ledger");
    Nemesis nemesis(options.seed, ledger);
    Random& random = nemesis.random();
    crew.add_faults(nemesis, kGroupReachMs);
    rig.add_faults(nemesis);
    nemesis.add({.name = Rig::kKill, .redelivers = true, .reorders = true, .reach_ms = kGroupReachMs}, 8, [&](Fault&) {
      kafka::test::Broker& broker = rig.some_broker(random);
      broker.kill();
      pass(between(random, 0, 1'000));
      broker.start();
    });
    nemesis.add({.name = "pause-broker", .redelivers = true, .reorders = true, .reach_ms = kGroupReachMs}, 5,
                [&](Fault&) {
                  kafka::test::Broker& broker = rig.some_broker(random);
                  broker.pause();
                  pass(between(random, 200, 4'000));
                  broker.resume();
                });
    nemesis.add({.name = "disk-full", .redelivers = true, .reorders = true, .reach_ms = kGroupReachMs}, 6, [&](Fault&) {
      kafka::test::Broker& broker = rig.some_broker(random);
      fill_disk_of(broker, random);
      pass(between(random, 0, 1'000));
      broker.start();
    });
    nemesis.restrict(options.faults);
    nemesis.run(steady_clock::now() + options.time, {});
    rig.heal();
    crew.end_producers();
    auto config = Config::load(file.string());
    if (!config) throw std::runtime_error(config.error().message);
    config->logger = [](LogLevel, std::string_view) {};
    Queue queue = open_queue(*config);
    drain(queue, setup, ledger, std::chrono::seconds(45));
    crew.end_consumers();
    round.faults = nemesis.counts();
  }
  round.verdict = check(read_ledgers(options.folder), rules);
  return round;
}

}  // namespace

Round kafka_round(const RoundOptions& options) {
  return options.seed % 3 == 2 ? torture_rig<Trio>(options) : torture_rig<Single>(options);
}

}  // namespace lrpc::queue::torture
