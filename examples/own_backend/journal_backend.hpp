// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>

#include <lrpc/queue/config.hpp>

/// A back end that keeps encoded messages in this process and writes a line about each publish to `out` before it
/// is accepted: "<topic> <id> <body>". The stream must outlive the queues.
[[nodiscard]] lrpc::queue::BackendFactory journal_backend(std::ostream& out);
