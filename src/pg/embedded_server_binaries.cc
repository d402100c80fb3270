#include "pg/embedded_server_binaries.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "base/text.h"
#include "pg/embedded_server.h"

namespace rowhouse::pg {
namespace {

constexpr int kOldestMajor = 15;

// First minors without the known escapes from row security.
struct FixedMinor {
  int major, minor;
};
constexpr FixedMinor kFixedMinors[] = {{15, 20}, {16, 16}, {17, 12}, {18, 6}};

std::optional<int> leading_number(std::string_view& text) {
  int number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool has_programs(const std::string& directory) {
  return access((directory + "/initdb").c_str(), X_OK) == 0 &&
         access((directory + "/postgres").c_str(), X_OK) == 0;
}

// Where Debian, Red Hat and a build from source put them, and what pg_config says.
std::set<std::string> usual_directories(const SystemUser& user) {
  std::set<std::string> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
    found.insert(entry.path() / "bin");
  }
  for (const auto& entry : std::filesystem::directory_iterator("/usr", ignored)) {
    if (entry.path().filename().string().starts_with("pgsql-")) found.insert(entry.path() / "bin");
  }
  found.insert("/usr/local/pgsql/bin");
  for (const char* program : {"/usr/local/bin/pg_config", "/usr/bin/pg_config"}) {
    if (access(program, X_OK) != 0) continue;
    const auto answer = run_to_end(Command(program, {"--bindir"}), user);
    if (answer.ok() && answer->exit_code == 0) found.emplace(trim(answer->output));
  }
  std::erase_if(found, [](const std::string& directory) { return !has_programs(directory); });
  return found;
}

std::string list_versions(const std::vector<Binaries>& installed) {
  std::string text;
  for (const auto& binaries : installed) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", version_text(binaries.version_number),
                        binaries.directory);
  }
  return text;
}

}  // namespace

Result<void> check_server_version(int version_number) {
  const int major = version_number / 10'000;
  const int minor = version_number % 10'000;
  if (major < kOldestMajor) {
    return Error(ErrorCode::server_unsupported,
                 fmt::format("this is PostgreSQL {}; Rowhouse needs version {} or later",
                             version_text(version_number), kOldestMajor));
  }
  for (const auto& fixed : kFixedMinors) {
    if (fixed.major == major && minor < fixed.minor) {
      return Error(
          ErrorCode::server_unsupported,
          fmt::format("this is PostgreSQL {}, whose row security is known to leak rows between tenants; "
                      "update it to {}.{} or later (a minor update needs no dump)",
                      version_text(version_number), fixed.major, fixed.minor));
    }
  }
  return {};
}

std::optional<int> parse_server_version(std::string_view text) {
  constexpr std::string_view kMark = "(PostgreSQL) ";
  const std::size_t mark = text.find(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  text.remove_prefix(mark + kMark.size());
  const auto major = leading_number(text);
  if (!major || *major < 1 || *major > 9'999) return std::nullopt;
  int minor = 0;  // of "19devel" and "19beta1"
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const auto number = leading_number(text);
    if (!number || *number < 0 || *number > 9'999) return std::nullopt;
    // Before version 10 the first two numbers were the major version; such a server is refused anyway.
    minor = *number;
  }
  return *major * 10'000 + minor;
}

std::string version_text(int version_number) {
  return fmt::format("{}.{}", version_number / 10'000, version_number % 10'000);
}

std::vector<Binaries> find_binaries(const std::string& directory, const SystemUser& user) {
  std::set<std::string> directories;
  if (directory.empty()) {
    directories = usual_directories(user);
  } else if (has_programs(directory)) {
    directories.insert(directory);
  }
  std::vector<Binaries> installed;
  for (const auto& candidate : directories) {
    const auto answer = run_to_end(Command(candidate + "/postgres", {"--version"}), user);
    if (!answer.ok() || answer->exit_code != 0) continue;
    const auto version = parse_server_version(answer->output);
    if (!version) continue;
    Binaries binaries;
    binaries.directory = candidate;
    binaries.version_number = *version;
    installed.push_back(std::move(binaries));
  }
  std::stable_sort(installed.begin(), installed.end(),
                   [](const Binaries& a, const Binaries& b) { return a.version_number > b.version_number; });
  return installed;
}

Result<Binaries> choose_binaries(const std::vector<Binaries>& installed, std::optional<int> cluster_major,
                                 const std::string& cluster) {
  if (installed.empty()) {
    return Error(ErrorCode::server_unsupported,
                 "no PostgreSQL server is installed here (looked for initdb and postgres); on Debian: "
                 "apt-get install postgresql");
  }
  std::optional<Error> refusal;
  for (const auto& binaries : installed) {
    if (cluster_major && binaries.major() != *cluster_major) continue;
    auto usable = check_server_version(binaries.version_number);
    if (usable.ok()) return binaries;
    if (!refusal) refusal = std::move(usable).error();
  }
  if (refusal) return std::move(*refusal);
  return Error(
      ErrorCode::data_directory_invalid,
      fmt::format("{} was made by PostgreSQL {}, but what is installed here is {}. Install PostgreSQL {}, or "
                  "convert the cluster with pg_upgrade, or dump it with the old version (pg_dumpall) and "
                  "load the dump into a new data directory",
                  cluster, *cluster_major, list_versions(installed), *cluster_major));
}

}  // namespace rowhouse::pg
