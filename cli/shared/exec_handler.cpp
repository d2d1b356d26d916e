// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/exec_handler.hpp"

#include <fmt/format.h>

#include "shared/console.hpp"

namespace lrpc::queue::cli {

Verdict ExecHandler::handle(const Message<RawBody>& message) {
  Result<Verdict> verdict = command_.run(message);
  if (!verdict) return could_not_start(verdict.error());
  if (verdict->kind == Verdict::Kind::ack) return *verdict;
  if (killed_) return {.kind = Verdict::Kind::put_back};
  if (output_lost()) {  // most likely why the command failed, and so will all others
    state_.stop_for_lost_output();
    return {.kind = Verdict::Kind::put_back};
  }
  return std::move(*verdict);
}

Verdict ExecHandler::could_not_start(const Error& error) {
  if (!error.retryable) {
    if (!killed_) state_.stop_for_error(error.message);
  } else if (!shortage_told_.exchange(true)) {
    state_.console().error(fmt::format("{}: trying again (fewer --concurrency may help)", error.message));
  }
  return {.kind = Verdict::Kind::put_back};
}

bool ExecHandler::finish(Subscription& subscription) {
  const bool drained = subscription.stop().has_value();
  if (!drained) kill();  // their messages count as not handled
  state_.wait_idle();
  return drained;
}

void ExecHandler::kill() noexcept {
  killed_ = true;
  children_.kill_all();
}

}  // namespace lrpc::queue::cli
