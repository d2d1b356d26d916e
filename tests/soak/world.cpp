// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "world.hpp"

#include <condition_variable>

namespace lrpc::queue::soak {
namespace {

constexpr std::int64_t kLinesWritten = 500;

Line make_line(std::string name, bool keyed, std::size_t room) {
  return {.name = std::move(name), .keyed = keyed, .accepted = Accepted(room)};
}

void add_station(Line& line, std::string name, bool subscribed, bool keep_expired = false) {
  line.stations.emplace_back(std::move(name), subscribed,
                             ChannelConfig{.max_retries = kMaxRetries,
                                           .retry_delay = Duration(200),
                                           .max_in_flight = 8,
                                           .dead_letter_expired = keep_expired},
                             line.accepted.room(), line.keyed);
}

}  // namespace

std::unique_ptr<Server> start_server(const std::string& backend) {
  if (backend == "memory") {
    struct Memory final : Server {
      [[nodiscard]] bool shared() const override { return false; }
    };
    return std::make_unique<Memory>();
  }
  if (backend == "redis") return start_redis();
#ifdef LRPC_QUEUE_SOAK_KAFKA
  if (backend == "kafka") return start_kafka();
#endif
  throw std::invalid_argument("--backend " + backend);
}

Trouble::Trouble(const std::filesystem::path& folder)
    : error_file_(folder / "errors.txt"), log_file_(folder / "log.txt") {}

void Trouble::write(std::ofstream& file, std::int64_t number, std::string_view text) {
  if (number > kLinesWritten) return;
  const std::lock_guard lock(mutex_);
  file << system_clock()->now().wall_ms << ' ' << text << '\n' << std::flush;
}

void Trouble::error(std::string_view what, const Error& error) {
  write(error_file_, ++errors_,
        std::string(what) + ": " + std::string(to_string(error.code)) + ": " + error.message + " (" +
            std::to_string(error.native_code) + ")");
}

void Trouble::error(std::string_view what) { write(error_file_, ++errors_, what); }

void Trouble::log(LogLevel level, std::string_view line) {
  if (level == LogLevel::warning || level == LogLevel::error) write(log_file_, ++warnings_, line);
}

void Watcher::settled(std::string_view /*topic*/, std::string_view /*channel*/, Outcome outcome, std::size_t messages) {
  const auto number = static_cast<std::int64_t>(messages);
  switch (outcome) {
    case Outcome::dead_lettered:
      counts_->dead += number;
      break;
    case Outcome::expired:
      counts_->expired += number;
      break;
    case Outcome::dropped:
      counts_->dropped += number;
      break;
    case Outcome::acked:
    case Outcome::retried:
      break;
  }
}

World::World(Plan the_plan, Server& the_server) : plan(std::move(the_plan)), server(the_server), trouble(plan.folder) {
  // A third of the rate each; a little more than can come.
  const auto room = static_cast<std::size_t>(plan.rate * plan.time.count() / 1'000 / 3 * 11 / 10 + 10'000);
  add_station(lines.emplace_back(make_line("orders", false, room)), "work", true);
  add_station(lines.back(), "pull", false);
  add_station(lines.emplace_back(make_line("ledger", true, room)), "keys", true);
  add_station(lines.back(), "copy", false);
  add_station(lines.emplace_back(make_line("timed", false, room)), "due", true, true);

  queue = must(Queue::open(config()), "the queue cannot be opened");
  for (Line& line : lines) {
    line.topic = must(queue->topic<Load>(line.name), line.name);
    for (Station& station : line.stations) {
      station.channel = must(line.topic->get_or_add_channel(station.name, station.config), station.name);
    }
  }
}

Config World::config() {
  Config config = server.config();
  config.logger = [this](LogLevel level, std::string_view line) { trouble.log(level, line); };
  config.observer = std::make_shared<Watcher>(counts);
  return config;
}

Result<Queue> World::another_queue(StartOffset offset) {
  Config further = config();
  further.kafka_config.start_offset = offset;
  return Queue::open(std::move(further));
}

bool rest(Duration time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace lrpc::queue::soak
