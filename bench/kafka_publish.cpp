// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Publishing to Kafka beside plain librdkafka with the same properties, on one broker of the group's own.
#include <algorithm>
#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "kafka_raw.hpp"
#include "kafka_rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

/// A queue whose producer is connected.
struct ReadyRig : KafkaRig {
  ReadyRig() { must(topic.pub(kafka_body())); }
};

struct ReadyRaw {
  explicit ReadyRaw(const RawKafkaProducer::Properties& further = {})
      : producer(kafka_address(), rig.raw_topic(), further) {
    producer.send_and_wait(kafka_text(), 1);
  }
  KafkaRig rig{};  // makes the topic
  RawKafkaProducer producer;
};

Reading publish_batches(std::size_t messages, std::size_t size) {
  ReadyRig rig;
  const std::vector<Bytes> batch(size, kafka_body());
  const double ns = timed([&] {
    for (std::size_t sent = 0; sent < messages; sent += size) must(rig.topic.pub_batch(batch));
  });
  return {{kValue, kafka_rate(messages, ns)}};
}

/// Batches, each awaited. With `flush`, which passes over linger, as the facts say is best.
Reading raw_batches(std::size_t messages, std::size_t size, bool flush) {
  ReadyRaw raw(flush ? RawKafkaProducer::Properties{{"linger.ms", "100"}} : RawKafkaProducer::Properties{});
  std::atomic<std::uint32_t> due = 0;
  const double ns = timed([&] {
    for (std::size_t sent = 0; sent < messages; sent += size) {
      if (!flush) {
        raw.producer.send_and_wait(kafka_text(), size);
        continue;
      }
      due += static_cast<std::uint32_t>(size);
      for (std::size_t i = 0; i < size; ++i) raw.producer.send(kafka_text(), due);
      raw.producer.flush();
    }
  });
  return {{kValue, kafka_rate(messages, ns)}};
}

/// Nothing is awaited but the last report.
Reading raw_stream(std::size_t messages) {
  ReadyRaw raw;
  return {{kValue, kafka_rate(messages, timed([&] { raw.producer.send_and_wait(kafka_text(), messages); }))}};
}

Reading publish_in_background(std::size_t messages) {
  ReadyRig rig;
  std::atomic<std::size_t> failed{0};
  const double ns = timed([&] {
    for (std::size_t i = 0; i < messages; ++i) {
      must(rig.topic.pub_async(kafka_body(), {}, [&](const Result<std::string>& result) { failed += result ? 0 : 1; }));
    }
    must(rig.topic.flush(std::chrono::minutes(1)));
  });
  if (failed != 0) die("messages were not published");
  return {{kValue, kafka_rate(messages, ns)}};
}

/// The median time of a call.
template <class Call>
Reading time_of_calls(std::size_t messages, Call call) {
  std::vector<double> samples;
  for (std::size_t i = 0; i < messages; ++i) samples.push_back(timed(call));
  return {{kValue, median(std::move(samples))}};
}

Reading publish_one(std::size_t messages) {
  ReadyRig rig;
  return time_of_calls(messages, [&] { must(rig.topic.pub(kafka_body())); });
}

Reading raw_one(std::size_t messages) {
  ReadyRaw raw;
  return time_of_calls(messages, [&] { raw.producer.send_and_wait(kafka_text(), 1); });
}

/// 64 threads that call in turn with the others.
template <class Call>
Reading many_callers(std::size_t messages, Call call) {
  constexpr std::size_t kCallers = 64;
  std::latch start(kCallers + 1);
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kCallers; ++t) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      for (std::size_t i = 0; i < messages / kCallers; ++i) call();
    });
  }
  start.arrive_and_wait();
  const double ns = timed([&] { threads.clear(); });
  return {{kValue, kafka_rate(messages, ns)}};
}

Reading publish_callers(std::size_t messages) {
  ReadyRig rig;
  return many_callers(messages, [&] { must(rig.topic.pub(kafka_body())); });
}

Reading raw_callers(std::size_t messages) {
  ReadyRaw raw;
  return many_callers(messages, [&] { raw.producer.send_and_wait(kafka_text(), 1); });
}

}  // namespace

Group kafka_publish_group(const Scale& scale) {
  const std::size_t many = scale.of(200'000);
  const std::size_t some = scale.of(20'000);
  const std::size_t few = scale.of(5'000);
  return Group{
      .name = "kafka_publish",
      .cases = {{"kafka/batch1000", [=] { return publish_batches(many, 1000); }},
                {"kafka/raw_stream", [=] { return raw_stream(many); }},
                {"kafka/raw_batch1000", [=] { return raw_batches(many, 1000, false); }},
                {"kafka/async", [=] { return publish_in_background(many); }},
                {"kafka/batch100", [=] { return publish_batches(many, 100); }},
                {"kafka/raw_batch100", [=] { return raw_batches(many, 100, false); }},
                {"kafka/raw_flush100", [=] { return raw_batches(many, 100, true); }},
                {"kafka/one", [=] { return publish_one(few); }},
                {"kafka/raw_one", [=] { return raw_one(few); }},
                {"kafka/callers", [=] { return publish_callers(some); }},
                {"kafka/raw_callers", [=] { return raw_callers(some); }}},
      .lines = {{.title = "publish, batches of 1,000, vs raw produce with reports, never awaited",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/batch1000"},
                 .reference = Figure{"kafka/raw_stream"},
                 .target = at_least(0.85)},
                {.title = "the same, vs raw batches that are awaited",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/batch1000"},
                 .reference = Figure{"kafka/raw_batch1000"}},
                {.title = "pub_async, vs raw produce with reports",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/async"},
                 .reference = Figure{"kafka/raw_stream"},
                 .target = at_least(0.85)},
                {.title = "publish, batches of 100, vs raw with flush",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/batch100"},
                 .reference = Figure{"kafka/raw_flush100"},
                 .target = at_least(0.85)},
                {.title = "the same, vs raw with linger 0, awaited",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/batch100"},
                 .reference = Figure{"kafka/raw_batch100"},
                 .target = at_least(0.85)},
                {.title = "publish one, p50, vs raw produce and wait",
                 .unit = Unit::nanoseconds,
                 .measured = {"kafka/one"},
                 .reference = Figure{"kafka/raw_one"},
                 .target = at_most(1.15)},
                {.title = "64 callers of pub vs 64 that produce raw and wait",
                 .unit = Unit::million_per_second,
                 .measured = {"kafka/callers"},
                 .reference = Figure{"kafka/raw_callers"},
                 .target = at_least(0.8)}},
  };
}

}  // namespace lrpc::queue::bench
