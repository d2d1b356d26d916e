// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The quick start on memory (内存队列). What stands between begin and end is shown in docs/manual.zh.md, word for word
// (tests/documents); parts of one name are shown as one.

#include <exception>

#include "../must.hpp"
#include "await.hpp"

// [begin memory]
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>

namespace queue = lrpc::queue;

struct MyMessage {
  std::string content;
};
// [end memory]

int main() try {
  // [begin memory]
  auto q = queue::Queue::open({.storage_type = queue::StorageType::memory}).value();

  auto topic = q.topic<MyMessage>("events").value();
  auto ch = topic.get_or_add_channel("handlers").value();

  // 发布消息
  auto id = topic.pub(MyMessage{.content = "hello"}).value();

  // 订阅消息：subscribe 立即返回，处理函数在库的线程中运行
  auto handler = [](queue::Message<MyMessage>& msg) -> queue::ProcessRsp {
    std::cout << msg.body().content << '\n';
    return {.retry = false};
  };
  auto sub = ch.subscribe(handler).value();
  // [end memory]
  await_acked(ch, 1);
  must(q.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
