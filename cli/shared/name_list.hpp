// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace lrpc::queue::cli {

/// One name a line.
[[nodiscard]] std::string lines(std::span<const std::string> names);
/// `["a","b"]`.
[[nodiscard]] std::string json_array(std::span<const std::string> names);

}  // namespace lrpc::queue::cli
