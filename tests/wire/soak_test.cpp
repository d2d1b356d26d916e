// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "fixture.hpp"

/// Random faults for a second, on the machine's clock, and a ledger of what became of each message (D1).
namespace lrpc::queue::wire {
namespace {

constexpr Duration kSoak{1200};
constexpr int kPublishers = 2;

/// LRPC_TEST_SEED repeats a run's choices.
std::uint64_t pick_seed() {
  const char* const given = std::getenv("LRPC_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

/// What was published with which outcome, and what was handled.
class Ledger {
 public:
  void published(const std::string& body, const Result<std::string>& result, bool may_expire) {
    const std::lock_guard lock(mutex_);
    if (result) {
      accepted_[body] = may_expire;
    } else if (result.error().code == ErrorCode::unavailable) {
      refused_.insert(body);
    } else {
      EXPECT_EQ(error_of(result), "outcome_unknown");
      ++unknown_;
    }
  }
  void handled(const std::string& body) {
    const std::lock_guard lock(mutex_);
    ++handled_[body];
  }

  /// Accepted, and neither handled nor among `dead`, nor possibly expired.
  [[nodiscard]] std::vector<std::string> lost(const std::set<std::string>& dead) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> result;
    for (const auto& [body, may_expire] : accepted_) {
      if (!handled_.contains(body) && !dead.contains(body) && !may_expire) result.push_back(body);
    }
    return result;
  }
  /// Handled although the publish was reported as not done.
  [[nodiscard]] std::vector<std::string> ghosts() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> result;
    for (const auto& body : refused_) {
      if (handled_.contains(body)) result.push_back(body);
    }
    return result;
  }
  /// Successful handlings beyond the first of each message.
  [[nodiscard]] int repeated() const {
    const std::lock_guard lock(mutex_);
    int result = 0;
    for (const auto& [body, times] : handled_) result += times - 1;
    return result;
  }
  [[nodiscard]] std::string summary() const {
    const std::lock_guard lock(mutex_);
    return std::to_string(accepted_.size()) + " accepted, " + std::to_string(refused_.size()) + " refused, " +
           std::to_string(unknown_) + " unknown, " + std::to_string(handled_.size()) + " handled";
  }
  [[nodiscard]] std::size_t accepted() const {
    const std::lock_guard lock(mutex_);
    return accepted_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, bool> accepted_;  // body -> may expire
  std::set<std::string> refused_;
  std::map<std::string, int> handled_;
  int unknown_ = 0;
};

class SoakTest : public testing::Test {
 protected:
  Client connect(std::uint64_t seed) {
    auto link = make_link(server_, seed);
    Queue queue = must(Queue::open(Config{.backend_factory = wire_backend(link), .logger = quiet}));
    auto topic = must(queue.topic<std::string>("events"));
    auto channel = must(topic.get_or_add_channel(
        "work", {.max_retries = 3, .retry_delay = Duration(5), .ack_timeout = lease_, .close_timeout = kPatience}));
    return {
        .link = std::move(link), .queue = std::move(queue), .topic = std::move(topic), .channel = std::move(channel)};
  }

  void subscribe(Client& client, std::uint64_t salt) {
    static_cast<void>(must(client.channel.subscribe([this, salt](const Message<std::string>& m) -> Result<void> {
      // Some fail now and then, a few always: those end as dead letters.
      const std::size_t hash = std::hash<std::string>{}(m.body());
      if (hash % 50 == 0 || (hash + salt + static_cast<std::size_t>(m.attempts())) % 7 == 0) {
        return fail(ErrorCode::backend, "by chance");
      }
      ledger_.handled(m.body());
      return {};
    })));
  }

  /// Publishes until stopped.
  void publish(Client& client, std::string_view who, std::uint64_t seed, const std::stop_token& stop) {
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
    for (int i = 0; !stop.stop_requested(); ++i) {
      const std::string body = std::string(who) + "-" + std::to_string(i);
      PubOptions options;
      if (random() % 10 == 0) options.delay = Duration(random() % 50);
      if (random() % 10 == 0) options.key = "key-" + std::to_string(random() % 3);
      const bool may_expire = !options.delay && random() % 20 == 0;
      if (may_expire) options.expires = Duration(1000);
      ledger_.published(body, client.topic.pub(body, options), may_expire);
      pause(stop, std::chrono::microseconds(200));
    }
  }

  /// Takes the server down now and then.
  void disturb(std::uint64_t seed, const std::stop_token& stop) {
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
    while (!stop.stop_requested()) {
      pause(stop, std::chrono::milliseconds(50 + random() % 100));
      server_->set_up(false);
      pause(stop, std::chrono::milliseconds(random() % 20));
      server_->set_up(true);
    }
  }

  void pause(const std::stop_token& stop, std::chrono::microseconds time) {
    std::unique_lock lock(mutex_);
    never_.wait_for(lock, stop, time, [] { return false; });
  }

  /// All bodies among the dead letters.
  static std::set<std::string> dead_bodies(Client& client) {
    std::set<std::string> bodies;
    std::string cursor;
    do {
      auto page = must(client.channel.dead_letters(100, cursor));
      for (const auto& letter : page.items) bodies.insert(letter.message ? letter.message->body() : letter.id);
      cursor = page.cursor;
    } while (!cursor.empty());
    return bodies;
  }

  /// Runs publishers and consumers for kSoak, the faults on in between, and waits until the channel is empty.
  void soak(const std::function<void(bool on)>& faults, std::vector<Client>& publishers, Client& observer,
            std::uint64_t seed, bool outages) {
    faults(true);
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < publishers.size(); ++i) {
        threads.emplace_back(
            [&, i](const std::stop_token& stop) { publish(publishers[i], "p" + std::to_string(i), seed + i, stop); });
      }
      if (outages) threads.emplace_back([&](const std::stop_token& stop) { disturb(seed, stop); });
      pause({}, kSoak);
      for (std::jthread& thread : threads) thread.request_stop();
    }
    faults(false);
    EXPECT_TRUE(eventually([&] { return observer.depth() == 0; })) << observer.depth() << " left";
  }

