// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace lrpc::queue::redis {

/// Arguments of a command in the form in which they go over the line (RESP,
/// https://redis.io/docs/reference/protocol-spec/), built in place.
class Arguments {
 public:
  Arguments& add(std::string_view text) {
    ++count_;
    const Head head('$', text.size());
    const std::size_t before = bytes_.size();
    bytes_.resize_and_overwrite(before + head.size + text.size() + 2, [&](char* bytes, std::size_t /*at least*/) {
      char* at = std::copy_n(head.text.data(), head.size, bytes + before);
      at = std::ranges::copy(text, at).out;
      *at++ = '\r';
      *at++ = '\n';
      return static_cast<std::size_t>(at - bytes);
    });
    return *this;
  }
  Arguments& add(std::int64_t value) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    return add(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
  }
  /// Those of another.
  Arguments& append(const Arguments& more) {
    bytes_.append(more.bytes_);
    count_ += more.count_;
    return *this;
  }
  /// Makes room for so many bytes more.
  Arguments& reserve(std::size_t bytes) {
    bytes_.reserve(bytes_.size() + bytes);
    return *this;
  }
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 protected:
  /// What stands before an argument or a command: its kind and size.
  struct Head {
    Head(char kind, std::size_t number) noexcept {
      text[0] = kind;
      char* end = std::to_chars(text.data() + 1, text.data() + text.size() - 2, number).ptr;
      *end++ = '\r';
      *end++ = '\n';
      size = static_cast<std::size_t>(end - text.data());
    }
    std::array<char, 24> text;
    std::size_t size;
  };

  std::string bytes_;
  std::size_t count_ = 0;
};

/// Commands, each an array of arguments: a pipeline is one buffer.
class Pipeline : private Arguments {
 public:
  /// Begins a command of so many arguments, its name included; that many `arg` must follow.
  Pipeline& begin(std::size_t arguments) {
    ++commands_;
    const Head head('*', arguments);
    bytes_.append(head.text.data(), head.size);
    return *this;
  }
  Pipeline& arg(std::string_view text) {
    Arguments::add(text);
    return *this;
  }
  Pipeline& arg(std::int64_t value) {
    Arguments::add(value);
    return *this;
  }
  Pipeline& args(const Arguments& more) {
    bytes_.append(more.bytes());
    return *this;
  }
  /// A whole command.
  Pipeline& add(std::initializer_list<std::string_view> arguments) {
    begin(arguments.size());
    for (const std::string_view argument : arguments) arg(argument);
    return *this;
  }

  /// All commands of another.
  Pipeline& append(const Pipeline& more) {
    bytes_.append(more.bytes_);
    commands_ += more.commands_;
    return *this;
  }

  using Arguments::bytes;
  using Arguments::reserve;
  [[nodiscard]] std::size_t commands() const noexcept { return commands_; }
  void clear() noexcept {
    bytes_.clear();
    commands_ = 0;
  }

 private:
  std::size_t commands_ = 0;
};

}  // namespace lrpc::queue::redis
