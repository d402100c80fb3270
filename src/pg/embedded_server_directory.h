// The files of a data directory: layout, lock, secrets, free space, who may enter. No processes.
//
// Everything is written so that a crash between any two steps is repaired by the next start: whole files
// appear by rename, and the cluster is made under another name (`staging`) that only becomes `cluster` when
// it is complete.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/result.h"
#include "pg/embedded_server_process.h"

namespace rowhouse::pg {

struct DataDirectory {
  explicit DataDirectory(const std::string& path);  // made absolute
  std::string root;
  std::string cluster;  // DIR/postgres
  std::string staging;  // DIR/postgres.new: an initdb that is running, or was cut off
  std::string socket;   // DIR/socket: a directory, or a link to one under /tmp
  std::string secrets;  // DIR/secrets
  std::string lock;     // DIR/rowhouse.lock
  std::string log;      // DIR/postgres.log
};

// Room that a new cluster needs at first, and that an existing one needs to recover.
inline constexpr std::uint64_t kNewClusterBytes = 200ull << 20;
inline constexpr std::uint64_t kRecoveryBytes = 32ull << 20;

// disk_full for ENOSPC and EDQUOT, else data_directory_invalid: "cannot WHAT PATH: REASON".
Error file_error(std::string_view what, const std::string& path, int error_number);

// Makes DIR if it is missing. Errors: foreign content in a directory without a cluster, not writable, not
// enterable for `user` (names the directory above it that is closed).
Result<void> prepare_root(const DataDirectory& directory, const SystemUser& user);

// Error: disk_full, naming the path, what is free and what is needed.
Result<void> check_free_space(const std::string& path, std::uint64_t needed_bytes);

// DIR/rowhouse.lock with our process id inside; let go when destroyed or when the process dies.
class DirectoryLock {
 public:
  static Result<DirectoryLock> take(const DataDirectory& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// Major version of the cluster; nullopt if there is none yet. Errors: data_directory_invalid for a `cluster`
// that is not a PostgreSQL cluster, or that another user owns.
Result<std::optional<int>> read_cluster_version(const DataDirectory& directory, const SystemUser& user);

struct Secrets {
  std::string superuser_password;
  std::string master_key;  // 32 bytes
};

// Makes what is missing, but only as long as there is no cluster: afterwards a missing secret is an error,
// because a new one would open nothing.
enum class ClusterState { missing, made };
Result<Secrets> load_secrets(const DataDirectory& directory, ClusterState cluster);

// The directory for the socket, owned by `user`; under /tmp when DIR is too long for a socket's path.
Result<std::string> prepare_socket_directory(const DataDirectory& directory, const SystemUser& user);
// Removes a socket and its lock file that a killed server left. Only for one who knows that nobody listens.
void remove_socket_files(const std::string& socket_directory);
// Removes what prepare_socket_directory made under /tmp.
void remove_socket_directory(const DataDirectory& directory);

// Writes a whole file: temporary file, fsync, rename, fsync of the directory.
Result<void> write_whole_file(const std::string& path, std::string_view content, const SystemUser* owner);
// What the unprivileged user could have put there is read without following links: they might point at root's
// files.
enum class Links { follow, refuse };
Result<std::string> read_whole_file(const std::string& path, Links links);
Result<void> sync_directory(const std::string& path);

// The lines of DIR/postgres/postmaster.pid, or nothing.
struct PostmasterFile {
  pid_t pid = 0;       // negative: a single-user server
  std::string status;  // "starting", "ready", …
};
std::optional<PostmasterFile> read_postmaster_file(const DataDirectory& directory);

}  // namespace rowhouse::pg
