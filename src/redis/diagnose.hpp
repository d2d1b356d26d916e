// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lrpc/queue/diagnosis.hpp>

#include "redis/router.hpp"

namespace lrpc::queue::redis {

/// Looks at every server that holds keys, for what endangers the promises (docs/redis.md). Changes nothing. What a user
/// may not read is a finding.
Result<Diagnosis> diagnose(Router& router, SteadyTime deadline);

}  // namespace lrpc::queue::redis
