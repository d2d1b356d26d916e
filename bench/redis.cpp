// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The Redis back end beside plain hiredis that sends the bare commands, on a server of each run's own.
#include <sched.h>

#include <atomic>
#include <initializer_list>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "curves.hpp"
#include "redis_raw.hpp"
#include "redis_rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

using redis::RedisServer;

constexpr std::size_t kPage = 100;
constexpr std::size_t kCallers = 64;

Reading publish_one(std::size_t messages) {
  RedisRig rig;
  std::vector<double> samples;
  for (std::size_t i = 0; i < messages; ++i) samples.push_back(timed([&] { must(rig.topic->pub(rig.body)); }));
  return {{kValue, median(std::move(samples))}};
}

Reading raw_publish_one(std::size_t messages) {
  const RedisServer server;
  RawRedis raw(server.port());
  std::vector<double> samples;
  for (std::size_t i = 0; i < messages; ++i) {
    samples.push_back(timed([&] {
      raw.append_publish("raw", redis_text());
      raw.get();
    }));
  }
  return {{kValue, median(std::move(samples))}};
}

Reading consume_pages(std::size_t messages) {
  RedisRig rig;
  rig.fill(messages);
  const double ns = timed([&] {
    for (std::size_t done = 0; done < messages;) {
      const auto page = must(rig.channel[0].next_batch(kPage, std::chrono::seconds(5)));
      must(rig.channel[0].ack(std::span(page)));
      done += page.size();
    }
  });
  return {{kValue, redis_rate(messages, ns)}};
}

Reading consume_by_handler(std::size_t messages) {
  RedisRig rig;
  rig.fill(messages);
  std::atomic<std::size_t> handled{0};
  std::latch done(1);
  const double ns = timed([&] {
    must(rig.channel[0].subscribe([&](Message<Bytes>&) {
      if (handled.fetch_add(1) + 1 == messages) done.count_down();
    }));
    done.wait();
  });
  must(rig.queue->close());
  return {{kValue, redis_rate(messages, ns)}};
}

Reading raw_consume_pages(std::size_t messages) {
  const RedisServer server;
  RawRedis raw(server.port());
  raw.append_create_group("raw");
  raw.get();
  for (std::size_t i = 0; i < messages; i += 1000) {
    for (std::size_t k = 0; k < 1000; ++k) raw.append_publish("raw", redis_text());
    raw.drain(1000);
  }
  const double ns = timed([&] {
    raw.append_read("raw", kPage, 0);
    for (std::size_t done = 0; done < messages;) {
      const auto page = raw.get();
      // What was read is settled in one piece with the next read.
      raw.append_settle("raw", *page);
      raw.append_read("raw", kPage, 0);
      done += RawRedis::entries(*page);
      raw.drain(2);
    }
    raw.get();
  });
  return {{kValue, redis_rate(messages, ns)}};
}

/// Publish to the start of the handler, one message at a time.
Reading wake_a_handler(std::size_t messages) {
  RedisRig rig;
  std::vector<double> samples;
  std::atomic<BenchClock::rep> arrived{0};
  must(rig.channel[0].subscribe([&](Message<Bytes>&) {
    arrived = BenchClock::now().time_since_epoch().count();
    arrived.notify_one();
  }));
  for (std::size_t i = 0; i < messages; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the consumer waits on the server again
    arrived = 0;
    const auto start = BenchClock::now().time_since_epoch().count();
    must(rig.topic->pub(rig.body));
    arrived.wait(0);
    samples.push_back(static_cast<double>(arrived - start));
  }
  must(rig.queue->close());
  Reading reading{{kValue, median(samples)}};
  add_distribution(reading, samples);
  return reading;
}

Reading raw_wake(std::size_t messages) {
  const RedisServer server;
  RawRedis publisher(server.port());
  publisher.append_create_group("raw");
  publisher.get();
  std::atomic<BenchClock::rep> arrived{0};
  const std::jthread reader([&](const std::stop_token& stop) {
    RawRedis raw(server.port());
    while (!stop.stop_requested()) {
      raw.append_read("raw", 1, 1000);
      const auto page = raw.get();
      if (RawRedis::entries(*page) == 0) continue;
      arrived = BenchClock::now().time_since_epoch().count();
      arrived.notify_one();
      raw.append_settle("raw", *page);
      raw.drain(2);
    }
  });
  std::vector<double> samples;
  for (std::size_t i = 0; i < messages; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    arrived = 0;
    const auto start = BenchClock::now().time_since_epoch().count();
    publisher.append_publish("raw", redis_text());
    publisher.get();
    arrived.wait(0);
    samples.push_back(static_cast<double>(arrived - start));
  }
  Reading reading{{kValue, median(samples)}};
  add_distribution(reading, samples);
  return reading;
}

