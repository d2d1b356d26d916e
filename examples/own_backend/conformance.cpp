// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Runs the conformance suite over the journal back end.

#include <gtest/gtest.h>

#include <ostream>
#include <streambuf>
#include <utility>

#include <lrpc/queue/conformance.hpp>

#include "journal_backend.hpp"

namespace {

/// Accepts and forgets everything.
class NullBuffer final : public std::streambuf {
  int_type overflow(int_type c) override { return traits_type::not_eof(c); }
};

}  // namespace

// [begin main]
int main(int argc, char** argv) {
  namespace conformance = lrpc::queue::conformance;
  testing::InitGoogleTest(&argc, argv);

  NullBuffer nowhere;
  std::ostream out(&nowhere);
  conformance::Subject subject;
  subject.open = [&](lrpc::queue::Config config) {
    config.backend_factory = journal_backend(out);
    return lrpc::queue::Queue::open(std::move(config));
  };
  subject.claims.erase(conformance::Capability::typed_bodies);
  conformance::register_suite("journal", subject);
  return RUN_ALL_TESTS();
}
// [end main]
