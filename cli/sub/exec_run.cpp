// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "sub/exec_run.hpp"

#include <fmt/format.h>

namespace lrpc::queue::cli {

Result<void> ExecRun::start() {
  auto subscribed = channel_.subscribe([this](Message<RawBody>& message) {
    state_.begin_message();
    ProcessRsp answer = handle(message);
    state_.end_message();
    return answer;
  });
  if (!subscribed) return std::unexpected(std::move(subscribed.error()));
  subscription_ = std::move(*subscribed);
  ending_ = std::jthread([this] { watch(); });
  return {};
}

bool ExecRun::finish() { return handler_.finish(*subscription_); }

void ExecRun::watch() {
  if (!subscription_->wait(state_.stop_token()) || state_.stop_token().stop_requested()) return;
  const auto why = channel_.depth();
  state_.stop_for_error(why ? "the subscription has ended" : why.error().message);
}

ProcessRsp ExecRun::handle(const Message<RawBody>& message) {
  // Others may take at once what came here by a hair's breadth after the stop.
  if (state_.stop_token().stop_requested() || !take_turn()) {
    return {.retry = true, .skip_attempts = true, .retry_after = Duration{0}};
  }
  Verdict verdict = handler_.handle(message);
  end_turn(verdict.kind != Verdict::Kind::put_back);
  if (verbose_ && !verdict.error.empty()) {
    state_.console().line(
        fmt::format("lrpc-queue: {} attempt {}: {}", message.id(), message.attempts(), verdict.error));
  }
  switch (verdict.kind) {
    case Verdict::Kind::ack:
      break;
    case Verdict::Kind::retry:
      return {.retry = true, .reason = std::move(verdict.error)};
    case Verdict::Kind::reject:
      return {.dead_letter = true, .reason = std::move(verdict.error)};
    case Verdict::Kind::put_back:
      return {.retry = true, .skip_attempts = true};
  }
  return {};
}

bool ExecRun::take_turn() {
  const std::lock_guard lock(mutex_);
  if (!left_) return true;
  if (*left_ == 0) return false;
  ++open_turns_;
  if (--*left_ == 0) static_cast<void>(channel_.pause());
  return true;
}

void ExecRun::end_turn(bool settled) {
  const std::lock_guard lock(mutex_);
  if (!left_) return;
  --open_turns_;
  if (!settled && ++*left_ == 1) static_cast<void>(channel_.resume());
  if (*left_ == 0 && open_turns_ == 0) state_.stop();
}

}  // namespace lrpc::queue::cli