/// Milliseconds from the due time of many until all are delivered, as nanoseconds.
Reading due_at_once(std::size_t messages) {
  RedisRig rig;
  constexpr Duration kAhead = std::chrono::seconds(2);
  const auto due = std::chrono::system_clock::now() + kAhead;
  const auto due_here = BenchClock::now() + kAhead;
  for (std::size_t i = 0; i < messages; i += 1000) {
    must(rig.topic->pub_batch(std::vector<Bytes>(1000, rig.body), {.deliver_at = due}));
  }
  std::atomic<std::size_t> handled{0};
  std::latch done(1);
  must(rig.channel[0].subscribe([&](Message<Bytes>&) {
    if (handled.fetch_add(1) + 1 == messages) done.count_down();
  }));
  done.wait();
  const double ns = nanoseconds_since(due_here);
  must(rig.queue->close());
  return {{kValue, ns}};
}

/// What a server tells about itself.
std::string info(int port, const char* section) {
  RawRedis raw(port);
  raw.append({"INFO", section});
  const auto reply = raw.get();
  return {reply->str, static_cast<std::size_t>(reply->len)};
}

double used_memory(int port) {
  const std::string text = info(port, "memory");
  return std::stod(text.substr(text.find("used_memory:") + 12));
}

/// How often scripts ran, and the microseconds that they took.
std::pair<double, double> scripts_run(int port) {
  std::string text = info(port, "commandstats");
  text.erase(0, text.find("cmdstat_evalsha:calls=") + 22);
  return {std::stod(text), std::stod(text.substr(text.find("usec=") + 5))};
}

