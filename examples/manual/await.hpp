// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

#include <lrpc/queue/channel.hpp>

#include "../must.hpp"

/// Waits for what the snippets of the manual bring about in the background: they do not say when their handlers are
/// done, a program that shows them must know.
template <class Happened>
void await(Happened happened, const char* what) {
  using namespace std::chrono_literals;
  const auto until = std::chrono::steady_clock::now() + 40s;
  while (!happened()) {
    must(std::chrono::steady_clock::now() < until, what);
    std::this_thread::sleep_for(10ms);
  }
}

/// Until the channel's consumers here have acked that many messages.
template <class T>
void await_acked(lrpc::queue::Channel<T>& channel, std::int64_t wanted) {
  await([&] { return must(channel.stats()).acked >= wanted; }, "the messages are acked");
}
