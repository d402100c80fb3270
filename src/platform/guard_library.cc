#include "platform/guard_library.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace rowhouse::platform {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "rowhouse_guard.so";

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

Error cannot(std::string_view what, const fs::path& path, const std::error_code& fault) {
  return Error(ErrorCode::config_invalid,
               fmt::format("cannot {} {}: {}", what, path.string(), fault.message()));
}

constexpr fs::perms kForAllToRead =
    fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read | fs::perms::others_read;
constexpr fs::perms kForAllToEnter =
    kForAllToRead | fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;

}  // namespace

std::string guard_library_directory(const std::string& data_directory) {
  if (data_directory.find(':') != std::string::npos) return "";
  return data_directory + "/lib";
}

std::string guard_library_of_binary() {
  std::error_code fault;
  const fs::path binary = fs::read_symlink("/proc/self/exe", fault);
  if (fault) return "";
  const fs::path folder = binary.parent_path();
  for (const fs::path& candidate :
       {folder / "guard" / kFileName, folder.parent_path() / "lib" / "rowhouse" / kFileName}) {
    if (fs::is_regular_file(candidate, fault)) return candidate.string();
  }
  return "";
}

Result<void> place_guard_library(const std::string& source, const std::string& directory) {
  std::error_code fault;
  const fs::path target = fs::path(directory) / kFileName;
  if (source.empty()) {
    fs::remove(target, fault);
    if (fault) return cannot("remove", target, fault);
    return {};
  }
  fs::create_directories(directory, fault);
  if (fault) return cannot("make", directory, fault);
  // Whatever the umask is: PostgreSQL may run as another user.
  fs::permissions(directory, kForAllToEnter, fault);
  if (fault) return cannot("change the mode of", directory, fault);
  const std::string content = content_of(source);
  if (content.empty()) return Error(ErrorCode::config_invalid, fmt::format("cannot read {}", source));
  if (content_of(target) != content) {
    // By a rename: a server that still runs has mapped the old file.
    const fs::path temporary = target.string() + ".new";
    fs::copy_file(source, temporary, fs::copy_options::overwrite_existing, fault);
    if (fault) return cannot("write", temporary, fault);
    fs::rename(temporary, target, fault);
    if (fault) return cannot("write", target, fault);
  }
  fs::permissions(target, kForAllToRead, fault);
  if (fault) return cannot("change the mode of", target, fault);
  return {};
}

}  // namespace rowhouse::platform
