// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "close_leaves_nothing.hpp"

namespace lrpc::queue::redis {
namespace {

TEST(Close, D20_leaves_no_connection_and_no_thread) {
  const RedisServer server;
  expect_close_leaves_nothing(server.config());
}

}  // namespace
}  // namespace lrpc::queue::redis
