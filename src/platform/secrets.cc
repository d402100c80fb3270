#include "platform/secrets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/text.h"
#include "tenancy/api_key.h"

namespace rowhouse::platform {
namespace {

constexpr std::size_t kMasterKeyBytes = 32;
constexpr std::size_t kMaxSecretBytes = 16'384;

Error write_error(const std::string& path) {
  const ErrorCode code =
      errno == ENOSPC || errno == EDQUOT ? ErrorCode::disk_full : ErrorCode::data_directory_invalid;
  return Error(code, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

}  // namespace

Result<std::string> read_secret_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  if (!file || !std::getline(file, line)) {
    const char* cause = errno != 0 ? std::strerror(errno) : "it is empty";
    return Error(ErrorCode::config_invalid, fmt::format("cannot read {}: {}", path, cause));
  }
  if (line.size() > kMaxSecretBytes) {
    return Error(ErrorCode::config_invalid,
                 fmt::format("{} holds no secret: its first line is too long", path));
  }
  return std::string(trim(line));
}

Result<std::string> find_secret(const Resolved& resolved, std::string_view option,
                                std::string_view file_option) {
  const ResolvedOption& direct = resolved.option(option);
  const ResolvedOption& file = resolved.option(file_option);
  const bool use_file =
      !file.value.empty() && (direct.value.empty() || file.source.kind > direct.source.kind);
  if (use_file) return read_secret_file(file.value);
  return direct.value;
}

Result<void> replace_secret_file(const std::string& path, std::string_view secret) {
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return write_error(temporary);
  const std::string line = std::string(secret) + "\n";
  const bool written = write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                       fsync(descriptor) == 0;
  const int cause = errno;
  close(descriptor);
  errno = cause;
  if (!written || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const Error error = write_error(path);
    unlink(temporary.c_str());
    return error;
  }
  return {};
}

std::string admin_token_path(const Config& config) {
  if (!config.credentials.admin_token_file.empty()) return config.credentials.admin_token_file;
  return config.postgres.data_directory + "/admin.token";
}

Result<std::string> own_admin_token(const Resolved& resolved) {
  TRY(auto token, find_secret(resolved, "admin_token", "admin_token_file"));
  const std::string path = admin_token_path(resolved.config);
  if (token.empty() && access(path.c_str(), F_OK) == 0) {
    TRY(token, read_secret_file(path));
  }
  if (token.empty()) {
    token = tenancy::make_credential(tenancy::kAdminTokenPrefix);
    TRY_DO(replace_secret_file(path, token));
  }
  if (!tenancy::has_credential_form(token, tenancy::kAdminTokenPrefix)) {
    return Error(
        ErrorCode::config_invalid,
        fmt::format(
            "the admin token is not one: it begins with {} and has 43 characters more. Delete {} to get "
            "a new one",
            tenancy::kAdminTokenPrefix, path));
  }
  return token;
}

Result<std::string> configured_master_key(const Resolved& resolved) {
  TRY(const auto text, find_secret(resolved, "encryption_key", "encryption_key_file"));
  const auto key = from_hex(text);
  if (key.has_value() && key->size() == kMasterKeyBytes) return *key;
  return Error(
      ErrorCode::config_invalid,
      fmt::format(
          "{}: set ROWHOUSE_ENCRYPTION_KEY or encryption_key_file to 64 hexadecimal digits, as made by "
          "`openssl rand -hex 32`; every node needs the same, and without it no password can be derived "
          "again",
          text.empty() ? "the master key is missing" : "the master key is not valid"));
}

}  // namespace rowhouse::platform
