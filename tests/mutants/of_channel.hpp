// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "pass_through.hpp"
#include "variants.hpp"

namespace lrpc::queue::mutants {

/// A variant whose topics are `Topic`s.
template <class Topic>
Variant of_topic(std::string_view name, std::string_view defect, std::vector<std::string_view> tests) {
  return {.name = name,
          .defect = defect,
          .tests = std::move(tests),
          .spoil = [](std::shared_ptr<Backend> inner) -> std::shared_ptr<Backend> {
            return std::make_shared<BackendOf<Topic>>(std::move(inner));
          }};
}

/// A variant whose channels are `Channel`s.
template <class Channel>
Variant of_channel(std::string_view name, std::string_view defect, std::vector<std::string_view> tests) {
  return of_topic<TopicOf<Channel>>(name, defect, std::move(tests));
}

}  // namespace lrpc::queue::mutants
