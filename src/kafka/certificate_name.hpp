// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace lrpc::queue::kafka {

/// Whether a certificate (DER) was made out for a host name or an address.
[[nodiscard]] bool certificate_names(std::span<const unsigned char> certificate, const std::string& name) noexcept;

}  // namespace lrpc::queue::kafka
