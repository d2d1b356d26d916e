// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Consuming from Kafka beside plain librdkafka that reads and commits, on one broker of the group's own.
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "kafka_raw.hpp"
#include "kafka_rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

constexpr std::size_t kPage = 1000;
/// How often the raw consumer commits; the back end's default is the same.
constexpr auto kCommitInterval = std::chrono::seconds(1);

/// From the first message on: joining a group takes what the broker makes of it.
Reading consume_pages(std::size_t messages) {
  KafkaRig rig(filled_topic(messages));
  Channel<Bytes> channel = rig.channel();
  must(channel.ack(must(channel.next())));
  const double ns = timed([&] {
    for (std::size_t done = 1; done < messages;) {
      const auto page = must(channel.next_batch(std::min(kPage, messages - done), std::chrono::seconds(10)));
      must(channel.ack(std::span(page)));
      done += page.size();
    }
  });
  must(rig.queue.close());
  return {{kValue, kafka_rate(messages - 1, ns)}};
}

Reading consume_by_handler(std::size_t messages) {
  KafkaRig rig(filled_topic(messages));
  Channel<Bytes> channel = rig.channel();
  std::atomic<std::size_t> handled{0};
  std::atomic<BenchClock::rep> first{0};
  std::latch done(1);
  must(channel.subscribe([&](Message<Bytes>&) {
    const std::size_t count = handled.fetch_add(1) + 1;
    if (count == 1) first = BenchClock::now().time_since_epoch().count();
    if (count == messages) done.count_down();
  }));
  done.wait();
  const double ns = nanoseconds_since(BenchClock::time_point(BenchClock::duration(first.load())));
  must(rig.queue.close());
  return {{kValue, kafka_rate(messages - 1, ns)}};
}

/// Until one is there.
void await_next(RawKafkaConsumer& raw, RawRecord* into = nullptr) {
  while (!raw.next(into)) {
  }
}

/// `reading`: with a look into the messages, in pages as ours are, and with no bound on what is read ahead: who reads
/// slower than the broker sends would else wait for the next fetch again and again (docs/performance.md).
Reading raw_consume(std::size_t messages, bool reading) {
  const KafkaRig rig(filled_topic(messages));
  RawKafka::Properties further;
  if (reading) further = {{"queued.min.messages", "10000000"}, {"queued.max.messages.kbytes", "2097151"}};
  RawKafkaConsumer raw(kafka_address(), rig.raw_topic(), fresh_name("raw"), further);
  await_next(raw);
  const double ns = timed([&] {
    auto committed = BenchClock::now();
    std::vector<RawRecord> page(kPage);
    for (std::size_t done = 1; done < messages; ++done) {
      await_next(raw, reading ? &page[done % kPage] : nullptr);
      if (done % 1024 == 0 && BenchClock::now() - committed >= kCommitInterval) {
        raw.commit();
        committed = BenchClock::now();
      }
    }
    raw.commit();
  });
  return {{kValue, kafka_rate(messages - 1, ns)}};
}

/// What handlers do in the test of concurrency: 0 to 5 ms.
void work() {
  thread_local std::minstd_rand random(std::random_device{}());
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
}

/// Which key message i has.
using KeyOf = std::string (*)(std::size_t i);
std::string key_in_turn(std::size_t i) { return fmt::format("key-{}", i % 100); }
std::string key_in_runs(std::size_t i) { return fmt::format("key-{}", i / 100 % 100); }

/// Messages a second (million) of 100 handlers at once on one partition.
Reading work_at_once(std::size_t messages, KeyOf key) {
  KafkaRig rig(fresh_name("orders"), 100);
  Channel<Bytes> channel = rig.channel();
  for (std::size_t i = 0; i < messages; ++i) {
    PubOptions options;
    if (key != nullptr) options.key = key(i);
    must(rig.topic.pub_async(kafka_body(), options,
                             [](const Result<std::string>& result) { must(Result<std::string>(result)); }));
  }
  must(rig.topic.flush(std::chrono::minutes(1)));
  std::atomic<std::size_t> handled{0};
  std::atomic<BenchClock::rep> first{0};
  std::latch done(1);
  must(channel.subscribe([&](Message<Bytes>&) {
    BenchClock::rep none = 0;
    first.compare_exchange_strong(none, BenchClock::now().time_since_epoch().count());
    work();
    if (handled.fetch_add(1) + 1 == messages) done.count_down();
  }));
  done.wait();
  const double ns = nanoseconds_since(BenchClock::time_point(BenchClock::duration(first.load())));
  must(rig.queue.close());
  return {{kValue, kafka_rate(messages, ns)}};
}

Reading raw_work(std::size_t messages) {
  const KafkaRig rig(filled_topic(messages));
  RawKafkaConsumer raw(kafka_address(), rig.raw_topic(), fresh_name("raw"));
  await_next(raw);
  const double ns = timed([&] {
    for (std::size_t done = 1; done < messages; ++done) {
      await_next(raw);
      work();
    }
    raw.commit();
  });
  return {{kValue, kafka_rate(messages - 1, ns)}};
}

