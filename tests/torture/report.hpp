// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "checker.hpp"

namespace lrpc::queue::torture {

/// The figures in a line.
[[nodiscard]] std::string in_short(const Verdict& verdict);
/// The findings, a line each.
[[nodiscard]] std::string findings_of(const Verdict& verdict);
/// A table of faults and of figures.
[[nodiscard]] std::string table_of(const std::map<std::string, int>& faults, const Verdict& verdict, int rounds);

}  // namespace lrpc::queue::torture
