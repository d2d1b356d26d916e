// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Publishing in batches (批量发布): all messages of a call or none of them. The consumer takes and acks them as a
// batch, too.

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

struct Event {
  std::string type;
  std::string data;
};

int main() try {
  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<Event>("events", {.max_msg_size = 5}));
  auto channel = must(topic.get_or_add_channel("handler"));

  const std::vector<Event> events = {
      {.type = "e1", .data = "data1"},
      {.type = "e2", .data = "data2"},
      {.type = "e3", .data = "data3"},
  };
  for (const std::string& id : must(topic.pub_batch(events))) std::cout << "published " << id << '\n';

  // Three more would make six, but a channel of this topic holds five: nothing of the batch is enqueued.
  const auto refused = topic.pub_batch(events);
  must(!refused && refused.error().code == queue::ErrorCode::queue_full, "the second batch is refused");
  must(must(channel.depth()) == 3, "a refused batch leaves nothing behind");
  std::cout << "refused: " << refused.error().message << '\n';

  // Returns as soon as one message is there, with all that are ready then, at most ten.
  const auto batch = must(channel.next_batch(10, 1s));
  for (const auto& message : batch) std::cout << "got " << message.body().type << ' ' << message.body().data << '\n';
  must(channel.ack(batch));

  must(batch.size() == 3 && batch[0].body().type == "e1" && batch[2].body().type == "e3", "the batch came in order");
  must(must(channel.depth()) == 0, "everything is acked");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