/// Keeps client and servers on processors of their own, where there are two: which one the system wakes a process on,
/// and how deeply that one slept, is else a part of what is measured.
class Separated {
 public:
  explicit Separated(std::initializer_list<pid_t> servers) {
    if (::sched_getaffinity(0, sizeof before_, &before_) != 0 || CPU_COUNT(&before_) < 2) return;
    std::size_t client = 0;
    while (!CPU_ISSET(client, &before_)) ++client;
    std::size_t server = client + 1;
    while (!CPU_ISSET(server, &before_)) ++server;
    keep(0, client);
    for (const pid_t pid : servers) keep(pid, server);
    separated_ = true;
  }
  Separated(const Separated&) = delete;
  Separated& operator=(const Separated&) = delete;
  ~Separated() {
    if (separated_) ::sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  static void keep(pid_t pid, std::size_t processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    ::sched_setaffinity(pid, sizeof set, &set);
  }

  cpu_set_t before_{};
  bool separated_ = false;
};

/// A publish with so many delayed messages behind it, in turn with one that has none; also what it costs the server.
Reading publish_beside_delayed(std::size_t delayed, std::size_t messages) {
  RedisRig full;
  RedisRig empty;
  const Separated separated{full.server.pid(), empty.server.pid()};
  for (std::size_t i = 0; i < delayed; i += 10'000) {
    must(full.topic->pub_batch(std::vector<Bytes>(10'000, full.body), {.delay = std::chrono::hours(1)}));
  }
  must(empty.topic->pub(empty.body));  // the server knows the script from then on
  const auto full_before = scripts_run(full.server.port());
  const auto empty_before = scripts_run(empty.server.port());
  std::vector<double> beside;
  std::vector<double> alone;
  for (std::size_t i = 0; i < messages; ++i) {
    beside.push_back(timed([&] { must(full.topic->pub(full.body)); }));
    alone.push_back(timed([&] { must(empty.topic->pub(empty.body)); }));
  }
  const auto of_server = [](const RedisRig& rig, const std::pair<double, double>& before) {
    const auto [calls, us] = scripts_run(rig.server.port());
    return 1e3 * (us - before.second) / (calls - before.first);
  };
  return {{kValue, median(std::move(beside))},
          {"alone", median(std::move(alone))},
          {"server", of_server(full, full_before)},
          {"server_alone", of_server(empty, empty_before)}};
}

Reading memory_of_one(std::size_t messages) {
  RedisRig rig;
  const double before = used_memory(rig.server.port());
  rig.fill(messages);
  return {{kValue, (used_memory(rig.server.port()) - before) / static_cast<double>(messages)}};
}

Reading raw_memory_of_one(std::size_t messages) {
  const RedisServer server;
  RawRedis raw(server.port());
  const double before = used_memory(server.port());
  for (std::size_t i = 0; i < messages; i += 1000) {
    for (std::size_t k = 0; k < 1000; ++k) raw.append_publish("raw", redis_text());
    raw.drain(1000);
  }
  return {{kValue, (used_memory(server.port()) - before) / static_cast<double>(messages)}};
}

}  // namespace

Group redis_group(const Scale& scale) {
  const std::size_t many = scale.of(100'000);
  const std::size_t some = scale.of(20'000);
  const std::size_t few = scale.of(500);
  return Group{
      .name = "redis",
      .cases = {{"redis/publish64", [=] { return redis_publish(many, kBatch, 1); }},
                {"redis/raw_publish64", [=] { return raw_redis_publish(many, kBatch, 1); }},
                {"redis/fan_out", [=] { return redis_publish(some, kBatch, 16); }},
                {"redis/raw_fan_out", [=] { return raw_redis_publish(some, kBatch, 16); }},
                {"redis/publish1", [=] { return publish_one(some); }},
                {"redis/raw_publish1", [=] { return raw_publish_one(some); }},
                {"redis/callers", [=] { return redis_callers(many, kCallers); }},
                {"redis/raw_callers", [=] { return raw_redis_callers(many, kCallers); }},
                {"redis/consume", [=] { return consume_pages(many); }},
                {"redis/subscribe", [=] { return consume_by_handler(many); }},
                {"redis/raw_consume", [=] { return raw_consume_pages(many); }},
                {"redis/wake", [=] { return wake_a_handler(few); }},
                {"redis/raw_wake", [=] { return raw_wake(few); }},
                {"redis/due_at_once", [] { return due_at_once(10'000); }},
                {"redis/beside_delayed", [=] { return publish_beside_delayed(scale.of(1'000'000), some); }},
                {"redis/memory", [=] { return memory_of_one(many); }},
                {"redis/raw_memory", [=] { return raw_memory_of_one(many); }}},
      .lines = {{.title = "publish, batches of 64, 1 channel, vs pipelined XADD",
                 .unit = Unit::million_per_second,
                 .measured = {"redis/publish64"},
                 .reference = Figure{"redis/raw_publish64"},
                 .target = at_least(0.85)},
                {.title = "publish, batches of 64, 16 channels, vs pipelined XADD",
                 .unit = Unit::million_per_second,
                 .measured = {"redis/fan_out"},
                 .reference = Figure{"redis/raw_fan_out"},
                 .target = at_least(1.3)},
                {.title = "publish one, p50, vs an XADD round trip",
                 .unit = Unit::nanoseconds,
                 .measured = {"redis/publish1"},
                 .reference = Figure{"redis/raw_publish1"},
                 .target = at_most(1.2)},
                {.title = "64 callers of pub vs 64 raw connections",
                 .unit = Unit::million_per_second,
                 .measured = {"redis/callers"},
                 .reference = Figure{"redis/raw_callers"},
                 .target = at_least(1.4)},
                {.title = "next_batch(100) + ack vs XREADGROUP + XACK + XDEL",
                 .unit = Unit::million_per_second,
                 .measured = {"redis/consume"},
                 .reference = Figure{"redis/raw_consume"},
                 .target = at_least(0.7)},
                {.title = "subscribe, empty handler, vs XREADGROUP + XACK + XDEL",
                 .unit = Unit::million_per_second,
                 .measured = {"redis/subscribe"},
                 .reference = Figure{"redis/raw_consume"},
                 .target = at_least(0.6)},
                {.title = "publish to handler, idle, p50, vs XADD and a blocked reader",
                 .unit = Unit::nanoseconds,
                 .measured = {"redis/wake"},
                 .reference = Figure{"redis/raw_wake"},
                 .target = at_most(1.5)},
                {.title = "10,000 messages due at once: until all are handled (at most 1 s)",
                 .unit = Unit::nanoseconds,
                 .measured = {"redis/due_at_once"},
                 .target = at_most(0, 1e9)},
                {.title = "publish one beside a million delayed, p50, vs without",
                 .unit = Unit::nanoseconds,
                 .measured = {"redis/beside_delayed"},
                 .reference = Figure{"redis/beside_delayed", "alone"},
                 .target = at_most(1.1)},
                {.title = "the same, on the server",
                 .unit = Unit::nanoseconds,
                 .measured = {"redis/beside_delayed", "server"},
                 .reference = Figure{"redis/beside_delayed", "server_alone"},
                 .target = at_most(1.1)},
                {.title = "server memory of a message vs raw",
                 .unit = Unit::bytes,
                 .measured = {"redis/memory"},
                 .reference = Figure{"redis/raw_memory"},
                 .target = at_most(1.0, 60)}},
      .plots = {distribution_plot("redis_latency", "Redis: publish to handler, idle", "redis/wake", "redis/raw_wake",
                                  "hiredis: XADD and a blocked reader")},
  };
}

}  // namespace lrpc::queue::bench
