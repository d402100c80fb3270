// postgresql.conf of the embedded server, worked out from the machine. Pure, but for measure_machine().
#pragma once

#include <cstdint>
#include <string>

#include "pg/embedded_server.h"

namespace rowhouse::pg {

struct Machine {
  std::uint64_t memory_bytes = 0;  // what this process may use: the container's limit if there is one
  std::uint64_t disk_bytes = 0;    // size of the file system
};

Machine measure_machine(const std::string& directory);

// The text of rowhouse.conf. Uses no setting that PostgreSQL 15 or a later version lacks.
std::string render_settings(const EmbeddedOptions& options, const Machine& machine);

}  // namespace rowhouse::pg
