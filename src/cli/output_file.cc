#include "cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/text.h"
#include "cli/command.h"
#include "crypto/crypto.h"

namespace rowhouse::cli {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kNewFile = 0666;  // less the umask
constexpr mode_t kPermissions = 07777;
constexpr std::size_t kNameBytes = 8;

Error cannot_write(const std::string& path, const std::string& why) {
  return usage_error(fmt::format("cannot write {}: {}", path, why));
}

}  // namespace

OutputFile::~OutputFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Result<void> OutputFile::open(const std::string& path) {
  fs::path target(path);
  std::error_code unknown;
  if (fs::is_symlink(target, unknown)) {
    std::error_code failed;
    target = fs::weakly_canonical(target, failed);
    if (failed) return cannot_write(path, failed.message());
  }
  struct stat before {};
  const bool is_there = stat(target.c_str(), &before) == 0;
  if (is_there && S_ISDIR(before.st_mode)) return cannot_write(path, "it is a directory");
  if (is_there && access(target.c_str(), W_OK) != 0) {
    return cannot_write(path, std::system_category().message(errno));
  }
  std::string written = target.string();
  if (!is_there || S_ISREG(before.st_mode)) {
    target_ = target.string();
    written = (target.parent_path() / (".rowhouse-" + to_hex(crypto::random_bytes(kNameBytes)))).string();
    const int made = ::open(written.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kNewFile);
    if (made < 0) return cannot_write(path, std::system_category().message(errno));
    temporary_ = written;
    const bool keeps_mode = !is_there || fchmod(made, before.st_mode & kPermissions) == 0;
    ::close(made);
    if (!keeps_mode) return cannot_write(path, "its permissions cannot be kept");
  }
  stream_.open(written, std::ios::binary | std::ios::trunc);
  if (!stream_) return cannot_write(path, "it cannot be opened");
  return {};
}

Result<void> OutputFile::keep() {
  stream_.close();
  const bool is_written = static_cast<bool>(stream_);
  if (!is_written || (!temporary_.empty() && std::rename(temporary_.c_str(), target_.c_str()) != 0)) {
    return Error(ErrorCode::disk_full, "what was received could not be written completely");
  }
  temporary_.clear();
  return {};
}

}  // namespace rowhouse::cli
