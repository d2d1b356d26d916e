// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "pipe/pipe_run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include <lrpc/queue/policy.hpp>
#include <lrpc/queue/queue.hpp>

#include "pipe/exec_sink.hpp"
#include "shared/line_reader.hpp"
#include "shared/print_sink.hpp"
#include "shared/watcher.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kName = "pipe";  // of the topic and of the channel
// What may wait between reader and handlers, messages waiting for a retry included.
constexpr std::int64_t kMaxMessages = 10'000;
constexpr std::int64_t kMaxBytes = std::int64_t{64} << 20U;
constexpr Duration kForever = std::chrono::hours(24 * 365);
constexpr Duration kTick{250};

/// The configuration of the queue, and what pipe does by itself.
struct Plan {
  Config config{};
  Duration message_ttl{0};
  Duration handler_timeout{0};
};

/// Tells the flow of messages that the queue gave up by itself. Pipe decides on all others (see ExecSink), so these are
/// only those whose lease ran out too often, as when the process was suspended.
class GaveUp final : public Observer {
 public:
  void set(Flow* flow) noexcept { flow_ = flow; }
  void settled(std::string_view, std::string_view, Outcome outcome, std::size_t messages) override {
    if (outcome == Outcome::dead_lettered) flow_.load()->leave_unknown(static_cast<std::int64_t>(messages));
  }

 private:
  std::atomic<Flow*> flow_{nullptr};
};

Result<Plan> make_plan(const PipeOptions& options, Session& session) {
  Result<Config> loaded = load_config(session.globals, session.console);
  if (!loaded) return std::unexpected(std::move(loaded.error()));
  Config& config = *loaded;
  // On a server two of them would take each other's messages, and one that is killed would leave its own there.
  if (config.storage_type != StorageType::memory) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("pipe publishes and handles in one process, in its memory, and uses no storage \"{}\": say "
                            "--storage memory, or use pub and sub",
                            to_string(config.storage_type)));
  }
  options.handler.apply(config);
  if (Result<void> valid = validate_for_open(config); !valid) return std::unexpected(std::move(valid.error()));
  if (config.overflow == Overflow::drop_oldest) {
    return fail(ErrorCode::invalid_config,
                "pipe loses nothing and waits while the queue is full: overflow must be reject, not drop_oldest");
  }

  Plan plan{.config = std::move(config)};
  // These two end in a record in the dead-letter file or the end of a process, so they are pipe's own work. A body may
  // wait long for its turn: unlike elsewhere it expires only when asked for.
  plan.message_ttl = std::exchange(plan.config.message_ttl, Duration{0}).value_or(Duration{0});
  plan.handler_timeout = std::exchange(plan.config.handler_timeout, Duration{0}).value_or(Duration{0});
  plan.config.dead_letter = true;
  plan.config.dead_letter_limit = std::numeric_limits<std::int64_t>::max();
  // Who reads our output may stall for long; that is no reason to print a body twice.
  if (!options.handler.exec) plan.config.ack_timeout = kForever;
  return plan;
}

/// Publishes one line, waiting while the queue is full.
Result<void> publish(Topic<RawBody>& topic, std::string_view line, bool as_text, PipeState& state) {
  Flow& flow = state.flow();
  while (true) {
    Result<RawBody> body = body_from_line(line, as_text);
    if (!body) return std::unexpected(std::move(body.error()));
    const std::int64_t size = std::ssize(body->bytes);
    if (!flow.enter(size)) return {};
    const std::uint64_t seen = flow.left();
    const Result<std::string> id = topic.pub(std::move(*body));
    if (id) {
      state.published.fetch_add(1, std::memory_order_relaxed);
      return {};
    }
    const bool again = id.error().code == ErrorCode::queue_full && flow.wait_left_beyond(seen);
    flow.leave(size);
    if (!again) return std::unexpected(id.error());
  }
}

/// Reads and publishes until the input ends or a stop is asked for.
void read_all(LineReader& reader, Topic<RawBody>& topic, bool as_text, std::int64_t max_body_size, PipeState& state) {
  while (true) {
    const Result<LineReader::Line> line = reader.next();
    if (!line) return state.note_error(line.error().message);  // what was read is still handled
    switch (line->status) {
      case LineReader::Status::end:
      case LineReader::Status::stopped:
      case LineReader::Status::waiting:  // not of a call that waits
        return;
      case LineReader::Status::too_long:
        state.note_error(fmt::format("{}: not published: {} bytes are more than max_body_size {}", reader.location(),
                                     line->size, max_body_size));
        break;
      case LineReader::Status::line:
        if (const Result<void> published = publish(topic, line->text, as_text, state); !published) {
          const ErrorCode code = published.error().code;
          const std::string text = fmt::format("{}: not published: {}", reader.location(), published.error().message);
          if (code != ErrorCode::codec && code != ErrorCode::body_too_large) return state.stop_for_error(text);
          state.note_error(text);
        }
        break;
    }
  }
}

}  // namespace

