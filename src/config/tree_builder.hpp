// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/text.hpp"

namespace lrpc::queue::config_impl {

/// Makes a tree of the events of a parser, refusing duplicate keys and deep nesting. Each step returns the reason when
/// it refuses, and the tree must then be given up.
class TreeBuilder {
 public:
  using Json = nlohmann::json;
  using Refusal = std::optional<std::string>;

  /// Whether the next event must be a key or the end of the table.
  [[nodiscard]] bool expects_key() const {
    return !open_.empty() && open_.back().node.is_object() && !open_.back().key;
  }

  [[nodiscard]] Refusal key(std::string name) {
    Frame& top = open_.back();
    if (top.node.contains(name)) return "the key " + show_key(name) + " is given twice";
    top.key = std::move(name);
    return std::nullopt;
  }
  void value(Json node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& top = open_.back();
    if (top.key) {
      top.node.emplace(std::move(*top.key), std::move(node));
      top.key.reset();
    } else {
      top.node.push_back(std::move(node));
    }
  }
  [[nodiscard]] Refusal begin(Json container) {
    if (open_.size() == kMaxDepth) return "nested deeper than " + std::to_string(kMaxDepth) + " levels";
    open_.push_back({std::move(container), std::nullopt});
    return std::nullopt;
  }
  void end() {
    Json node = std::move(open_.back().node);
    open_.pop_back();
    value(std::move(node));
  }

  [[nodiscard]] Json take() { return std::move(root_); }

 private:
  static constexpr std::size_t kMaxDepth = 32;

  struct Frame {
    Json node;
    std::optional<std::string> key;  // of the value that comes next
  };
  std::vector<Frame> open_;
  Json root_;
};

}  // namespace lrpc::queue::config_impl
