#include "pg/embedded_server_settings.h"

#include <fmt/core.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/text.h"

namespace rowhouse::pg {
namespace {

constexpr std::uint64_t kMebibyte = 1024 * 1024;

// A memory limit of the container, cgroup version 2 or 1; `otherwise` when there is none.
std::uint64_t container_limit(std::uint64_t otherwise) {
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    std::string text;
    if (!std::getline(file, text)) continue;
    const auto limit = parse_int64(text);
    if (limit && *limit > 0) return std::min(otherwise, static_cast<std::uint64_t>(*limit));
  }
  return otherwise;
}

}  // namespace

Machine measure_machine(const std::string& directory) {
  Machine machine;
  const auto pages = static_cast<std::uint64_t>(std::max(sysconf(_SC_PHYS_PAGES), 0L));
  const auto page_bytes = static_cast<std::uint64_t>(std::max(sysconf(_SC_PAGESIZE), 0L));
  machine.memory_bytes = container_limit(pages * page_bytes);
  struct statvfs disk {};
  if (statvfs(directory.c_str(), &disk) == 0) {
    machine.disk_bytes = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
  }
  return machine;
}

std::string render_settings(const EmbeddedOptions& options, const Machine& machine) {
  const std::uint64_t memory_mb = machine.memory_bytes / kMebibyte;
  const std::uint64_t disk_mb = machine.disk_bytes / kMebibyte;
  const std::uint64_t shared_mb = options.shared_buffers_mb != 0
                                      ? options.shared_buffers_mb
                                      : std::clamp<std::uint64_t>(memory_mb / 4, 16, 8 * 1024);
  const std::uint64_t connections = std::max<std::uint32_t>(options.max_connections, 10);
  const std::uint64_t maintenance_mb = std::clamp<std::uint64_t>(memory_mb / 32, 32, 1024);
  const std::uint64_t work_mb = std::clamp<std::uint64_t>(memory_mb / 8 / connections, 4, 64);
  // The log kept between checkpoints: much helps under load, but it must fit beside the data.
  const std::uint64_t wal_mb = std::clamp<std::uint64_t>(disk_mb / 16, 128, 4 * 1024);
  std::string text =
      "# Written by rowhouse at each start; put settings of your own into postgresql.conf below the "
      "include.\n";
  const auto set = [&text](std::string_view name, const std::string& value) {
    std::string quoted;
    for (const char letter : value) {
      // Read by PostgreSQL as in a string with escapes.
      if (letter == '\'' || letter == '\\') quoted += letter;
      quoted += letter;
    }
    text += fmt::format("{} = '{}'\n", name, quoted);
  };
  set("listen_addresses", "");
  set("unix_socket_permissions", "0700");
  set("max_connections", std::to_string(connections));
  set("shared_buffers", fmt::format("{}MB", shared_mb));
  set("effective_cache_size", fmt::format("{}MB", std::max<std::uint64_t>(memory_mb / 4 * 3, shared_mb)));
  set("maintenance_work_mem", fmt::format("{}MB", maintenance_mb));
  set("work_mem", fmt::format("{}MB", work_mb));
  set("max_wal_size", fmt::format("{}MB", wal_mb));
  set("checkpoint_timeout", "15min");
  set("wal_compression", "on");
  set("random_page_cost", "1.1");
  set("jit", "off");
  set("password_encryption", "scram-sha-256");
  set("idle_in_transaction_session_timeout", "60s");
  set("timezone", "UTC");
  set("lc_messages", "C");
  set("log_destination", "stderr");
  set("logging_collector", "off");
  set("log_timezone", "UTC");
  set("log_line_prefix", "%m [%p] %q%u@%d ");
  set("log_lock_waits", "on");
  set("log_checkpoints", "on");
  // No rows of tenants in the log: neither statements nor the DETAIL of an error, which quotes values.
  set("log_min_error_statement", "panic");
  set("log_error_verbosity", "terse");
  set("log_parameter_max_length", "0");
  set("log_parameter_max_length_on_error", "0");
  if (!options.library_directory.empty()) {
    set("dynamic_library_path", options.library_directory + ":$libdir");
  }
  if (options.durability == EmbeddedOptions::Durability::none_for_tests) {
    set("fsync", "off");
    set("full_page_writes", "off");
  }
  return text;
}

}  // namespace rowhouse::pg
