// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/print_sink.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "shared/console.hpp"
#include "shared/records.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr std::size_t kBatch = 256;

/// Whether an ack failed for what passes: the messages come again.
bool passes(ErrorCode code) noexcept {
  return code == ErrorCode::message_not_found || code == ErrorCode::unavailable || code == ErrorCode::outcome_unknown ||
         code == ErrorCode::timeout;
}

}  // namespace

Result<void> PrintSink::start() {
  if (settings_.renew_every > Duration{0}) keeper_.emplace(channel_, settings_.renew_every);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  return {};
}

bool PrintSink::finish() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  return true;
}

std::size_t PrintSink::room() const {
  if (!settings_.max) return kBatch;
  return static_cast<std::size_t>(std::clamp<std::int64_t>(*settings_.max - state_.handled, 0, kBatch));
}

void PrintSink::run(const std::stop_token& stop) {
  // The state's stop must not wait for `finish`: an endless input would be printed on.
  std::stop_source both;
  const std::stop_callback own(stop, [&both] { both.request_stop(); });
  const std::stop_callback shared(state_.stop_token(), [&both] { both.request_stop(); });
  while (!both.stop_requested()) {
    const std::size_t most = room();
    if (most == 0) return state_.stop();
    auto first = channel_.next(both.get_token());
    if (!first) {
      if (first.error().code != ErrorCode::cancelled) state_.stop_for_error(first.error().message);
      return;
    }
    state_.begin_message();
    std::vector<Message<RawBody>> messages;
    messages.push_back(std::move(*first));
    if (most > 1) {
      if (auto more = channel_.next_batch(most - 1, Duration{0})) {
        messages.insert(messages.end(), std::move_iterator(more->begin()), std::move_iterator(more->end()));
      }
    }
    const Result<void> printed = print(messages);
    state_.end_message();
    if (!printed) return state_.stop_for_error(printed.error().message);
  }
}

Result<void> PrintSink::print(const std::vector<Message<RawBody>>& messages) {
  if (Result<void> written = write(messages); !written) return written;
  Result<void> acked = channel_.ack(messages);
  if (!acked) {
    if (!settings_.acks_may_fail || !passes(acked.error().code)) return acked;
    state_.handled.fetch_add(std::ssize(acked.error().accepted));
    state_.console().error(acked.error().message + "; printed messages may come again");
    return {};
  }
  state_.handled.fetch_add(std::ssize(messages));
  if (on_acked_) std::ranges::for_each(messages, on_acked_);
  return {};
}

Result<void> PrintSink::write(const std::vector<Message<RawBody>>& messages) {
  if (keeper_) keeper_->hold(messages);
  std::string lines;
  for (const Message<RawBody>& message : messages) lines += to_line(message, settings_.json);
  Result<void> written = write_output(lines);
  if (keeper_) keeper_->release();
  return written;
}

}  // namespace lrpc::queue::cli