  Duration lease_{100};
  Ledger ledger_;
  const std::shared_ptr<WireServer> server_ = std::make_shared<WireServer>(system_clock());

 private:
  std::mutex mutex_;
  std::condition_variable_any never_;
};

TEST_F(SoakTest, NothingIsLostUnderRandomFaults) {
  const std::uint64_t seed = pick_seed();
  SCOPED_TRACE("LRPC_TEST_SEED=" + std::to_string(seed));
  std::cout << "LRPC_TEST_SEED=" << seed << std::endl;

  std::vector<Client> publishers;
  std::vector<Client> consumers;
  for (std::uint64_t i = 0; i < kPublishers; ++i) publishers.push_back(connect(seed + i));
  for (std::uint64_t i = 0; i < 2; ++i) consumers.push_back(connect(seed + 10 + i));
  Client observer = connect(seed + 20);
  for (std::uint64_t i = 0; i < 2; ++i) subscribe(consumers[i], i);
  const auto faults = [&](bool on) {
    const FaultRates rates =
        on ? FaultRates{.refuse = 0.05, .lose_reply = 0.05, .delay = 0.1, .max_delay = Duration(4)} : FaultRates{};
    for (auto* const clients : {&publishers, &consumers}) {
      for (Client& client : *clients) client.link->set_rates(rates);
    }
  };
  soak(faults, publishers, observer, seed, true);

  const std::set<std::string> dead = dead_bodies(observer);
  std::cout << ledger_.summary() << ", " << ledger_.repeated() << " repeated, " << dead.size() << " dead" << std::endl;
  EXPECT_GT(ledger_.accepted(), 100U) << "the run was too short to say anything";
  EXPECT_THAT(ledger_.lost(dead), testing::IsEmpty());
  EXPECT_THAT(ledger_.ghosts(), testing::IsEmpty());
}

TEST_F(SoakTest, NothingIsRepeatedWhereOnlyPublishesFail) {
  const std::uint64_t seed = pick_seed();
  SCOPED_TRACE("LRPC_TEST_SEED=" + std::to_string(seed));
  std::cout << "LRPC_TEST_SEED=" << seed << std::endl;

  lease_ = kLease;
  std::vector<Client> publishers;
  for (std::uint64_t i = 0; i < kPublishers; ++i) publishers.push_back(connect(seed + i));
  Client consumer = connect(seed + 10);
  Client observer = connect(seed + 20);
  subscribe(consumer, 0);
  const auto faults = [&](bool on) {
    for (Client& client : publishers) {
      client.link->set_rates(on ? FaultRates{.refuse = 0.1, .lose_reply = 0.1} : FaultRates{});
    }
  };
  soak(faults, publishers, observer, seed, false);

  const std::set<std::string> dead = dead_bodies(observer);
  std::cout << ledger_.summary() << ", " << dead.size() << " dead" << std::endl;
  EXPECT_THAT(ledger_.lost(dead), testing::IsEmpty());
  EXPECT_THAT(ledger_.ghosts(), testing::IsEmpty());
  EXPECT_EQ(ledger_.repeated(), 0) << "no fault explains a repetition (D1)";
}

}  // namespace
}  // namespace lrpc::queue::wire
