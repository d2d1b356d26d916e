// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace lrpc::queue {

/// The version of the compiled library, "major.minor.patch".
[[nodiscard]] std::string_view version() noexcept;

}  // namespace lrpc::queue
