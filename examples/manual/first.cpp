// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The first program of README.md, which shows what stands between begin and end, word for word (tests/documents).

#include <thread>

#include "await.hpp"

// clang-format off
// [begin program]
#include <iostream>
#include <lrpc/queue.hpp>
using namespace lrpc::queue;

struct Login { std::string user; int tries; };
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Login, user, tries)                 // as JSON, on Redis and Kafka

int main() {
  auto q     = Queue::open({.max_retries = 3}).value();
  auto topic = q.topic<Login>("logins").value();
  auto audit = topic.get_or_add_channel("audit").value();
  auto sub   = audit.subscribe([](Message<Login>& m) -> ProcessRsp {
    std::cout << m.body().user << ", attempt " << m.attempts() << std::endl;
    return {.retry = m.attempts() == 1};                               // comes again after 1 s; the 4th failure makes a dead letter
  }).value();
  auto id    = topic.pub({"ada", 1}, {.key = "ada"}).value();          // every channel of "logins" gets it
  // [end program]
  // Ctrl-C, as the reader's own would be.
  const std::jthread reader([&] {
    await_acked(audit, 1);
    must(q.close());
  });
  // [begin program]
  return sub.wait() ? 0 : 1;                                           // until the channel closes, or Ctrl-C
}
// [end program]
// clang-format on
