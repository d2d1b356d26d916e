// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lrpc/queue/diagnosis.hpp>

#include "kafka/cluster.hpp"
#include "kafka/judgement.hpp"

namespace lrpc::queue::kafka {

/// Looks at every broker and at the topics of this prefix, for what endangers the promises (docs/kafka.md). Changes
/// nothing. A broker that does not answer, and what a user may not read, are findings.
Result<Diagnosis> diagnose(Cluster& cluster, const Wishes& wishes, SteadyTime deadline);

}  // namespace lrpc::queue::kafka
