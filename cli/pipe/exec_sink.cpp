// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "pipe/exec_sink.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <iterator>

#include <lrpc/queue/clock.hpp>

namespace lrpc::queue::cli {

Result<void> ExecSink::start() {
  auto subscribed = channel_.subscribe([this](Message<RawBody>& message) {
    state_.begin_message();
    handle(message);
    state_.end_message();
  });
  if (!subscribed) return std::unexpected(std::move(subscribed.error()));
  subscription_ = std::move(*subscribed);
  return {};
}

bool ExecSink::finish() {
  const bool drained = handler_.finish(*subscription_);
  record_what_the_queue_gave_up();
  return drained;
}

void ExecSink::handle(const Message<RawBody>& message) {
  if (state_.stop_token().stop_requested()) return put_back(message);
  if (expired(message)) return give_up(message, DeadReason::expired, "message_ttl is over");
  const Verdict verdict = handler_.handle(message);
  switch (verdict.kind) {
    case Verdict::Kind::ack:
      // A failed ack: the lease ran out (the process was suspended), and the message is handed out again.
      if (!channel_.ack(message)) return;
      state_.handled.fetch_add(1);
      return state_.flow().leave(std::ssize(message.body().bytes));
    case Verdict::Kind::put_back:
      return put_back(message);
    case Verdict::Kind::retry:
    case Verdict::Kind::reject:
      return fail_delivery(message, {.reject = verdict.kind == Verdict::Kind::reject}, verdict.error);
  }
}

void ExecSink::fail_delivery(const Message<RawBody>& message, const Failure& failure, const std::string& error) {
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

void ExecSink::give_up(const Message<RawBody>& message, DeadReason reason, std::string_view error) {
  const bool recorded = record({.id = message.id(),
                                .body = message.body().bytes,
                                .attempts = message.attempts(),
                                .reason = to_string(reason),
                                .error = error,
                                .first_at = message.enqueued_at(),
                                .last_at = std::chrono::system_clock::now()});
  if (!recorded) return put_back(message);
  if (!channel_.ack(message)) return;
  state_.dead.fetch_add(1);
  state_.flow().leave(std::ssize(message.body().bytes));
}

void ExecSink::put_back(const Message<RawBody>& message) {
  // Should that fail, the lease ends it: either way the message stays in the channel and counts as not handled.
  static_cast<void>(channel_.nack(message, {.skip_attempts = true}));
}

bool ExecSink::expired(const Message<RawBody>& message) const {
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
    for (const DeadLetter<RawBody>& letter : page->items) {
      state_.dead.fetch_add(1);
      static_cast<void>(record(record_of(letter)));
    }
    cursor = std::move(page->cursor);
  } while (!cursor.empty());
}

}  // namespace lrpc::queue::cli
