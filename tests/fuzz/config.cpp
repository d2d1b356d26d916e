// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Configuration files: each is refused with a reason, or read; durations are read back as they are shown.
#include <string>

#include "config/bind.hpp"
#include "config/document.hpp"
#include "config/duration.hpp"
#include "fuzz.hpp"

using namespace lrpc::queue;
using namespace lrpc::queue::config_impl;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = fuzz::text_of(data + 1, size - 1);
  if (data[0] % 4 == 3) {
    if (const auto duration = parse_duration(text)) {
      fuzz::require(parse_duration(format_duration(*duration)) == duration, "a duration is read as it is shown");
    }
    return 0;
  }
  const auto tree = parse_document(static_cast<Format>(data[0] % 4), text, "file");
  if (!tree) {
    fuzz::require(tree.error().code == ErrorCode::invalid_config && !tree.error().message.empty(),
                  "an error says what is wrong");
    return 0;
  }
  Config config;
  const auto bound = bind_section({Origin::file, "file"}, "", *tree, config);
  if (!bound) {
    fuzz::require(bound.error().code == ErrorCode::invalid_config && !bound.error().message.empty(),
                  "an error says what is wrong");
    return 0;
  }
  if (const auto valid = validate(config); !valid) {
    fuzz::require(!valid.error().message.empty(), "an error says what is wrong");
  }
  return 0;
}
