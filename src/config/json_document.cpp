// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/document.hpp"
#include "config/tree_builder.hpp"

namespace lrpc::queue::config_impl {
namespace {

class JsonEvents final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return put(nullptr); }
  bool boolean(bool val) override { return put(val); }
  bool number_integer(number_integer_t val) override { return put(val); }
  bool number_unsigned(number_unsigned_t val) override { return put(val); }
  bool number_float(number_float_t val, const string_t& /*text*/) override { return put(val); }
  bool string(string_t& val) override { return put(std::move(val)); }
  bool binary(binary_t& val) override { return put(std::move(val)); }
  bool start_object(std::size_t /*elements*/) override { return allow(builder_.begin(Json::object())); }
  bool start_array(std::size_t /*elements*/) override { return allow(builder_.begin(Json::array())); }
  bool key(string_t& val) override { return allow(builder_.key(std::move(val))); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(std::size_t position, const std::string& /*last_token*/,
                   const nlohmann::detail::exception& error) override {
    offset_ = position == 0 ? 0 : position - 1;
    // "[...] parse error at line 1, column 2: syntax error while parsing value - invalid literal; last read: 'x'; ..."
    // Only the part that does not quote the text is kept. A number beyond a double's range has no such part.
    const std::string_view full = error.what();
    const std::size_t start = full.find("syntax error");
    reason_ = start == std::string_view::npos ? "a number is too large"
                                              : full.substr(start, full.find("; last read") - start);
    return false;
  }

  [[nodiscard]] TreeBuilder& builder() { return builder_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  /// Of a syntax error; a refusal of the builder has none.
  [[nodiscard]] std::optional<std::size_t> offset() const { return offset_; }

 private:
  bool put(Json node) {
    builder_.value(std::move(node));
    return true;
  }
  bool end() {
    builder_.end();
    return true;
  }
  bool allow(TreeBuilder::Refusal refusal) {
    if (refusal) reason_ = std::move(*refusal);
    return reason_.empty();
  }

  TreeBuilder builder_;
  std::string reason_;
  std::optional<std::size_t> offset_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& name) {
  JsonEvents events;
  if (Json::sax_parse(text, &events)) return events.builder().take();
  if (events.offset()) return document_error(name, text, *events.offset(), events.reason());
  return fail(ErrorCode::invalid_config, name + ": " + events.reason());
}

}  // namespace lrpc::queue::config_impl
