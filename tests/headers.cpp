// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Compiles the headers that all tests share.
