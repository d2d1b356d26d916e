// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "pipe/print_sink.hpp"

#include <cstddef>
#include <iterator>
#include <stop_token>
#include <string>

namespace lrpc::queue::cli {

namespace {

constexpr std::size_t kBatch = 256;

}  // namespace

Result<void> PrintSink::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  return {};
}

void PrintSink::finish() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void PrintSink::run(const std::stop_token& stop) {
  // The state's stop must not wait for `finish`: an endless input would be printed on.
  std::stop_source both;
  const std::stop_callback own(stop, [&both] { both.request_stop(); });
  const std::stop_callback shared(state_.stop_token(), [&both] { both.request_stop(); });
  while (!both.stop_requested()) {
    auto first = channel_.next(both.get_token());
    if (!first) {
      if (first.error().code != ErrorCode::cancelled) state_.stop_for_error(first.error().message);
      return;
    }
    std::vector<Message<RawJson>> messages;
    messages.push_back(std::move(*first));
    if (auto more = channel_.next_batch(kBatch - 1, Duration{0})) {
      messages.insert(messages.end(), std::move_iterator(more->begin()), std::move_iterator(more->end()));
    }
    if (Result<void> printed = print(messages); !printed) {
      state_.stop_for_error(printed.error().message);
      return;
    }
  }
}

Result<void> PrintSink::print(const std::vector<Message<RawJson>>& messages) {
  std::string lines;
  for (const auto& message : messages) {
    lines += body_text(message.body());
    lines += '\n';
  }
  if (Result<void> written = write_output(lines); !written) return written;
  if (Result<void> acked = channel_.ack(messages); !acked) return acked;
  for (const auto& message : messages) {
    state_.handled.fetch_add(1, std::memory_order_relaxed);
    state_.flow().leave(std::ssize(message.body().json));
  }
  return {};
}

}  // namespace lrpc::queue::cli
