// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "commands/commands.hpp"
#include "shared/durations.hpp"
#include "shared/name_list.hpp"
#include "shared/records.hpp"
#include "shared/remote.hpp"
#include "shared/watcher.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kTailFooter =
    "Looks on without taking part: joins nothing, takes nothing. Prints what is published from now "
    "on,\n"
    "or with --from-start first what is kept, one body a line, JSON strings as their text; with --json as sub does,\n"
    "attempts being the deliveries so far. On Kafka it reads the topic, on Redis the stream of one channel: CHANNEL "
    "may\n"
    "be left out when there is only one. Goes on when the connection was lost. Ends by a signal, --max or "
    "--idle-exit.\n\n"
    "Examples:\n"
    "  lrpc-queue tail orders billing --redis localhost:6379\n"
    "  lrpc-queue tail orders billing --from-start --max 10 --json --redis localhost:6379";

constexpr std::size_t kPage = 256;
constexpr Duration kLongWait = std::chrono::minutes(1);  // of one call; the next goes on from there
constexpr Duration kRetry = std::chrono::seconds(1);

struct TailOptions {
  std::string topic{};
  std::string channel{};
  bool from_start = false;
  std::optional<std::int64_t> max{};
  std::optional<Duration> idle_exit{};
};

/// The channel to read: the given one, or on Redis the only one.
Result<std::string> chosen_channel(Topic<RawBody>& topic, const TailOptions& options, StorageType storage) {
  if (!options.channel.empty() || storage != StorageType::redis) return options.channel;
  auto names = topic.channel_list();
  if (!names) return std::unexpected(std::move(names.error()));
  if (names->size() == 1) return names->front();
  if (names->empty()) {
    return fail(ErrorCode::channel_not_found, fmt::format("topic {} has no channel to read", options.topic));
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("topic {} has several channels; name one of {}", options.topic, json_array(*names)));
}

/// Reads page after page.
class Tail {
 public:
  Tail(Topic<RawBody> topic, std::string channel, const TailOptions& options, Session& session)
      : topic_(std::move(topic)),
        channel_(std::move(channel)),
        options_(options),
        session_(session),
        left_(options.max.value_or(std::numeric_limits<std::int64_t>::max())),
        cursor_(options.from_start ? "0" : "") {}

  Result<void> run() {
    while (left_ > 0) {
      // The first looks only: whether there is such a channel, and where it ends now.
      const Duration wait = began_ ? next_wait() : Duration{0};
      auto page = topic_.tail(channel_, cursor_, static_cast<std::size_t>(std::min<std::int64_t>(left_, kPage)), wait);
      if (!page) {
        if (!began_ || !passes(page.error())) return std::unexpected(std::move(page.error()));
        std::this_thread::sleep_for(kRetry);
        continue;
      }
      began_ = true;
      lost_ = false;
      cursor_ = std::move(page->cursor);
      if (Result<void> printed = print(page->items); !printed) return printed;
      if (page->items.empty() && idle()) return {};
    }
    return {};
  }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] Duration next_wait() const {
    if (!options_.idle_exit) return kLongWait;
    const auto left = std::chrono::ceil<Duration>(*options_.idle_exit - (Clock::now() - last_));
    return std::clamp(left, Duration{0}, kLongWait);
  }

  [[nodiscard]] bool idle() const { return options_.idle_exit && Clock::now() - last_ >= *options_.idle_exit; }

  /// Whether it is worth to try again; says so once.
  bool passes(const Error& error) {
    if (!error.retryable && error.code != ErrorCode::outcome_unknown) return false;
    if (!std::exchange(lost_, true)) session_.console.error(error.message + "; trying again");
    return true;
  }

  Result<void> print(const std::vector<Message<RawBody>>& messages) {
    if (messages.empty()) return {};
    last_ = Clock::now();
    left_ -= std::ssize(messages);
    std::string text;
    for (const Message<RawBody>& message : messages) text += to_line(message, session_.globals.json);
    return write_output(text);
  }

  Topic<RawBody> topic_;
  const std::string channel_;
  const TailOptions& options_;
  Session& session_;
  std::int64_t left_;
  std::string cursor_;
  bool began_ = false;
  bool lost_ = false;
  Clock::time_point last_ = Clock::now();
};

int tail(const TailOptions& options, Session& session) {
  const WatchedSignals signals;
  const Result<Config> config = remote_config(session, "tail");
  if (!config) return session.report(config.error());
  Result<RemoteTopic> remote = open_existing(*config, options.topic, options.channel);
  if (!remote) return session.report(remote.error());
  Result<std::string> channel = chosen_channel(remote->topic, options, config->storage_type);
  if (!channel) return session.report(channel.error());
  // It has nothing to finish or to give back, so the end may come at any time.
  const Watcher watcher(signals, {.on_signal = [](int signal) { ::_exit(kExitSignal + signal); },
                                  .on_output_lost =
                                      [&session] {
                                        session.console.error("nobody reads standard output any more");
                                        ::_exit(kExitError);
                                      },
                                  .on_tick = {},
                                  .tick = std::nullopt});
  const Result<void> ended = Tail(remote->topic, std::move(*channel), options, session).run();
  return ended ? kExitOk : session.report(ended.error());
}

}  // namespace

void add_tail(CLI::App& app, Session& session) {
  auto options = std::make_shared<TailOptions>();
  CLI::App* command = app.add_subcommand("tail", "Print what is published, without taking it");
  remote_footer(*command, kTailFooter);
  command->add_option("TOPIC", options->topic, "Name of the topic")->required()->type_name("");
  command->add_option("CHANNEL", options->channel, "Whose copy to read (Redis)")->type_name("");
  command->add_flag("--from-start", options->from_start, "Begin with the oldest message kept");
  command->add_option("--max", options->max, "Stop after so many messages (default: never)")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()).description("INT >= 1"))
      ->type_name("N");
  add_duration(*command, "--idle-exit", options->idle_exit, "Stop after this long without a message");
  command->callback([options, &session] { session.run = [options, &session] { return tail(*options, session); }; });
}

}  // namespace lrpc::queue::cli
