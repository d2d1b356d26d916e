// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Interceptors and the observer. The interceptor carries a trace id through the queue in a header: what a handler
// publishes belongs to the trace of the message that it handles. The observer counts, as an export to a metrics system
// would.

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <iostream>
#include <latch>
#include <memory>
#include <string>
#include <string_view>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;

/// The trace of what this thread is doing, as a tracing library keeps it.
thread_local std::string current_trace;

class Tracing final : public queue::Interceptor {
 public:
  using Publish = std::function<queue::Result<void>()>;
  using Handle = std::function<queue::Result<queue::ProcessRsp>()>;

  queue::Result<void> publish(const queue::PublishCall& call, const Publish& next) override {
    for (queue::MessageView& message : call.messages) message.set_header("trace-id", current_trace);
    return next();  // or refuse: return queue::fail(...)
  }
  queue::Result<queue::ProcessRsp> handle(const queue::HandleCall& call, const Handle& next) override {
    const queue::Headers& headers = call.message.headers();
    const auto trace = headers.find("trace-id");
    current_trace = trace == headers.end() ? "" : trace->second;
    return next();
  }
};

/// Called in the middle of the work, from many threads: counts and nothing more.
class Counters final : public queue::Observer {
 public:
  void published(std::string_view /*topic*/, std::size_t messages, const queue::Error* error,
                 std::chrono::nanoseconds /*took*/) override {
    if (error == nullptr) published_ += messages;
  }
  void settled(std::string_view /*topic*/, std::string_view /*channel*/, queue::Outcome outcome,
               std::size_t messages) override {
    if (outcome == queue::Outcome::acked) acked_ += messages;
  }
  [[nodiscard]] std::size_t published_messages() const { return published_; }
  [[nodiscard]] std::size_t acked_messages() const { return acked_; }

 private:
  std::atomic<std::size_t> published_ = 0;
  std::atomic<std::size_t> acked_ = 0;
};

int main() try {
  std::latch sent(1);
  std::string trace_of_mail;
  const auto counters = std::make_shared<Counters>();

  auto q = must(queue::Queue::open({.interceptors = {std::make_shared<Tracing>()}, .observer = counters}));
  auto orders = must(q.topic<std::string>("orders"));
  auto mails = must(q.topic<std::string>("mails"));

  must(must(orders.get_or_add_channel("shop")).subscribe([&](queue::Message<std::string>& order) {
    must(mails.pub("we got your order of " + order.body()));  // throwing here would retry the order
  }));
  must(must(mails.get_or_add_channel("sender")).subscribe([&](queue::Message<std::string>& mail) {
    trace_of_mail = current_trace;
    std::cout << mail.body() << " [trace " << trace_of_mail << "]\n";
    sent.count_down();
  }));

  current_trace = "4bf92f35";
  must(orders.pub("a book"));
  sent.wait();
  must(q.close());

  must(trace_of_mail == "4bf92f35", "the trace goes from the order to the mail");
  std::cout << "published " << counters->published_messages() << ", acked " << counters->acked_messages() << '\n';
  must(counters->published_messages() == 2 && counters->acked_messages() == 2, "the observer saw both messages");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
