// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>
#include <nlohmann/json.hpp>

#include "config/document.hpp"
#include "config/tree_builder.hpp"

namespace lrpc::queue::config_impl {
namespace {

/// Ends the parsing from within an event.
struct Refused {
  YAML::Mark mark;
  std::string reason;
};

template <class T>
std::optional<T> whole_number(std::string_view text, int base) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A number by the core schema of YAML 1.2.
std::optional<Json> plain_number(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0o")) {
    const auto value = whole_number<std::uint64_t>(text.substr(2), text[1] == 'x' ? 16 : 8);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const bool negative = digits.starts_with('-');
  const std::string_view unsigned_part = negative ? digits.substr(1) : digits;
  if (negative && text.starts_with('+')) return std::nullopt;
  if (unsigned_part == ".inf" || unsigned_part == ".Inf" || unsigned_part == ".INF") {
    const double infinity = std::numeric_limits<double>::infinity();
    return Json(negative ? -infinity : infinity);
  }
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return Json(std::numeric_limits<double>::quiet_NaN());
  // from_chars knows words for infinity that YAML does not.
  if (unsigned_part.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
  if (const auto value = whole_number<std::int64_t>(digits, 10)) return Json(*value);
  double value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size() || code == std::errc::invalid_argument) return std::nullopt;
  if (code == std::errc::result_out_of_range) value = std::numeric_limits<double>::infinity();
  return Json(value);
}

Json plain_scalar(const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (std::optional<Json> number = plain_number(text)) return *std::move(number);
  return text;
}

class YamlEvents final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{mark, "a second document"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override { put(mark, nullptr); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    throw Refused{mark, "aliases are not supported"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t /*anchor*/,
                const std::string& value) override {
    if (builder_.expects_key()) {
      check(mark, builder_.key(value));
    } else if (tag == "?" || tag.empty()) {  // what yaml-cpp says of a plain scalar
      builder_.value(plain_scalar(value));
    } else if (tag == "!" || tag == "tag:yaml.org,2002:str") {  // a quoted one, and "!!str"
      builder_.value(value);
    } else {
      throw Refused{mark, "tags are not supported"};
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t /*anchor*/,
                       YAML::EmitterStyle::value /*style*/) override {
    begin(mark, tag, Json::array());
  }
  void OnSequenceEnd() override { builder_.end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {
    begin(mark, tag, Json::object());
  }
  void OnMapEnd() override { builder_.end(); }

  [[nodiscard]] TreeBuilder& builder() { return builder_; }

 private:
  static void check(const YAML::Mark& mark, TreeBuilder::Refusal refusal) {
    if (refusal) throw Refused{mark, std::move(*refusal)};
  }
  void put(const YAML::Mark& mark, Json node) {
    if (builder_.expects_key()) throw Refused{mark, "a key must be a string"};
    builder_.value(std::move(node));
  }
  void begin(const YAML::Mark& mark, const std::string& tag, Json container) {
    if (builder_.expects_key()) throw Refused{mark, "a key must be a string"};
    if (tag != "?" && !tag.empty()) throw Refused{mark, "tags are not supported"};
    check(mark, builder_.begin(std::move(container)));
  }

  TreeBuilder builder_;
  int documents_ = 0;
};

std::unexpected<Error> yaml_error(const std::string& name, const YAML::Mark& mark, std::string_view reason) {
  if (mark.is_null()) return fail(ErrorCode::invalid_config, name + ": " + std::string(reason));
  return document_error(name, static_cast<std::size_t>(mark.line) + 1, static_cast<std::size_t>(mark.column) + 1,
                        reason);
}

/// yaml-cpp's reason without what it quotes of the text.
std::string_view static_part(std::string_view reason) {
  if (reason.starts_with(YAML::ErrorMsg::UNKNOWN_ANCHOR)) return YAML::ErrorMsg::UNKNOWN_ANCHOR;
  return reason.substr(0, reason.find(':'));
}

}  // namespace

Result<Json> parse_yaml(std::string_view text, const std::string& name) {
  YamlEvents events;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(events)) {
    }
  } catch (const Refused& refused) {
    return yaml_error(name, refused.mark, refused.reason);
  } catch (const YAML::Exception& error) {
    return yaml_error(name, error.mark, static_part(error.msg));
  }
  Json root = events.builder().take();
  return root.is_null() ? Json::object() : std::move(root);
}

}  // namespace lrpc::queue::config_impl
