// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Opens and closes very many topics with a channel each, again and again: nothing may grow. The back end is that of the
// environment (LRPC_QUEUE_STORAGE_TYPE and so on), so that it may run beside a server.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include <lrpc/queue.hpp>

#include "support/process_figures.hpp"

namespace lrpc::queue::soak {
namespace {

constexpr int kLaps = 4;
/// What the process may take more at the end than after the second lap: allocators are not exact.
constexpr std::int64_t kRssLimit = 1024;  // KiB

// Sanitizers keep what is freed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kJudgesMemory = false;
#elif defined(__has_feature)
constexpr bool kJudgesMemory = !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer);
#else
constexpr bool kJudgesMemory = true;
#endif

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(std::string(to_string(result.error().code)) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Each is used: a message goes through it.
void one_lap(Queue& queue, int topics) {
  for (int i = 0; i < topics; ++i) {
    auto topic = must(queue.topic<std::string>("topic-" + std::to_string(i)));
    auto channel = must(topic.get_or_add_channel("work"));
    must(topic.pub("x"));
    must(channel.ack(must(channel.try_next(std::chrono::seconds(60)))));
    must(channel.close());
    must(topic.close());
  }
}

int run(int topics) {
  std::thread([] {}).join();  // with the first one the thread sanitizer starts one of its own, which stays
  Queue queue = must(Queue::open(must(Config::from_env())));
  support::ProcessFigures second;
  int grown = 0;
  for (int lap = 1; lap <= kLaps; ++lap) {
    const auto began = std::chrono::steady_clock::now();
    one_lap(queue, topics);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const support::ProcessFigures now = support::own_figures();
    std::printf("lap %d: %d topics in %.1f s; RSS %.1f MiB, %lld threads, %lld descriptors\n", lap, topics,
                took.count(), static_cast<double>(now.rss_kib) / 1024, static_cast<long long>(now.threads),
                static_cast<long long>(now.descriptors));
    std::fflush(stdout);
    if (lap <= 2) second = now;
    grown += static_cast<int>(now.threads > second.threads) + static_cast<int>(now.descriptors > second.descriptors) +
             static_cast<int>(kJudgesMemory && now.rss_kib > second.rss_kib + kRssLimit);
  }
  must(queue.close());
  std::puts(grown == 0 ? "PASSED" : "FAILED: it grows");
  return grown == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lrpc::queue::soak

int main(int argc, char** argv) try {
  int topics = 0;
  const std::string_view number = argc == 2 ? argv[1] : "";
  if (std::from_chars(number.data(), number.data() + number.size(), topics).ptr != number.data() + number.size() ||
      topics < 1) {
    std::fputs("usage: many_topics TOPICS; the back end is that of the environment\n", stderr);
    return 2;
  }
  return lrpc::queue::soak::run(topics);
} catch (const std::exception& error) {
  std::fprintf(stderr, "many_topics: %s\n", error.what());
  return 2;
}
