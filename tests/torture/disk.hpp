// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace lrpc::queue::torture {

/// No file of a process may grow beyond so many bytes, as on a disk that is full; unset = any. Its writes beyond that
/// fail, if it does not die of SIGXFSZ. Needs no rights over a process of the own user. Throws std::runtime_error when
/// it cannot.
void limit_files(pid_t pid, std::optional<std::uint64_t> bytes);
/// The size of a folder's largest file with this extension.
[[nodiscard]] std::uint64_t largest_file(const std::filesystem::path& folder, std::string_view extension);

}  // namespace lrpc::queue::torture
