// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include <lrpc/queue/backend.hpp>

namespace lrpc::queue::kafka {

/// Destroys a client with what its callbacks need, and waits for it until `deadline`; a destructor that takes longer is
/// left to end by itself. librdkafka's waits for a commit that its coordinator has not answered, where that is away up
/// to session.timeout.ms, and closing must not (D21).
template <class T>
void dismiss(std::unique_ptr<T> object, SteadyTime deadline) {
  if (!object) return;
  std::packaged_task<void()> task([&object = *object.get()] { std::default_delete<T>()(&object); });
  std::future<void> ended = task.get_future();
  try {
    std::thread thread(std::move(task));
    static_cast<void>(object.release());  // the thread's now
    if (ended.wait_until(deadline) == std::future_status::ready) {
      thread.join();
    } else {
      thread.detach();
    }
  } catch (const std::system_error&) {  // no thread to be had: here, then
  }
}

}  // namespace lrpc::queue::kafka
