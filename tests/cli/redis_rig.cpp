// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis_rig.hpp"

namespace lrpc::queue::test {

std::unique_ptr<RigServer> start_server() { return std::make_unique<RedisRigServer>(); }

std::vector<std::string> nobody() { return {"--redis", "127.0.0.1:" + std::to_string(redis::free_port())}; }

}  // namespace lrpc::queue::test
