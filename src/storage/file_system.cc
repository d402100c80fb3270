#include "storage/file_system.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace rowhouse::storage {

namespace {

ErrorCode code_of(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::not_found;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorCode::conflict;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::disk_full;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENOTCONN:
    case EPIPE:
    case EINTR:
      return ErrorCode::server_unreachable;
    default:
      return ErrorCode::storage_failed;
  }
}

}  // namespace

Result<void> FileSystem::set_attribute(const std::string&, const std::string&) { return {}; }
Result<std::string> FileSystem::attribute(const std::string&) { return std::string(); }

Error file_error(std::string_view what, int number) {
  const char* name = strerrorname_np(number);
  const std::string code = name == nullptr ? fmt::format("{}", number) : name;
  return Error(code_of(number), fmt::format("the storage could not {}: {} ({})", what, code,
                                            strerrordesc_np(number) ? strerrordesc_np(number) : "unknown"))
      .with_detail("provider_code", code);
}

}  // namespace rowhouse::storage
