// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/name_list.hpp"

#include "shared/raw_body.hpp"

namespace lrpc::queue::cli {

std::string lines(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names) text += name + '\n';
  return text;
}

std::string json_array(std::span<const std::string> names) {
  std::string text = "[";
  for (const std::string& name : names) text += (text.size() > 1 ? "," : "") + json_quoted(name);
  return text + "]";
}

}  // namespace lrpc::queue::cli
