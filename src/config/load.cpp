// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include <lrpc/queue/config.hpp>

#include "config/bind.hpp"
#include "config/document.hpp"
#include "config/text.hpp"

namespace lrpc::queue {
namespace config_impl {
namespace {

constexpr std::size_t kMaxFileSize = std::size_t{1} << 20;

class File {
 public:
  explicit File(const std::string& path) noexcept
      // Without O_NONBLOCK the opening of a pipe would wait for its writer.
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

std::unexpected<Error> file_error(const std::string& path, std::string_view what, int code) {
  Error error{.code = ErrorCode::invalid_config,
              .message = fmt::format("{}: {}: {}", path, what, std::generic_category().message(code))};
  error.native_code = code;
  return std::unexpected(std::move(error));
}

Result<std::string> read_file(const std::string& path) {
  if (path.empty()) return fail(ErrorCode::invalid_config, "the path of the configuration file is empty");
  if (path.find('\0') != std::string::npos) {
    return fail(ErrorCode::invalid_config, fmt::format("{}: a path cannot contain a zero byte", quote(path)));
  }
  const File file(path);
  if (file.descriptor() < 0) return file_error(path, "cannot open the configuration file", errno);
  struct stat status{};
  if (::fstat(file.descriptor(), &status) != 0) return file_error(path, "cannot read the configuration file", errno);
  if (S_ISDIR(status.st_mode)) return file_error(path, "cannot read the configuration file", EISDIR);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid_config, fmt::format("{}: not a regular file", path));

  std::string text;
  std::array<char, 16384> block{};
  while (text.size() <= kMaxFileSize) {
    const ssize_t count = ::read(file.descriptor(), block.data(), block.size());
    if (count == 0) return text;
    if (count > 0) {
      text.append(block.data(), static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return file_error(path, "cannot read the configuration file", errno);
    }
  }
  return fail(ErrorCode::invalid_config, fmt::format("{}: larger than {} bytes", path, kMaxFileSize));
}

}  // namespace
}  // namespace config_impl

Result<Config> Config::load(const std::string& path) {
  Result<std::string> text = config_impl::read_file(path);
  if (!text) return std::unexpected(std::move(text.error()));
  const auto format = config_impl::format_of(path);
  if (!format) {
    return fail(ErrorCode::invalid_config,
                fmt::format("{}: unknown extension, allowed: .json, .yaml, .yml, .toml", path));
  }
  const Result<nlohmann::json> tree = config_impl::parse_document(*format, *text, path);
  if (!tree) return std::unexpected(tree.error());
  Config config;
  const Result<void> bound = config_impl::bind_section({config_impl::Origin::file, path}, "", *tree, config);
  if (!bound) return std::unexpected(bound.error());
  return config;
}

}  // namespace lrpc::queue
