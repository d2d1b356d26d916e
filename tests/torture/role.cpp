// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "role.hpp"

#include <signal.h>
#include <sys/prctl.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "ledger.hpp"
#include "own_clock.hpp"
#include "persist.hpp"
#include "workload.hpp"

namespace lrpc::queue::torture {
namespace {

void produce(Queue& queue, const Part& part, const std::stop_token& stop) {
  Publisher(part).run([&] { return queue.topic<std::string>(kTopic); }, stop);
}

void consume(Queue& queue, const Part& part, const std::string& name, const std::stop_token& stop) {
  auto channel = persist(
      [&]() -> Result<Channel<std::string>> {
        auto topic = queue.topic<std::string>(kTopic);
        if (!topic) return std::unexpected(topic.error());
        return topic->get_or_add_channel(name, channel_config(name, part.setup));
      },
      stop);
  if (!channel) return;
  Worker worker(part, name);
  if (name == kPull) return worker.pull(*channel, stop);
  auto subscription = persist(
      [&] { return channel->subscribe([&worker](Message<std::string>& message) { return worker.handle(message); }); },
      stop);
  if (subscription) static_cast<void>(subscription->wait(stop));
  static_cast<void>(queue.close());  // before what the handler uses
}

}  // namespace

std::vector<std::string> Role::words(const std::string& program) const {
  return {program,
          kind,
          name,
          channel.empty() ? "-" : channel,
          std::to_string(seed),
          folder.string(),
          config.string(),
          std::to_string(lease.count()),
          clock.empty() ? "-" : clock.string()};
}

int run_role(const std::vector<std::string>& words) {
  if (words.size() != 8) throw std::invalid_argument("a role needs 7 words");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t end{};
  ::sigemptyset(&end);
  ::sigaddset(&end, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &end, nullptr);

  const std::string name = words[1];
  Ledger ledger(std::filesystem::path(words[4]) / (name + ".ledger"));
  ledger.life(name);
  const Part part{.name = name,
                  .seed = std::stoull(words[3]),
                  .setup = {.lease = Duration(std::stoll(words[6]))},
                  .ledger = ledger,
                  .clock = words[7] == "-" ? system_clock() : std::make_shared<OwnClock>(words[7])};
  std::jthread thread([&](const std::stop_token& stop) {
    auto config = Config::load(words[5]);
    if (!config) throw std::runtime_error(config.error().message);
    config->clock = part.clock;
    auto queue = persist([&] { return Queue::open(*config); }, stop);
    if (!queue) return;
    if (words[0] == "producer") {
      produce(*queue, part, stop);
    } else {
      consume(*queue, part, words[2], stop);
    }
    static_cast<void>(queue->close());
  });
  int signal = 0;
  ::sigwait(&end, &signal);
  thread.request_stop();
  thread.join();
  return 0;
}

}  // namespace lrpc::queue::torture
