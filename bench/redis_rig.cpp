// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis_rig.hpp"

#include <memory>

#include "curves.hpp"
#include "redis_raw.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {

using redis::RedisServer;

namespace {
std::string raw_stream(std::size_t i) { return fmt::format("raw-{}", i); }
}  // namespace

const std::string& redis_text() {
  static const std::string text(100, 'x');
  return text;
}

RedisRig::RedisRig(std::size_t channels) {
  Config config{.storage_type = StorageType::redis};
  config.redis_config.addr = server.address();
  config.max_msg_size = 100'000'000;
  queue.emplace(must(Queue::open(std::move(config))));
  topic.emplace(must(queue->topic<Bytes>("orders")));
  for (std::size_t i = 0; i < channels; ++i) {
    channel.push_back(must(topic->get_or_add_channel(fmt::format("worker-{}", i))));
  }
}

void RedisRig::fill(std::size_t messages) {
  for (std::size_t i = 0; i < messages; i += 1000) must(topic->pub_batch(std::vector<Bytes>(1000, body)));
}

Reading redis_publish(std::size_t messages, std::size_t batch, std::size_t channels) {
  RedisRig rig(channels);
  const std::vector<Bytes> bodies(batch, rig.body);
  const double ns = timed([&] {
    for (std::size_t sent = 0; sent < messages; sent += batch) must(rig.topic->pub_batch(bodies));
  });
  return {{kValue, redis_rate(messages * channels, ns)}};
}

Reading raw_redis_publish(std::size_t messages, std::size_t batch, std::size_t channels) {
  const RedisServer server;
  RawRedis raw(server.port());
  const double ns = timed([&] {
    for (std::size_t sent = 0; sent < messages; sent += batch) {
      for (std::size_t i = 0; i < batch; ++i) {
        for (std::size_t c = 0; c < channels; ++c) raw.append_publish(raw_stream(c), redis_text());
      }
      raw.drain(batch * channels);
    }
  });
  return {{kValue, redis_rate(messages * channels, ns)}};
}

Reading redis_callers(std::size_t messages, std::size_t callers) {
  RedisRig rig;
  const double ns =
      time_of_callers(callers, messages / callers, [&] { return [&] { must(rig.topic->pub(rig.body)); }; });
  return {{kValue, redis_rate(messages, ns)}};
}

Reading raw_redis_callers(std::size_t messages, std::size_t callers) {
  const RedisServer server;
  const double ns = time_of_callers(callers, messages / callers, [&] {
    return [raw = std::make_shared<RawRedis>(server.port())] {
      raw->append_publish("raw", redis_text());
      raw->get();
    };
  });
  return {{kValue, redis_rate(messages, ns)}};
}

}  // namespace lrpc::queue::bench
