// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <fuzzer/FuzzedDataProvider.h>

/// \file
/// A target is one file with a libFuzzer entry (https://llvm.org/docs/LibFuzzer.html). It does not only look for
/// crashes: what a decoder promises is checked with `require`.

namespace lrpc::queue::fuzz {

/// Ends the run, with the input kept, when a promise is broken.
inline void require(bool kept, const char* promise) {
  if (kept) return;
  static_cast<void>(std::fprintf(stderr, "broken: %s\n", promise));
  std::abort();
}

[[nodiscard]] inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace lrpc::queue::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
