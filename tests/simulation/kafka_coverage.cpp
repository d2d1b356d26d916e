// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a record and a partition may go through at a consumer, all of which has to happen.
#include "kafka_model.hpp"

namespace lrpc::queue::simulation {

Coverage shelf_coverage("a record on a shelf",
                        {"unread", "ready", "out", "early", "waiting", "away", "moving", "settled"},
                        {"ingest", "foresee", "pass", "mature", "refill", "gone", "hand_out", "take_back", "give_back",
                         "expire", "keep", "settle", "begin_move", "moved", "not_moved", "begin_rewrite", "rewritten",
                         "not_rewritten", "drop", "skip", "forget"},
                        {});
Coverage partition_coverage("a partition at a consumer", {"none", "ours", "suspended"},
                            {"assign", "resume", "begin_anew", "suspend", "forget", "relocate", "crash"}, {});

}  // namespace lrpc::queue::simulation
