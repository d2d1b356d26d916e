// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "rig.hpp"
#include "server.hpp"

namespace lrpc::queue::test {

/// A redis-server of the test's own.
struct RedisRigServer : RigServer {
  RedisRigServer() { options = {"--redis", redis.address()}; }
  redis::RedisServer redis;
};

/// For tests of what is Redis alone.
class RedisRig : public Rig {
 public:
  RedisRig() : RedisRig(new RedisRigServer) {}
  redis::RedisServer& server;

 private:
  explicit RedisRig(RedisRigServer* own) : Rig(std::unique_ptr<RigServer>(own)), server(own->redis) {}
};

}  // namespace lrpc::queue::test
