// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "pub/pub_run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include <lrpc/queue/policy.hpp>

#include "shared/line_reader.hpp"
#include "shared/raw_body.hpp"
#include "shared/remote.hpp"
#include "shared/run_state.hpp"
#include "shared/watcher.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr std::int64_t kBatchBytes = std::int64_t{1} << 20U;  // many small bodies profit, large ones need no batch

Result<PubOptions> publish_options(const PubCommandOptions& options) {
  PubOptions result{.delay = options.delay, .key = options.key, .expires = options.ttl};
  for (const std::string& header : options.headers) {
    const std::size_t equals = header.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return fail(ErrorCode::invalid_argument, fmt::format("--header: \"{}\" is not NAME=VALUE", header));
    }
    result.headers.insert_or_assign(header.substr(0, equals), header.substr(equals + 1));
  }
  return result;
}

/// Publishes bodies in batches and prints their ids.
class Publisher {
 public:
  struct Settings {
    PubOptions publish{};
    std::int64_t max_body_size = 0;
    std::size_t batch = 1;
    bool as_text = false;
    bool json = false;
  };
  Publisher(Topic<RawBody> topic, Settings settings, RunState& state)
      : topic_(std::move(topic)), settings_(std::move(settings)), state_(state) {}

  /// Takes a body for the next batch, publishing it when it is full. `where`: what to call the body in errors.
  void add(std::string_view text, const std::string& where) {
    Result<RawBody> body = body_from_line(text, settings_.as_text);
    if (!body) return pass_over(where, body.error().message);
    if (const std::int64_t size = std::ssize(body->bytes); size > settings_.max_body_size) {
      return too_long(where, size);
    }
    if (pending_.empty()) first_ = where;
    last_ = where;
    bytes_ += std::ssize(body->bytes);
    pending_.push_back(std::move(*body));
    if (pending_.size() >= settings_.batch || bytes_ >= kBatchBytes) publish();
  }

  void too_long(const std::string& where, std::int64_t size) {
    pass_over(where, fmt::format("{} bytes are more than max_body_size {}", size, settings_.max_body_size));
  }

  [[nodiscard]] bool has_pending() const noexcept { return !pending_.empty(); }

  /// Publishes what was added; an error stops the run.
  void publish() {
    if (pending_.empty()) return;
    const std::size_t count = pending_.size();
    Result<std::vector<std::string>> ids = topic_.pub_batch(std::exchange(pending_, {}), settings_.publish);
    bytes_ = 0;
    const std::vector<std::string>& accepted = ids ? *ids : ids.error().accepted;
    if (const Result<void> printed = print(accepted); !printed) state_.stop_for_error(printed.error().message);
    if (ids) return;
    std::string where = first_ == last_ ? first_ : fmt::format("{} to {}", first_, last_);
    if (!accepted.empty()) where += fmt::format(" ({} of {} were accepted)", accepted.size(), count);
    const char* const what = ids.error().code == ErrorCode::outcome_unknown ? "perhaps not published" : "not published";
    state_.stop_for_error(fmt::format("{}: {}: {}", where, what, ids.error().message), exit_code_of(ids.error().code));
  }

 private:
  void pass_over(const std::string& where, std::string_view why) {
    state_.note_error(fmt::format("{}: not published: {}", where, why));
  }

  [[nodiscard]] Result<void> print(const std::vector<std::string>& ids) const {
    std::string lines;
    for (const std::string& id : ids) {
      lines += settings_.json ? fmt::format("{{\"id\":{}}}\n", json_quoted(id)) : id + '\n';
    }
    return write_output(lines);
  }

  Topic<RawBody> topic_;
  const Settings settings_;
  RunState& state_;
  std::vector<RawBody> pending_;
  std::int64_t bytes_ = 0;
  std::string first_;  // where the first of them came from
  std::string last_;
};

void publish_arguments(const std::vector<std::string>& bodies, Publisher& publisher, RunState& state) {
  for (std::size_t i = 0; i < bodies.size() && !state.stop_token().stop_requested(); ++i) {
    publisher.add(bodies[i], fmt::format("BODY {}", i + 1));
  }
}

void publish_lines(LineReader& reader, Publisher& publisher, RunState& state) {
  while (!state.stop_token().stop_requested()) {
    // Only an empty batch may wait: what was read is published as it arrives.
    const Result<LineReader::Line> line = publisher.has_pending() ? reader.next_ready() : reader.next();
    if (!line) return state.note_error(line.error().message);
    switch (line->status) {
      case LineReader::Status::end:
      case LineReader::Status::stopped:
        return;
      case LineReader::Status::waiting:
        publisher.publish();
        break;
      case LineReader::Status::too_long:
        publisher.too_long(reader.location(), static_cast<std::int64_t>(line->size));
        break;
      case LineReader::Status::line:
        publisher.add(line->text, reader.location());
        break;
    }
  }
}

}  // namespace

int run_pub(const PubCommandOptions& options, Session& session) {
  const WatchedSignals signals;
  Result<PubOptions> publish = publish_options(options);
  if (!publish) return session.report(publish.error());
  const Result<Config> config = remote_config(session, "pub");
  if (!config) return session.report(config.error());
  const Result<RemoteTopic> remote = open_remote(*config, options.topic);
  if (!remote) return session.report(remote.error());

  RunState state(session.console);
  const Watcher watcher(signals, {.on_signal =
                                      [&state](int signal) {
                                        if (!state.stop_for_signal(signal)) ::_exit(state.exit_code());
                                      },
                                  .on_output_lost = [&state] { state.stop_for_lost_output(); },
                                  .on_tick = {},
                                  .tick = std::nullopt});
  const std::int64_t max_body_size = resolve(*config, TopicConfig{}).max_body_size;
  Publisher publisher(remote->topic,
                      {.publish = std::move(*publish),
                       .max_body_size = max_body_size,
                       .batch = static_cast<std::size_t>(options.batch),
                       .as_text = options.as_text,
                       .json = session.globals.json},
                      state);
  if (options.bodies.empty()) {
    LineReader reader({}, static_cast<std::size_t>(max_body_size), state.stop_token());
    publish_lines(reader, publisher, state);
  } else {
    publish_arguments(options.bodies, publisher, state);
  }
  publisher.publish();
  return state.exit_code();
}

}  // namespace lrpc::queue::cli