double PipeState::rate() const {
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin_;
  return seconds.count() > 0 ? static_cast<double>(handled + dead) / seconds.count() : 0;
}

std::string PipeState::summary(bool json) const {
  if (json) {
    return fmt::format("{{\"published\":{},\"handled\":{},\"retried\":{},\"dead\":{},\"rate\":{:.1f}}}",
                       published.load(), handled.load(), retried.load(), dead.load(), rate());
  }
  return fmt::format("published {} handled {} retried {} dead {} ({:.1f} msg/s)", published.load(), handled.load(),
                     retried.load(), dead.load(), rate());
}

std::string PipeState::progress() const { return fmt::format("{}, {} running", summary(false), running()); }

int run_pipe(const PipeOptions& options, Session& session) {
  const WatchedSignals signals;
  Result<Plan> plan = make_plan(options, session);
  if (!plan) return session.report(plan.error());
  const auto gave_up = std::make_shared<GaveUp>();
  plan->config.observer = gave_up;
  const TopicPolicy topic_policy = resolve(plan->config, TopicConfig{});
  const ChannelPolicy policy = resolve(plan->config, TopicConfig{}, ChannelConfig{});

  PipeState state(session.console, std::min(kMaxMessages, topic_policy.max_msg_size), kMaxBytes);
  gave_up->set(&state.flow());
  Result<Queue> queue = Queue::open(plan->config);
  if (!queue) return session.report(queue.error());
  auto topic = queue->topic<RawBody>(kName);
  if (!topic) return session.report(topic.error());
  auto channel = topic->get_or_add_channel(kName);
  if (!channel) return session.report(channel.error());

  LineReader reader(options.files, static_cast<std::size_t>(topic_policy.max_body_size), state.stop_token());
  if (const Result<void> readable = reader.check_files(); !readable) return session.report(readable.error());
  std::optional<DeadLetterFile> dead_letters;
  if (options.dead_letters) {
    Result<DeadLetterFile> opened = DeadLetterFile::open(*options.dead_letters);
    if (!opened) return session.report(opened.error());
    dead_letters.emplace(std::move(*opened));
  }

  ChildProcesses children(signals.original_mask());
  std::unique_ptr<Sink> sink;
  if (options.handler.exec) {
    sink = std::make_unique<ExecSink>(
        *channel,
        ExecSink::Settings{.policy = policy, .message_ttl = plan->message_ttl, .verbose = session.globals.verbose},
        HandlerCommand(children, *options.handler.exec, kName, plan->handler_timeout), children,
        std::move(dead_letters), state);
  } else {
    sink = std::make_unique<PrintSink>(
        *channel, PrintSink::Settings{}, state,
        [&state](const Message<RawBody>& printed) { state.flow().leave(std::ssize(printed.body().bytes)); });
  }

  const Watcher watcher(signals, {.on_signal =
                                      [&](int signal) {
                                        if (state.stop_for_signal(signal)) {
                                          session.console.error(fmt::format(
                                              "stopping, {} running; a second signal stops at once", state.running()));
                                          return;
                                        }
                                        sink->kill();
                                        session.console.line(state.summary(session.globals.json));
                                        ::_exit(state.exit_code());
                                      },
                                  .on_output_lost = [&] { state.stop_for_lost_output(); },
                                  .on_tick = [&] { session.console.progress(state.progress()); },
                                  .tick = session.console.terminal() ? std::optional(kTick) : std::nullopt});
  if (const Result<void> started = sink->start(); !started) return session.report(started.error());
  read_all(reader, *topic, options.as_text, topic_policy.max_body_size, state);
  state.flow().wait_empty();
  static_cast<void>(sink->finish());
  if (const std::int64_t left = state.flow().inside(); left > 0) {
    session.console.error(fmt::format("{} read but not handled", left));
  }
  if (const Result<void> closed = queue->close(); !closed) state.note_error(closed.error().message);
  session.console.line(state.summary(session.globals.json));
  return state.exit_code();
}

}  // namespace lrpc::queue::cli
