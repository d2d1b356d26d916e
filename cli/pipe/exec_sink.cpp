// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "pipe/exec_sink.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <iterator>

#include <lrpc/queue/clock.hpp>

namespace lrpc::queue::cli {

Result<void> ExecSink::start() {
  auto subscribed = channel_.subscribe([this](Message<RawJson>& message) {
    state_.running.fetch_add(1);
    handle(message);
    state_.running.fetch_sub(1);
    state_.running.notify_all();
  });
  if (!subscribed) return std::unexpected(std::move(subscribed.error()));
  subscription_ = std::move(*subscribed);
  return {};
}

void ExecSink::finish() {
  if (!subscription_->stop()) {
    // close_timeout is over: commands that still run are ended, and their messages count as not handled.
    killed_ = true;
    children_.kill_all();
  }
  for (auto running = state_.running.load(); running != 0; running = state_.running.load()) {
    state_.running.wait(running);
  }
  record_what_the_queue_gave_up();
}

void ExecSink::handle(const Message<RawJson>& message) {
  if (state_.stop_token().stop_requested()) return put_back(message);
  if (expired(message)) return give_up(message, DeadReason::expired, "message_ttl is over");
  const Result<Verdict> verdict = command_.run(message);
  if (!verdict) return could_not_start(message, verdict.error());
  if (verdict->kind == Verdict::Kind::ack) {
    // A failed ack: the lease ran out (the process was suspended), and the message is handed out again.
    if (!channel_.ack(message)) return;
    state_.handled.fetch_add(1);
    state_.flow().leave(std::ssize(message.body().json));
    return;
  }
  if (killed_) return put_back(message);
  if (output_lost()) {  // most likely why the command failed, and so will all others
    state_.stop_for_lost_output();
    return put_back(message);
  }
  fail_delivery(message, {.reject = verdict->kind == Verdict::Kind::reject}, verdict->error);
}

void ExecSink::fail_delivery(const Message<RawJson>& message, const Failure& failure, const std::string& error) {
  constexpr double no_jitter = 0;  // the action does not depend on it, and the queue computes the delay
  const Decision decision = decide_failure(settings_.policy, message.attempts(), failure, no_jitter);
  const bool retry = decision.action == Decision::Action::retry;
  if (settings_.verbose) {
    state_.console().line(fmt::format("lrpc-queue: {} attempt {}: {}: {}", message.id(), message.attempts(), error,
                                      retry ? "will be retried" : "given up"));
  }
  if (!retry) return give_up(message, decision.reason, error);
  if (channel_.nack(message, {.reason = error})) state_.retried.fetch_add(1);
}

void ExecSink::give_up(const Message<RawJson>& message, DeadReason reason, std::string_view error) {
  const bool recorded = record({.id = message.id(),
                                .json_body = message.body().json,
                                .attempts = message.attempts(),
                                .reason = to_string(reason),
                                .error = error,
                                .first_at = message.enqueued_at(),
                                .last_at = std::chrono::system_clock::now()});
  if (!recorded) return put_back(message);
  if (!channel_.ack(message)) return;
  state_.dead.fetch_add(1);
  state_.flow().leave(std::ssize(message.body().json));
}

void ExecSink::put_back(const Message<RawJson>& message) {
  // Should that fail, the lease ends it: either way the message stays in the channel and counts as not handled.
  static_cast<void>(channel_.nack(message, {.skip_attempts = true}));
}

void ExecSink::could_not_start(const Message<RawJson>& message, const Error& error) {
  if (!error.retryable) {
    if (!killed_) state_.stop_for_error(error.message);
  } else if (!shortage_told_.exchange(true)) {
    state_.console().error(fmt::format("{}: trying again (fewer --concurrency may help)", error.message));
  }
  put_back(message);
}

bool ExecSink::expired(const Message<RawJson>& message) const {
  const auto enqueued_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(message.enqueued_at().time_since_epoch()).count();
  const std::int64_t expires_at = expiry_after(enqueued_ms, settings_.message_ttl);
  return expires_at != 0 && system_clock()->now().wall_s() >= expires_at;
}

bool ExecSink::record(const DeadLetterRecord& letter) {
  if (!file_) return true;
  const std::string line = to_json_line(letter);
  const Result<void> written = file_->append(line);
  if (written) return true;
  state_.stop_for_error(written.error().message);
  state_.console().error("this dead letter could not be written:");
  state_.console().line(std::string_view(line).substr(0, line.size() - 1));
  return false;
}

void ExecSink::record_what_the_queue_gave_up() {
  std::string cursor;
  do {
    auto page = channel_.dead_letters(1'000, cursor);
    if (!page) return state_.stop_for_error(page.error().message);
    for (const auto& letter : page->items) {
      state_.dead.fetch_add(1);
      static_cast<void>(record({.id = letter.id,
                                .json_body = letter.message ? std::string_view(letter.message->body().json) : "null",
                                .attempts = letter.attempts,
                                .reason = letter.reason,
                                .error = letter.error,
                                .first_at = letter.first_at,
                                .last_at = letter.last_at}));
    }
    cursor = std::move(page->cursor);
  } while (!cursor.empty());
}

}  // namespace lrpc::queue::cli
