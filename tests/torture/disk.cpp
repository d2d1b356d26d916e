// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "disk.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <stdexcept>
#include <system_error>

namespace lrpc::queue::torture {

void limit_files(pid_t pid, std::optional<std::uint64_t> bytes) {
  rlimit limit{};
  bool ok = ::prlimit(pid, RLIMIT_FSIZE, nullptr, &limit) == 0;
  limit.rlim_cur = std::min<rlim_t>(bytes.value_or(RLIM_INFINITY), limit.rlim_max);
  ok = ok && ::prlimit(pid, RLIMIT_FSIZE, &limit, nullptr) == 0;
  if (!ok) throw std::runtime_error("cannot limit a server's files");
}

std::uint64_t largest_file(const std::filesystem::path& folder, std::string_view extension) {
  std::uint64_t largest = 0;
  // The server makes and removes files meanwhile.
  std::error_code gone;
  for (std::filesystem::recursive_directory_iterator entry(folder, gone), end; entry != end; entry.increment(gone)) {
    if (entry->path().extension() != extension) continue;
    const std::uint64_t size = entry->file_size(gone);
    if (!gone) largest = std::max(largest, size);
  }
  return largest;
}

}  // namespace lrpc::queue::torture