/// Publish to the start of the handler, one message at a time.
template <class Publish>
Reading time_of_arrival(std::size_t messages, std::atomic<BenchClock::rep>& arrived, Publish publish) {
  const auto once = [&] {
    arrived = 0;
    const auto start = BenchClock::now().time_since_epoch().count();
    publish();
    arrived.wait(0);
    return static_cast<double>(arrived - start);
  };
  once();  // the consumer has joined
  std::vector<double> samples;
  for (std::size_t i = 0; i < messages; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the consumer waits at the broker again
    samples.push_back(once());
  }
  return {{kValue, median(std::move(samples))}};
}

void tell(std::atomic<BenchClock::rep>& arrived) {
  arrived = BenchClock::now().time_since_epoch().count();
  arrived.notify_one();
}

Reading wake_a_handler(std::size_t messages) {
  KafkaRig rig;
  Channel<Bytes> channel = rig.channel();
  std::atomic<BenchClock::rep> arrived{0};
  must(channel.subscribe([&](Message<Bytes>&) { tell(arrived); }));
  Reading reading = time_of_arrival(messages, arrived, [&] { must(rig.topic.pub(kafka_body())); });
  must(rig.queue.close());
  return reading;
}

Reading raw_wake(std::size_t messages) {
  const KafkaRig rig;
  RawKafkaProducer producer(kafka_address(), rig.raw_topic());
  std::atomic<BenchClock::rep> arrived{0};
  const std::jthread reader([&](const std::stop_token& stop) {
    RawKafkaConsumer raw(kafka_address(), rig.raw_topic(), fresh_name("raw"));
    while (!stop.stop_requested()) {
      if (raw.next()) tell(arrived);
    }
  });
  return time_of_arrival(messages, arrived, [&] { producer.send_and_wait(kafka_text(), 1); });
}

/// From joining to the first message of a topic that has some.
Reading first_message(std::size_t messages) {
  KafkaRig rig(filled_topic(messages));
  Channel<Bytes> channel = rig.channel();
  Reading reading{{kValue, timed([&] { must(channel.next()); })}};
  must(rig.queue.close());
  return reading;
}

Reading raw_first_message(std::size_t messages) {
  const KafkaRig rig(filled_topic(messages));
  std::unique_ptr<RawKafkaConsumer> raw;
  return {{kValue, timed([&] {
             raw = std::make_unique<RawKafkaConsumer>(kafka_address(), rig.raw_topic(), fresh_name("raw"));
             await_next(*raw);
           })}};
}

}  // namespace

Group kafka_consume_group(const Scale& scale) {
  const std::size_t many = scale.of(500'000);
  const std::size_t work = scale.of(10'000);
  const std::size_t serial = scale.of(400);
  const std::size_t few = scale.of(200);
  return Group{
      .name = "kafka_consume",
      .cases = {{"kafka/consume", [=] { return consume_pages(many); }},
                {"kafka/subscribe", [=] { return consume_by_handler(many); }},
                {"kafka/raw_consume", [=] { return raw_consume(many, false); }},
                {"kafka/raw_reading", [=] { return raw_consume(many, true); }},
                {"kafka/work", [=] { return work_at_once(work, nullptr); }},
                {"kafka/work_keys", [=] { return work_at_once(work, key_in_turn); }},
                {"kafka/work_runs", [=] { return work_at_once(work, key_in_runs); }},
                {"kafka/raw_work", [=] { return raw_work(serial); }},
                {"kafka/wake", [=] { return wake_a_handler(few); }},
                {"kafka/raw_wake", [=] { return raw_wake(few); }},
                {"kafka/first", [=] { return first_message(many); }},
                {"kafka/raw_first", [=] { return raw_first_message(many); }}},
      .lines = {{.title = "next_batch(1000) + ack vs raw poll and commit",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/consume"},
                 .reference = Figure{"kafka/raw_consume"},
                 .target = at_least(0.75)},
                {.title = "subscribe, empty handler, vs raw poll and commit",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/subscribe"},
                 .reference = Figure{"kafka/raw_consume"},
                 .target = at_least(0.6)},
                {.title = "for information: next_batch(1000) + ack vs raw that reads id, attempts and body",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/consume"},
                 .reference = Figure{"kafka/raw_reading"}},
                {.title = "for information: subscribe, empty handler, vs raw that reads id, attempts and body",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/subscribe"},
                 .reference = Figure{"kafka/raw_reading"}},
                {.title = "for information: raw that reads id, attempts and body vs raw poll and commit",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/raw_reading"},
                 .reference = Figure{"kafka/raw_consume"}},
                {.title = "one partition, handlers of 0-5 ms, 100 at once, vs one after the other",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/work"},
                 .reference = Figure{"kafka/raw_work"},
                 .target = at_least(30)},
                {.title = "the same with 100 keys in order",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/work_keys"},
                 .reference = Figure{"kafka/raw_work"},
                 .target = at_least(20)},
                {.title = "the same, each key in runs of 100",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/work_runs"},
                 .reference = Figure{"kafka/raw_work"}},
                {.title = "publish to handler, idle, p50, vs raw",
                 .unit = Unit::nanoseconds,
                 .measured = {"kafka/wake"},
                 .reference = Figure{"kafka/raw_wake"},
                 .target = at_most(1.2)},
                {.title = "first message of a filled topic, with joining, vs raw (at most 150 ms more)",
                 .unit = Unit::nanoseconds,
                 .measured = {"kafka/first"},
                 .reference = Figure{"kafka/raw_first"},
                 .target = at_most(1, 150e6)}},
  };
}

}  // namespace lrpc::queue::bench
