// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Kafka's curves: throughput by batch size and producers; the distribution of publish to handler. Beside plain
// librdkafka with the same properties, on one broker of the group's own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>
#include <vector>

#include "curves.hpp"
#include "kafka_raw.hpp"
#include "kafka_rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

/// Producers that are connected.
struct Ours {
  Ours() { must(rig.topic.pub(kafka_body())); }
  KafkaRig rig{};
};
struct Raw {
  Raw() { producer.send_and_wait(kafka_text(), 1); }
  KafkaRig rig{};  // makes the topic
  RawKafkaProducer producer{kafka_address(), rig.raw_topic()};
};

Reading ours_by_batch(std::size_t messages, std::size_t size) {
  Ours ours;
  const std::vector<Bytes> batch(size, kafka_body());
  const double ns = timed([&] {
    for (std::size_t sent = 0; sent < messages; sent += size) must(ours.rig.topic.pub_batch(batch));
  });
  return {{kValue, kafka_rate(messages, ns)}};
}

Reading raw_by_batch(std::size_t messages, std::size_t size) {
  Raw raw;
  const double ns = timed([&] {
    for (std::size_t sent = 0; sent < messages; sent += size) raw.producer.send_and_wait(kafka_text(), size);
  });
  return {{kValue, kafka_rate(messages, ns)}};
}

Reading ours_by_producers(std::size_t calls, std::size_t producers) {
  Ours ours;
  const double ns = time_of_callers(producers, calls, [&] { return [&] { must(ours.rig.topic.pub(kafka_body())); }; });
  return {{kValue, kafka_rate(calls * producers, ns)}};
}

Reading raw_by_producers(std::size_t calls, std::size_t producers) {
  Raw raw;
  const double ns =
      time_of_callers(producers, calls, [&] { return [&] { raw.producer.send_and_wait(kafka_text(), 1); }; });
  return {{kValue, kafka_rate(calls * producers, ns)}};
}

/// When the message that is under way arrived; 0 = not yet.
class Arrival {
 public:
  void tell() {
    at_ = BenchClock::now().time_since_epoch().count();
    at_.notify_one();
  }
  /// Nanoseconds from the publish on, one message at a time.
  template <class Publish>
  [[nodiscard]] std::vector<double> times(std::size_t messages, Publish publish) {
    std::vector<double> result;
    for (std::size_t i = 0; i <= messages; ++i) {
      at_ = 0;
      const auto start = BenchClock::now().time_since_epoch().count();
      publish();
      at_.wait(0);
      if (i > 0) result.push_back(static_cast<double>(at_ - start));  // before the first the consumer had to join
      std::this_thread::sleep_for(std::chrono::milliseconds(5));      // it waits at the broker again
    }
    return result;
  }

 private:
  std::atomic<BenchClock::rep> at_{0};
};

Reading distribution_of(const std::vector<double>& ns) {
  Reading reading;
  add_distribution(reading, ns);
  return reading;
}

Reading ours_latency(std::size_t messages) {
  Ours ours;
  Channel<Bytes> channel = ours.rig.channel();
  Arrival arrival;
  must(channel.subscribe([&](Message<Bytes>&) { arrival.tell(); }));
  const Reading reading = distribution_of(arrival.times(messages, [&] { must(ours.rig.topic.pub(kafka_body())); }));
  must(ours.rig.queue.close());
  return reading;
}

Reading raw_latency(std::size_t messages) {
  const KafkaRig rig;
  RawKafkaProducer producer(kafka_address(), rig.raw_topic());
  Arrival arrival;
  const std::jthread reader([&](const std::stop_token& stop) {
    RawKafkaConsumer raw(kafka_address(), rig.raw_topic(), fresh_name("raw"));
    while (!stop.stop_requested()) {
      if (raw.next()) arrival.tell();
    }
  });
  return distribution_of(arrival.times(messages, [&] { producer.send_and_wait(kafka_text(), 1); }));
}

}  // namespace

Group kafka_curves_group(const Scale& scale) {
  const std::size_t few = scale.of(400);
  Group group{.name = "kafka_curves", .most_rounds = 3};
  const auto of_batch = [few](std::size_t batch) { return few / 2 * batch; };
  add_sweep(group,
            {.name = "kafka_by_batch",
             .title = "Kafka: publish in batches, each awaited",
             .x_title = "messages a call",
             .y_title = "thousand msg/s",
             .y_factor = 1e3},
            kBatchSizes,
            {{"ours", "lrpc-queue", [=](std::size_t x) { return ours_by_batch(of_batch(x), x); }},
             {"raw", "librdkafka", [=](std::size_t x) { return raw_by_batch(of_batch(x), x); }}});
  add_sweep(group,
            {.name = "kafka_by_producers",
             .title = "Kafka: threads that publish one at a time",
             .x_title = "producers",
             .y_title = "thousand msg/s",
             .y_factor = 1e3},
            kProducerNumbers,
            {{"ours", "lrpc-queue", [few](std::size_t x) { return ours_by_producers(few, x); }},
             {"raw", "librdkafka", [few](std::size_t x) { return raw_by_producers(few, x); }}});
  group.cases.push_back({"kafka_latency/ours", [few] { return ours_latency(few); }});
  group.cases.push_back({"kafka_latency/raw", [few] { return raw_latency(few); }});
  group.plots.push_back(distribution_plot("kafka_latency", "Kafka: publish to handler, idle", "kafka_latency/ours",
                                          "kafka_latency/raw", "librdkafka"));
  return group;
}

}  // namespace lrpc::queue::bench
