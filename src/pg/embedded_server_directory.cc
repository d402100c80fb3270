#include "pg/embedded_server_directory.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::pg {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMasterKeyBytes = 32;
constexpr std::size_t kPasswordBytes = 24;
constexpr std::size_t kMaxSmallFileBytes = 1 << 20;
constexpr std::string_view kSocketName = "/.s.PGSQL.5432";
constexpr std::string_view kTemporarySocketPrefix = "/tmp/rowhouse-";

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close_now(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }
  int close_now() { return number_ >= 0 ? close(std::exchange(number_, -1)) : 0; }

 private:
  int number_;
};

Result<void> write_all(int descriptor, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t count = write(descriptor, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

bool exists(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

// Something of ours, or nothing at all: then a cluster may be made here.
Result<void> check_content(const DataDirectory& directory) {
  if (exists(directory.cluster) || exists(directory.lock) || exists(directory.secrets)) return {};
  std::error_code fault;
  for (const auto& entry : fs::directory_iterator(directory.root, fault)) {
    const std::string name = entry.path().filename();
    if (name == "lost+found") continue;
    if (name == "PG_VERSION") {
      return Error(ErrorCode::data_directory_invalid,
                   directory.root +
                       " is a PostgreSQL cluster itself, not a data directory of Rowhouse; name a new "
                       "directory, or use that server with --database-url");
    }
    return Error(ErrorCode::data_directory_invalid, directory.root +
                                                        " holds files that Rowhouse did not make (" + name +
                                                        "); name a new or empty directory");
  }
  if (fault) return file_error("read", directory.root, fault.value());
  return {};
}

// Root, and every directory above it, outermost first.
std::vector<std::string> with_ancestors(const std::string& path) {
  std::vector<std::string> all;
  for (fs::path current = path; !current.empty(); current = current.parent_path()) {
    all.insert(all.begin(), current);
    if (current == current.root_path()) break;
  }
  return all;
}

Result<void> check_enterable(const DataDirectory& directory, const SystemUser& user) {
  if (user.change == SystemUser::Switch::none) return {};
  // DIR is ours: what is in it is closed by itself, so passing through may be open.
  struct stat info {};
  if (stat(directory.root.c_str(), &info) == 0 && (info.st_mode & S_IXOTH) == 0 &&
      chmod(directory.root.c_str(), (info.st_mode | S_IXOTH) & 07777) != 0) {
    return file_error("change the mode of", directory.root, errno);
  }
  TRY(const auto closed, first_closed_directory(user, with_ancestors(directory.root)));
  if (closed.empty()) return {};
  return Error(
      ErrorCode::data_directory_invalid,
      fmt::format(
          "{} cannot hold the data: PostgreSQL runs as the user \"{}\", who may not enter {}; choose a "
          "directory such as /var/lib/rowhouse, or allow it: chmod o+x {}",
          directory.root, user.name, closed, closed));
}

Result<void> make_private_directory(const std::string& path, const SystemUser* owner) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return file_error("make", path, errno);
  if (chmod(path.c_str(), 0700) != 0) return file_error("change the mode of", path, errno);
  if (owner != nullptr && owner->change == SystemUser::Switch::needed &&
      chown(path.c_str(), owner->uid, owner->gid) != 0) {
    return file_error("change the owner of", path, errno);
  }
  return {};
}

// A secret from its file, or a new one that is on disk before it is used.
Result<std::string> load_secret(const DataDirectory& directory, const std::string& name, ClusterState cluster,
                                std::size_t size, std::string (*encode)(std::string_view)) {
  const std::string path = directory.secrets + "/" + name;
  if (exists(path)) {
    TRY(const auto content, read_whole_file(path, Links::follow));
    return std::string(trim(content));
  }
  if (cluster == ClusterState::made) {
    return Error(
        ErrorCode::data_directory_invalid,
        path + " is missing, and the cluster beside it cannot be opened without; restore it from a backup");
  }
  std::string secret = encode(crypto::random_bytes(size));
  TRY_DO(write_whole_file(path, secret + "\n", nullptr));
  return secret;
}

}  // namespace

DataDirectory::DataDirectory(const std::string& path) {
  std::error_code ignored;
  root = fs::absolute(path, ignored).lexically_normal();
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  cluster = root + "/postgres";
  staging = root + "/postgres.new";
  socket = root + "/socket";
  secrets = root + "/secrets";
  lock = root + "/rowhouse.lock";
  log = root + "/postgres.log";
}

Error file_error(std::string_view what, const std::string& path, int error_number) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return Error(full ? ErrorCode::disk_full : ErrorCode::data_directory_invalid,
               fmt::format("cannot {} {}: {}", what, path, std::strerror(error_number)));
}

