// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

namespace lrpc::queue::support {

/// The main program of "`name` COMMAND [ARGUMENT...]", which runs a command beside a server of its own: `serve` starts
/// that, calls what it is given with the server's address, and ends it. The command finds the address in the
/// environment under `variable`. Returns its exit code; 2 for a wrong use or when it could not be run.
int run_beside(int argc, char** argv, const char* name, const char* variable,
               const std::function<void(const std::function<void(const std::string& address)>& run)>& serve);

}  // namespace lrpc::queue::support
