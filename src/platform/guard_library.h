// The library of signed contexts, rowhouse_guard.so, for the embedded PostgreSQL.
//
// It comes beside the binary (build/*/guard/ or PREFIX/lib/rowhouse), where PostgreSQL's own user may not be
// allowed to read. So it is copied into the data directory, which that user can enter; nothing is written
// into the system's PostgreSQL.
#pragma once

#include <string>

#include "base/result.h"

namespace rowhouse::platform {

// Where PostgreSQL shall look; "" if the path cannot be told to it (it holds a colon).
std::string guard_library_directory(const std::string& data_directory);

// The file that belongs to this binary; "" if there is none.
std::string guard_library_of_binary();

// Copies `source` there, unless the same bytes are there already; without a source, what an earlier binary
// left is removed. Error: config_invalid, naming the file.
Result<void> place_guard_library(const std::string& source, const std::string& directory);

}  // namespace rowhouse::platform
