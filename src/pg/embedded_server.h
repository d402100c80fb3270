// A PostgreSQL cluster of our own in a data directory: made when missing, started, watched, stopped.
//
//   DIR/postgres      the cluster (PG_VERSION, …)      DIR/socket    unix socket, mode 0700
//   DIR/rowhouse.lock held while a server runs         DIR/secrets   superuser password, master key: mode
//   0600
//
// The cluster listens on a unix socket only, with SCRAM, as an unprivileged user when we are root. If DIR is
// too long for a socket path (107 bytes), the socket lives in a private directory under /tmp. Memory settings
// come from the machine. If the postmaster dies it is started again; one that a killed server left behind is
// stopped first. start() and stop() block: call them outside the event loop. The watcher has a thread of its
// own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "pg/types.h"

namespace rowhouse::pg {

struct EmbeddedOptions {
  std::string data_directory;
  std::string
      binary_directory;  // with initdb and postgres; "" = the newest under /usr/lib/postgresql, or pg_config
  std::string system_user = "postgres";  // whom to become when started as root
  std::uint32_t shared_buffers_mb = 0;   // 0 = a quarter of the memory, at most 8 GB
  std::uint32_t max_connections = 300;
  // Searched for server modules (rowhouse_guard) before PostgreSQL's own directory; "" = not. A path with a
  // colon cannot be expressed: PostgreSQL separates directories by it.
  std::string library_directory;
  enum class Durability { full, none_for_tests } durability = Durability::full;
};

enum class ServerState { starting, ready, restarting, stopped };

class EmbeddedServer {
 public:
  // Takes the lock, makes the cluster if there is none, starts it and waits until it answers.
  // Errors: data_directory_locked (with the process id of the other), data_directory_invalid (other version:
  // names both and what to do; not writable; foreign content), disk_full, server_unsupported (no binaries,
  // refused minor).
  static Result<std::unique_ptr<EmbeddedServer>> start(EmbeddedOptions options);
  virtual ~EmbeddedServer() = default;  // stops if still running

  virtual ConnectionParameters superuser(std::string_view database) const = 0;
  virtual ServerState state() const = 0;   // thread-safe
  virtual int postmaster_pid() const = 0;  // thread-safe; 0 while there is none
  // 32 random bytes made with the cluster: the root of derived passwords and of signatures.
  virtual const std::string& master_key() const = 0;
  virtual void stop() = 0;  // fast shutdown, waits for the end; may be called twice
};

// Refuses servers that cannot keep tenants apart: below version 15, minors with known row-security escapes
// (15: below 15.20; 16: below 16.16; 17: below 17.12; 18: below 18.6), encodings other than UTF8, roles
// without the rights Rowhouse needs. Error: server_unsupported, saying what to do. `version_number` as in
// server_version_num.
Result<void> check_server_version(int version_number);

}  // namespace rowhouse::pg
