// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/backend.hpp>

namespace lrpc::queue {

Result<TailPage> BackendTopic::tail(const std::string& /*channel*/, std::string_view /*cursor*/, std::size_t /*limit*/,
                                    SteadyTime /*deadline*/) {
  return fail(ErrorCode::unsupported, "this back end cannot be read without consuming (tail)");
}

Result<Diagnosis> Backend::diagnose(SteadyTime /*deadline*/) {
  return fail(ErrorCode::unsupported, "this back end has no server to look at (diagnose)");
}

std::string_view to_string(Finding::Level level) noexcept {
  switch (level) {
    case Finding::Level::ok:
      return "ok";
    case Finding::Level::warning:
      return "warning";
    case Finding::Level::error:
      return "error";
  }
  return "unknown";
}

}  // namespace lrpc::queue
