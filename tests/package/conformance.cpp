// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The program of somebody who wrote a back end: a part of the conformance suite over it (here: the memory back end).
#include <cstdio>
#include <string_view>

#include <gtest/gtest.h>
#include <lrpc/queue.hpp>
#include <lrpc/queue/conformance.hpp>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  lrpc::queue::conformance::Subject subject;
  subject.open = [](lrpc::queue::Config overlay) { return lrpc::queue::Queue::open(std::move(overlay)); };
  const auto only_d6 = [](std::string_view test) { return test.starts_with("D6"); };
  if (lrpc::queue::conformance::register_suite("memory", subject, only_d6) == 0) {
    std::fprintf(stderr, "conformance: no test was registered\n");
    return 1;
  }
  return RUN_ALL_TESTS();
}