Result<void> prepare_root(const DataDirectory& directory, const SystemUser& user) {
  std::error_code fault;
  fs::create_directories(fs::path(directory.root).parent_path(), fault);
  if (fault) return file_error("make", fs::path(directory.root).parent_path(), fault.value());
  if (mkdir(directory.root.c_str(), 0700) != 0 && errno != EEXIST) {
    return file_error("make", directory.root, errno);
  }
  if (!fs::is_directory(directory.root, fault)) return file_error("use", directory.root, ENOTDIR);
  if (access(directory.root.c_str(), W_OK | X_OK) != 0) return file_error("write to", directory.root, errno);
  TRY_DO(check_content(directory));
  return check_enterable(directory, user);
}

Result<void> check_free_space(const std::string& path, std::uint64_t needed_bytes) {
  struct statvfs disk {};
  if (statvfs(path.c_str(), &disk) != 0) return file_error("measure", path, errno);
  const std::uint64_t free_bytes = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (free_bytes >= needed_bytes) return {};
  return Error(ErrorCode::disk_full,
               fmt::format("{} has {} MB left, and {} MB are needed; free some space or name "
                           "another data directory",
                           path, free_bytes >> 20, needed_bytes >> 20));
}

Result<DirectoryLock> DirectoryLock::take(const DataDirectory& directory) {
  const int descriptor = open(directory.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return file_error("open", directory.lock, errno);
  DirectoryLock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return file_error("lock", directory.lock, errno);
    const auto content = read_whole_file(directory.lock, Links::refuse);
    const std::string holder(content.ok() ? trim(*content) : "");
    return Error(ErrorCode::data_directory_locked,
                 "another Rowhouse server uses " + directory.root +
                     (holder.empty() ? std::string() : " (process " + holder + ")") + "; stop it first");
  }
  if (ftruncate(descriptor, 0) != 0) return file_error("write", directory.lock, errno);
  TRY_DO(write_all(descriptor, std::to_string(getpid()) + "\n", directory.lock));
  return lock;
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<std::optional<int>> read_cluster_version(const DataDirectory& directory, const SystemUser& user) {
  struct stat info {};
  if (lstat(directory.cluster.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::optional<int>();
    return file_error("read", directory.cluster, errno);
  }
  // An empty directory may be a mount point prepared for us, but then its owner decides, not we.
  if (!exists(directory.cluster + "/PG_VERSION")) {
    return Error(
        ErrorCode::data_directory_invalid,
        directory.cluster + " is there, but it is not a PostgreSQL cluster (no PG_VERSION); move it away");
  }
  TRY(const auto content, read_whole_file(directory.cluster + "/PG_VERSION", Links::refuse));
  const auto version = parse_int64(trim(content));
  if (!version || *version < 1 || *version > 9'999) {
    return Error(ErrorCode::data_directory_invalid,
                 directory.cluster +
                     " was made by a version of PostgreSQL that Rowhouse does not "
                     "know (PG_VERSION: " +
                     std::string(trim(content)) + ")");
  }
  if (info.st_uid != user.uid) {
    return Error(
        ErrorCode::data_directory_invalid,
        fmt::format(
            "{} belongs to the user with id {}, but PostgreSQL would run as user id {}; start Rowhouse "
            "as the same user as before, or give it away: chown -R {} {}",
            directory.cluster, info.st_uid, user.uid, user.uid, directory.cluster));
  }
  return std::optional<int>(static_cast<int>(*version));
}

Result<Secrets> load_secrets(const DataDirectory& directory, ClusterState cluster) {
  if (cluster == ClusterState::missing || exists(directory.secrets)) {
    TRY_DO(make_private_directory(directory.secrets, nullptr));
  }
  Secrets secrets;
  TRY(secrets.superuser_password,
      load_secret(directory, "superuser-password", cluster, kPasswordBytes, to_base64url));
  TRY(const auto key_text, load_secret(directory, "master-key", cluster, kMasterKeyBytes, to_hex));
  const auto key = from_hex(key_text);
  if (!key || key->size() != kMasterKeyBytes || secrets.superuser_password.empty()) {
    return Error(ErrorCode::data_directory_invalid,
                 "the files in " + directory.secrets + " were changed; restore them from a backup");
  }
  secrets.master_key = *key;
  return secrets;
}

Result<std::string> prepare_socket_directory(const DataDirectory& directory, const SystemUser& user) {
  remove_socket_directory(directory);
  const std::string socket_path = directory.socket + std::string(kSocketName);
  if (socket_path.size() < sizeof(sockaddr_un::sun_path)) {
    TRY_DO(make_private_directory(directory.socket, &user));
    return directory.socket;
  }
  std::string path = std::string(kTemporarySocketPrefix) + "XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return file_error("make", path, errno);
  TRY_DO(make_private_directory(path, &user));
  if (symlink(path.c_str(), directory.socket.c_str()) != 0) {
    const int reason = errno;
    rmdir(path.c_str());
    return file_error("make the link", directory.socket, reason);
  }
  return path;
}

void remove_socket_files(const std::string& socket_directory) {
  const std::string socket_path = socket_directory + std::string(kSocketName);
  unlink(socket_path.c_str());
  unlink((socket_path + ".lock").c_str());
}

void remove_socket_directory(const DataDirectory& directory) {
  std::error_code fault;
  const fs::path target = fs::read_symlink(directory.socket, fault);
  if (fault) return;  // a real directory, or nothing
  if (target.string().starts_with(kTemporarySocketPrefix)) {
    remove_socket_files(target);
    rmdir(target.c_str());
  }
  unlink(directory.socket.c_str());
}

Result<void> sync_directory(const std::string& path) {
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) return file_error("open", path, errno);
  if (fsync(descriptor.get()) != 0) return file_error("sync", path, errno);
  return {};
}

Result<void> write_whole_file(const std::string& path, std::string_view content, const SystemUser* owner) {
  const std::string temporary = path + ".tmp";
  unlink(temporary.c_str());  // of a crash
  Descriptor descriptor(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (descriptor.get() < 0) return file_error("make", temporary, errno);
  if (owner != nullptr && owner->change == SystemUser::Switch::needed &&
      fchown(descriptor.get(), owner->uid, owner->gid) != 0) {
    return file_error("change the owner of", temporary, errno);
  }
  TRY_DO(write_all(descriptor.get(), content, temporary));
  if (fsync(descriptor.get()) != 0) return file_error("sync", temporary, errno);
  if (descriptor.close_now() != 0) return file_error("close", temporary, errno);
  if (rename(temporary.c_str(), path.c_str()) != 0) return file_error("rename", temporary, errno);
  return sync_directory(fs::path(path).parent_path());
}

Result<std::string> read_whole_file(const std::string& path, Links links) {
  const int follow = links == Links::refuse ? O_NOFOLLOW : 0;
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | follow));
  if (descriptor.get() < 0) return file_error("read", path, errno);
  std::string content;
  char buffer[4096];
  while (content.size() <= kMaxSmallFileBytes) {
    const ssize_t count = read(descriptor.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("read", path, errno);
    if (count == 0) return content;
    content.append(buffer, static_cast<std::size_t>(count));
  }
  return file_error("read", path, EFBIG);
}

std::optional<PostmasterFile> read_postmaster_file(const DataDirectory& directory) {
  constexpr std::size_t kStatusLine = 7;  // the eighth, since PostgreSQL 10
  const auto content = read_whole_file(directory.cluster + "/postmaster.pid", Links::refuse);
  if (!content.ok()) return std::nullopt;
  const auto lines = split(*content, '\n');
  const auto pid = parse_int64(trim(lines.front()));
  if (!pid) return std::nullopt;
  PostmasterFile file;
  file.pid = static_cast<pid_t>(*pid);
  if (lines.size() > kStatusLine) file.status = trim(lines[kStatusLine]);
  return file;
}

}  // namespace rowhouse::pg
