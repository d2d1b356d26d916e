// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <array>

#include "consumers.hpp"

namespace lrpc::queue::soak {
namespace {

constexpr std::size_t kNames = 6;
constexpr std::size_t kMessages = 12;
/// What a guest's messages may take; joining a group on a busy broker is most of it.
constexpr Duration kPatience = std::chrono::seconds(60);

class Guests {
 public:
  explicit Guests(World& world) : world_(world) {}

  void one_more() {
    const std::size_t number = static_cast<std::size_t>(world_.counts.guests++);
    // Who joins the group of others makes them stop for a moment: less often.
    if (number % 10 == 9) {
      help_out();
    } else {
      stay_alone("guest-" + std::to_string(number % kNames));
    }
  }

 private:
  template <class T>
  bool good(const char* what, const Result<T>& result) {
    if (!result) world_.trouble.error(what, result.error());
    return result.has_value();
  }

  /// A queue with a channel of its own: messages of which the half are taken by a handler, the others by next; then the
  /// channel is deleted.
  void stay_alone(const std::string& name) {
    auto queue = world_.another_queue(StartOffset::latest);
    if (!good("open a queue", queue)) return;
    visit(*queue, name);
    good("close a queue", queue->close());
    // Over memory that was a world of its own; so once more in the one that stays.
    if (!world_.server.shared()) visit(*world_.queue, name);
  }

  void visit(Queue& queue, const std::string& name) {
    auto topic = queue.topic<Load>("visits");
    if (!good("open a topic", topic)) return;
    auto channel =
        topic->get_or_add_channel(name, {.retry_delay = Duration(50), .close_timeout = std::chrono::seconds(5)});
    if (!good("open a channel", channel)) return;
    take_turns(*topic, *channel);
    good("close a channel", channel->close());
    good("delete a channel", topic->delete_channel(name));
    good("close a topic", topic->close());
  }

  void take_turns(Topic<Load>& topic, Channel<Load>& channel) {
    if (!good("pub_batch", topic.pub_batch(std::vector<Load>(kMessages / 2)))) return;
    const auto end = SteadyClock::now() + kPatience;
    for (std::size_t taken = 0; taken < kMessages / 2;) {
      const auto got = channel.next_batch(kMessages, Duration(1'000));
      if (!got && got.error().code == ErrorCode::no_message && SteadyClock::now() < end) continue;
      if (!good("next_batch of a guest", got) || !good("ack of a guest", channel.ack(*got))) return;
      taken += got->size();
    }
    auto handled = std::make_shared<std::atomic<std::size_t>>(0);
    auto subscription = channel.subscribe([handled](const Message<Load>& message) {
      if (message.attempts() == 1 && message.body().number == 1) return ProcessRsp{.retry = true};
      ++*handled;
      return ProcessRsp{};
    });
    if (!good("subscribe", subscription)) return;
    for (std::size_t i = 0; i < kMessages / 2; ++i) {
      if (!good("pub", topic.pub(Load{.number = i}))) return;
    }
    while (*handled < kMessages / 2 && SteadyClock::now() < end) std::this_thread::sleep_for(Duration(5));
    if (*handled < kMessages / 2) world_.trouble.error("a guest did not get its messages");
    good("stop", subscription->stop());
  }

  /// A consumer more of channels that others consume, for a moment.
  void help_out() {
    Line& line = world_.lines.front();
    Station& work = line.stations.front();
    Station& pulled = line.stations.back();
    std::optional<Queue> own;
    if (world_.server.shared()) {
      auto queue = world_.another_queue();
      if (!good("open a queue", queue)) return;
      own = std::move(*queue);
    }
    Queue& queue = own ? *own : *world_.queue;
    auto topic = queue.topic<Load>(line.name);
    if (!good("open a topic", topic)) return;
    auto channel = topic->get_or_add_channel(work.name, work.config);
    auto other = topic->get_or_add_channel(pulled.name, pulled.config);
    if (!good("open a channel", channel) || !good("open a channel", other)) return;
    auto subscription = channel->subscribe(
        [this, &work, &line](const Message<Load>& message) { return handle(world_, work, line, message); });
    if (!good("subscribe", subscription)) return;
    {
      std::jthread puller([&](const std::stop_token& stop) { pull(world_, pulled, line, *other, stop); });
      std::this_thread::sleep_for(world_.plan.beat());
    }
    good("stop", subscription->stop());
    if (own) good("close a queue", own->close());
  }

  World& world_;
};

}  // namespace

void come_and_go(World& world, const std::stop_token& stop) {
  Guests guests(world);
  while (rest(world.plan.beat(), stop)) guests.one_more();
}

}  // namespace lrpc::queue::soak
