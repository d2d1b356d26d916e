// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "sub/sub_run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lrpc/queue/hooks.hpp>
#include <lrpc/queue/policy.hpp>

#include "shared/print_sink.hpp"
#include "shared/run_state.hpp"
#include "shared/watcher.hpp"
#include "sub/exec_run.hpp"

namespace lrpc::queue::cli {

namespace {

/// Counts what becomes of the deliveries of a subscription.
class Counter final : public Observer {
 public:
  explicit Counter(RunState& state) : state_(state) {}
  void settled(std::string_view, std::string_view, Outcome outcome, std::size_t messages) override {
    const auto count = static_cast<std::int64_t>(messages);
    if (outcome == Outcome::acked) state_.handled += count;
    if (outcome == Outcome::retried) state_.retried += count;
    if (outcome == Outcome::dead_lettered || outcome == Outcome::dropped) state_.dead += count;
  }

 private:
  RunState& state_;
};

std::string summary(const RunState& state, bool json) {
  const auto form = fmt::runtime(json ? R"({{"handled":{},"retried":{},"dead":{}}})" : "handled {} retried {} dead {}");
  return fmt::format(form, state.handled.load(), state.retried.load(), state.dead.load());
}

/// The configuration of the queue, and what sub does by itself.
struct Plan {
  Config config{};
  Duration handler_timeout{0};
};

Result<Plan> make_plan(const SubOptions& options, Session& session, RunState& state) {
  Result<Config> config = remote_config(session, "sub");
  if (!config) return std::unexpected(std::move(config.error()));
  options.handler.apply(*config);
  if (options.handler.exec) {
    config->observer = std::make_shared<Counter>(state);
    if (options.max) {  // the last ones must not be taken by too many at once
      const auto most =
          std::min<std::int64_t>(*options.max, resolve(*config, TopicConfig{}, ChannelConfig{}).max_in_flight);
      config->max_in_flight = static_cast<int>(most);
    }
  }
  if (Result<void> valid = validate_for_open(*config); !valid) return std::unexpected(std::move(valid.error()));
  Plan plan{.config = std::move(*config)};
  // Ending the process is our own work.
  plan.handler_timeout = std::exchange(plan.config.handler_timeout, Duration{0}).value_or(Duration{0});
  return plan;
}

PrintSink::Settings print_settings(const SubOptions& options, const Plan& plan, const Session& session) {
  const Duration lease = resolve(plan.config, TopicConfig{}, ChannelConfig{}).ack_timeout;
  return {.json = session.globals.json,
          .max = options.max,
          .renew_every = std::max(lease / 3, Duration{1}),
          .acks_may_fail = true};
}

}  // namespace

int run_sub(const SubOptions& options, Session& session) {
  const WatchedSignals signals;
  RunState state(session.console);
  const Result<Plan> plan = make_plan(options, session, state);
  if (!plan) return session.report(plan.error());
  Result<RemoteTopic> remote = open_remote(plan->config, options.name.topic, options.name.channel);
  if (!remote) return session.report(remote.error());
  auto channel = remote->topic.get_or_add_channel(options.name.channel);
  if (!channel) return session.report(channel.error());

  ChildProcesses children(signals.original_mask());
  std::unique_ptr<Sink> sink;
  if (options.handler.exec) {
    HandlerCommand command(children, *options.handler.exec, options.name.topic, plan->handler_timeout);
    sink =
        std::make_unique<ExecRun>(*channel, std::move(command), children, options.max, session.globals.verbose, state);
  } else {
    sink = std::make_unique<PrintSink>(*channel, print_settings(options, *plan, session), state);
  }
  const Watcher watcher(signals, {.on_signal =
                                      [&](int signal) {
                                        const auto running = state.running();
                                        if (!state.stop_for_signal(signal)) {
                                          sink->kill();
                                          ::_exit(state.exit_code());
                                        }
                                        if (running == 0) return;
                                        session.console.error(fmt::format(
                                            "stopping, {} running; a second signal stops at once", running));
                                      },
                                  .on_output_lost = [&state] { state.stop_for_lost_output(); },
                                  .on_tick = {},
                                  .tick = std::nullopt});
  if (const Result<void> started = sink->start(); !started) return session.report(started.error());
  if (!state.wait_stop(options.idle_exit)) state.stop();
  const bool drained = sink->finish();
  if (const Result<void> closed = remote->queue.close(); !closed) state.note_error(closed.error().message);
  if (session.globals.verbose) session.console.line(summary(state, session.globals.json));
  // Without --max a signal is the way to end it.
  return drained && !options.max ? state.error_code() : state.exit_code();
}

}  // namespace lrpc::queue::cli
