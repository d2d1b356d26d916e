// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a record and a partition may go through at a consumer, all of which has to happen.
#include "kafka_model.hpp"

namespace lrpc::queue::simulation {

Coverage shelf_coverage("a record on a shelf",
                        {"unread", "ready", "out", "early", "waiting", "away", "moving", "settled"},
                        {"ingest",    "foresee",       "pass",      "mature",        "refill", "gone",       "hand_out",
                         "take_back", "give_back",     "expire",    "keep",          "settle", "begin_move", "moved",
                         "not_moved", "begin_rewrite", "rewritten", "not_rewritten", "drop",   "skip",       "forget"},
                        {{"unread", "ingest", "ready"},        {"unread", "ingest", "early"},
                         {"unread", "ingest", "waiting"},      {"unread", "foresee", "ready"},
                         {"unread", "foresee", "waiting"},     {"unread", "pass", "settled"},
                         {"unread", "skip", "settled"},        {"ready", "hand_out", "out"},
                         {"ready", "drop", "settled"},         {"ready", "forget", "unread"},
                         {"out", "take_back", "ready"},        {"out", "give_back", "ready"},
                         {"out", "expire", "ready"},           {"out", "keep", "out"},
                         {"out", "settle", "settled"},         {"out", "begin_move", "moving"},
                         {"out", "forget", "unread"},          {"early", "begin_move", "moving"},
                         {"early", "drop", "settled"},         {"early", "forget", "unread"},
                         {"waiting", "mature", "ready"},       {"waiting", "mature", "away"},
                         {"waiting", "begin_rewrite", "away"}, {"waiting", "drop", "settled"},
                         {"waiting", "forget", "unread"},      {"away", "refill", "ready"},
                         {"away", "gone", "settled"},          {"away", "rewritten", "settled"},
                         {"away", "not_rewritten", "waiting"}, {"away", "drop", "settled"},
                         {"away", "forget", "unread"},         {"moving", "moved", "settled"},
                         {"moving", "not_moved", "out"},       {"moving", "not_moved", "early"},
                         {"moving", "forget", "unread"}});
Coverage partition_coverage("a partition at a consumer", {"none", "ours", "suspended"},
                            {"assign", "resume", "begin_anew", "suspend", "forget", "relocate", "crash"},
                            {{"none", "assign", "ours"},
                             {"none", "begin_anew", "ours", true},
                             {"ours", "begin_anew", "ours"},
                             {"ours", "suspend", "suspended"},
                             {"ours", "relocate", "ours"},
                             {"ours", "crash", "none"},
                             {"suspended", "assign", "ours"},
                             {"suspended", "resume", "ours"},
                             {"suspended", "begin_anew", "ours", true},
                             {"suspended", "forget", "none"},
                             {"suspended", "crash", "none"}});

}  // namespace lrpc::queue::simulation
