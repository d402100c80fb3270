// Which PostgreSQL programs to run: where they are installed, which version they are, whether that version is
// safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/embedded_server_process.h"

namespace rowhouse::pg {

struct Binaries {
  std::string directory;   // holds initdb and postgres
  int version_number = 0;  // as server_version_num: 150020
  int major() const { return version_number / 10'000; }
};

// "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)" → 150020; "… 19devel" → 190000; nullopt for anything
// else.
std::optional<int> parse_server_version(std::string_view text);
// 150020 → "15.20"
std::string version_text(int version_number);

// Every installation found: `directory` alone if it is not "".
std::vector<Binaries> find_binaries(const std::string& directory, const SystemUser& user);

// The newest usable installation; for an existing cluster one of its major version. Errors:
// server_unsupported (none, or refused minors alone), data_directory_invalid (`cluster` needs a version that
// is not installed).
Result<Binaries> choose_binaries(const std::vector<Binaries>& installed, std::optional<int> cluster_major,
                                 const std::string& cluster);

}  // namespace rowhouse::pg
