// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "support/process.hpp"

namespace lrpc::queue::support {

/// A certificate authority with a certificate for "localhost" and 127.0.0.1, made with the openssl program.
class Certificates {
 public:
  Certificates();
  [[nodiscard]] std::string file(const std::string& name) const { return (folder_.path() / name).string(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace lrpc::queue::support
