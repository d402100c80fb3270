#include "storage/smb_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/blocking_store.h"
#include "storage/file_paths.h"
#include "storage/smb_library.h"

namespace rowhouse::storage {

namespace {

constexpr std::size_t kMaxQueuedCalls = 1'000;
constexpr mode_t kFileMode = 0640, kFolderMode = 0750;
// A lock that is older than this belongs to somebody who died.
constexpr std::int64_t kLockLifetimeNs = 60'000'000'000;
constexpr std::string_view kNewSuffix = "!n";

// The one thread of a process that calls the library.
net::BlockingWork& smb_thread() {
  static net::BlockingWork work([] {
    net::BlockingWorkOptions options;
    options.threads = 1;
    options.max_queued = kMaxQueuedCalls;
    return options;
  }());
  return work;
}

// A connection with its credentials. Made, used and freed on the library's thread; what was opened in it is
// shared, and what is given up elsewhere (a download on the event loop) is only noted here.
struct Connection {
  SMBCCTX* context = nullptr;
  std::string username, password, domain;
  std::mutex mutex;
  std::vector<SMBCFILE*> given_up;
};

// Connections that nobody uses any more, waiting for the library's thread.
struct Graveyard {
  std::mutex mutex;
  std::vector<Connection*> connections;
};
Graveyard& graveyard() {
  static Graveyard one;
  return one;
}
void bury(Connection* connection) {
  const std::lock_guard lock(graveyard().mutex);
  graveyard().connections.push_back(connection);
}
void free_connection(Connection* connection) {
  smb_library()->smbc_free_context(connection->context, 1);
  crypto::wipe(connection->password);
  delete connection;
}
void clear_graveyard() {
  std::vector<Connection*> dead;
  {
    const std::lock_guard lock(graveyard().mutex);
    dead.swap(graveyard().connections);
  }
  for (Connection* connection : dead) free_connection(connection);
}

void copy_out(const std::string& text, char* out, int size) {
  if (size <= 0) return;
  const std::size_t count = std::min(text.size(), static_cast<std::size_t>(size) - 1);
  std::memcpy(out, text.data(), count);
  out[count] = '\0';
}

void give_credentials(SMBCCTX* context, const char*, const char*, char* workgroup, int workgroup_size,
                      char* user, int user_size, char* password, int password_size) {
  const auto* connection = static_cast<Connection*>(smb_library()->smbc_getOptionUserData(context));
  if (connection == nullptr) return;
  if (!connection->domain.empty()) copy_out(connection->domain, workgroup, workgroup_size);
  copy_out(connection->username, user, user_size);
  copy_out(connection->password, password, password_size);
}

void no_log(void*, int, const char*) {}

// What a server said about a file; everything else says that the connection cannot be used any more.
bool is_answer(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
    case EEXIST:
    case ENOTEMPTY:
    case EACCES:
    case EPERM:
    case EBUSY:
    case ETXTBSY:
    case ENOSPC:
    case EDQUOT:
    case EISDIR:
    case EROFS:
    case ENAMETOOLONG:
    case ENOTSUP:
      return true;
    default:
      return false;
  }
}

FileInfo info_of(const struct stat& status) {
  FileInfo info;
  info.kind = S_ISREG(status.st_mode)   ? FileInfo::Kind::file
              : S_ISDIR(status.st_mode) ? FileInfo::Kind::folder
                                        : FileInfo::Kind::other;
  info.bytes = static_cast<std::uint64_t>(status.st_size);
  info.modified_ns = status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
  return info;
}

Error smb_error(std::string_view what, int number) {
  if (is_answer(number)) return file_error(what, number);
  Error error = file_error(what, number);
  error.code = ErrorCode::server_unreachable;
  return error;
}

class SmbFile final : public OpenFile {
 public:
  SmbFile(std::shared_ptr<Connection> connection, SMBCFILE* file)
      : connection_(std::move(connection)), file_(file) {}
  SmbFile(const SmbFile&) = delete;
  SmbFile& operator=(const SmbFile&) = delete;
  // Closing asks the server: the next call on the library's thread does it.
  ~SmbFile() override {
    if (file_ == nullptr) return;
    const std::lock_guard lock(connection_->mutex);
    connection_->given_up.push_back(file_);
  }

  Result<std::string> read(std::uint64_t offset, std::size_t bytes) override {
    TRY_DO(seek(offset));
    std::string piece(bytes, '\0');
    std::size_t done = 0;
    while (done < bytes) {
      const ssize_t got =
          library().smbc_getFunctionRead(context())(context(), file_, piece.data() + done, bytes - done);
      if (got < 0) return smb_error("read", errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    piece.resize(done);
    return piece;
  }
  Result<void> write(std::uint64_t offset, std::string_view data) override {
    TRY_DO(seek(offset));
    while (!data.empty()) {
      const ssize_t written =
          library().smbc_getFunctionWrite(context())(context(), file_, data.data(), data.size());
      if (written <= 0) return smb_error("write", written == 0 ? EIO : errno);
      data.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }
  Result<FileInfo> info() override {
    struct stat status {};
    if (library().smbc_getFunctionFstat(context())(context(), file_, &status) != 0) {
      return smb_error("look at a file", errno);
    }
    return info_of(status);
  }
  Result<void> finish() override {
    SMBCFILE* file = std::exchange(file_, nullptr);
    if (library().smbc_getFunctionClose(context())(context(), file) != 0) return smb_error("write", errno);
    return {};
  }

 private:
  static const SmbLibrary& library() { return *smb_library(); }
  SMBCCTX* context() const { return connection_->context; }
  Result<void> seek(std::uint64_t offset) {
    if (library().smbc_getFunctionLseek(context())(context(), file_, static_cast<off_t>(offset), SEEK_SET) <
        0) {
      return smb_error("read", errno);
    }
    return {};
  }

  std::shared_ptr<Connection> connection_;
  SMBCFILE* file_;
};

// SMB as libsmbclient speaks it cannot replace a file in one step: it removes the old one and then renames.
// So an object has two names, "x" and "x!n", and where both are there the new one counts. Replacing "x" names
// the new version "x!n" (from then on everybody sees it), removes "x" and renames back; a crash at any place
// leaves one version or the other. What is being read cannot be removed: then "x!n" stays until the next
// time. Several servers do this one after the other by a lock, a folder beside the temporary.
class SmbFiles final : public FileSystem {
 public:
  SmbFiles(SmbConfig config, const net::EgressPolicy& egress) : config_(std::move(config)), egress_(egress) {}

  Result<std::unique_ptr<OpenFile>> open(const std::string& path) override {
    TRY_DO(prepare());
    if (has_two_names(path)) {
      auto newer = open_file(path + std::string(kNewSuffix), O_RDONLY);
      if (newer.ok() || newer.error().code != ErrorCode::not_found) return newer;
      auto usual = open_file(path, O_RDONLY);
      if (usual.ok() || usual.error().code != ErrorCode::not_found) return usual;
      // Between the two looks one may have become the other.
      return open_file(path + std::string(kNewSuffix), O_RDONLY);
    }
    return open_file(path, O_RDONLY);
  }
  Result<std::unique_ptr<OpenFile>> create(const std::string& path) override {
    TRY_DO(prepare());
    return open_file(path, O_RDWR | O_CREAT | O_EXCL);
  }
  Result<FileInfo> stat(const std::string& path) override {
    TRY_DO(prepare());
    if (has_two_names(path)) {
      auto newer = stat_file(path + std::string(kNewSuffix));
      if (newer.ok() || newer.error().code != ErrorCode::not_found) return newer;
    }
    return stat_file(path);
  }
  Result<void> publish(const std::string& from, const std::string& to, Replace replace) override {
    TRY_DO(prepare());
    // A new object, as nearly always: nothing is replaced, and nothing can be half done.
    if (!has_two_names(to) || replace == Replace::unneeded) return rename_file(from, to);
    TRY(const std::string lock, take_lock(from, to));
    Result<void> published = publish_locked(from, to, replace);
    static_cast<void>(remove_folder(lock).ok());
    return published;
  }
  Result<void> remove(const std::string& path) override {
    TRY_DO(prepare());
    if (!has_two_names(path)) return remove_file(path);
    // The one that counts goes last, so that the other never comes to light.
    auto usual = remove_file(path);
    if (!usual.ok() && usual.error().code != ErrorCode::not_found) return usual;
    auto newer = remove_file(path + std::string(kNewSuffix));
    if (!newer.ok() && newer.error().code == ErrorCode::not_found) return usual;
    return newer;
  }
  Result<void> make_folder(const std::string& path) override {
    TRY_DO(prepare());
    return done("make a folder",
                library().smbc_getFunctionMkdir(context())(context(), url(path).c_str(), kFolderMode));
  }
  Result<void> remove_folder(const std::string& path) override {
    TRY_DO(prepare());
    return done("remove a folder", library().smbc_getFunctionRmdir(context())(context(), url(path).c_str()));
  }
  Result<std::vector<FolderEntry>> read_folder(const std::string& path, const std::string& cookie,
                                               std::size_t max) override;

 private:
  static const SmbLibrary& library() { return *smb_library(); }
  SMBCCTX* context() const { return connection_->context; }
  // Not the files of this folder's own.
  static bool has_two_names(const std::string& path) {
    return !path.starts_with(".rowhouse-") && path.find("/.rowhouse-") == std::string::npos;
  }
  std::string url(const std::string& path) const {
    std::string text = base_;
    for (const char c : path) {
      if (c == '/') {
        text += '/';
      } else {
        text += percent_encode(std::string_view(&c, 1));
      }
    }
    return text;
  }
  Result<void> done(std::string_view what, int result) {
    if (result == 0) return {};
    return failed(what, errno);
  }
  Error failed(std::string_view what, int number) {
    Error error = smb_error(what, number);
    if (error.code == ErrorCode::server_unreachable) connection_.reset();
    // Somebody reads it: a matter of time.
    if (number == EBUSY || number == ETXTBSY) error.code = ErrorCode::overloaded;
    return error;
  }
  Result<std::unique_ptr<OpenFile>> open_file(const std::string& path, int flags) {
    SMBCFILE* file =
        library().smbc_getFunctionOpen(context())(context(), url(path).c_str(), flags, kFileMode);
    if (file == nullptr) return failed("open a file", errno);
    std::unique_ptr<OpenFile> opened = std::make_unique<SmbFile>(connection_, file);
    return opened;
  }
  Result<FileInfo> stat_file(const std::string& path) {
    struct stat status {};
    TRY_DO(done("look at a file",
                library().smbc_getFunctionStat(context())(context(), url(path).c_str(), &status)));
    return info_of(status);
  }
  Result<void> rename_file(const std::string& from, const std::string& to) {
    return done("name a file", library().smbc_getFunctionRename(context())(context(), url(from).c_str(),
                                                                           context(), url(to).c_str()));
  }
  Result<void> remove_file(const std::string& path) {
    return done("remove a file", library().smbc_getFunctionUnlink(context())(context(), url(path).c_str()));
  }
  Result<bool> exists(const std::string& path) {
    const auto info = stat_file(path);
    if (info.ok()) return true;
    if (info.error().code == ErrorCode::not_found) return false;
    return info.error();
  }
  Result<void> prepare();
  Result<std::string> take_lock(const std::string& from, const std::string& to);
  Result<void> publish_locked(const std::string& from, const std::string& to, Replace replace);

  const SmbConfig config_;
  const net::EgressPolicy& egress_;
  std::string base_;  // "smb://ADDRESS/SHARE/FOLDER/"
  std::shared_ptr<Connection> connection_;
};

// On the library's thread, before each call.
Result<void> SmbFiles::prepare() {
  if (smb_library() == nullptr) {
    return Error(ErrorCode::storage_failed, "SMB needs libsmbclient, which is not installed on this machine");
  }
  clear_graveyard();
  if (connection_ != nullptr) {
    std::vector<SMBCFILE*> given_up;
    {
      const std::lock_guard lock(connection_->mutex);
      given_up.swap(connection_->given_up);
    }
    for (SMBCFILE* file : given_up) library().smbc_getFunctionClose(context())(context(), file);
    return {};
  }
  std::string host = config_.host;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  TRY(const auto addresses, net::resolve_for_egress(egress_, host, static_cast<std::uint16_t>(config_.port)));
  if (addresses.empty()) return Error(ErrorCode::server_unreachable, "the SMB server has no address");
  const std::string& address = addresses.front().text;
  const bool is_v6 = address.find(':') != std::string::npos;
  base_ = fmt::format("smb://{}/{}/", is_v6 ? "[" + address + "]" : address, percent_encode(config_.share));
  if (!config_.folder.empty()) {
    for (const std::string_view segment : split(config_.folder, '/')) base_ += percent_encode(segment) + "/";
  }
  auto* made = new Connection;
  made->context = library().smbc_new_context();
  made->username = config_.username;
  made->password = config_.password;
  made->domain = config_.domain;
  const std::shared_ptr<Connection> connection(made, bury);
  SMBCCTX* context = made->context;
  library().smbc_setDebug(context, 0);
  library().smbc_setLogCallback(context, nullptr, no_log);
  library().smbc_setTimeout(context, static_cast<int>(kSmbTimeout.count()));
  library().smbc_setPort(context, static_cast<std::uint16_t>(config_.port));
  library().smbc_setFunctionAuthDataWithContext(context, give_credentials);
  library().smbc_setOptionUserData(context, made);
  library().smbc_setOptionUseKerberos(context, 0);
  library().smbc_setOptionFallbackAfterKerberos(context, 0);
  library().smbc_setOptionNoAutoAnonymousLogin(context, 1);
  library().smbc_setOptionUseCCache(context, 0);
  library().smbc_setOptionUrlEncodeReaddirEntries(context, 0);
  const bool is_smb3 = config_.minimum == SmbConfig::Protocol::smb3;
  if (library().smbc_init_context(context) == nullptr ||
      !library().smbc_setOptionProtocols(context, is_smb3 ? "SMB3" : "SMB2", "SMB3")) {
    return Error(ErrorCode::internal, "libsmbclient cannot be set up");
  }
  connection_ = connection;
  // A share that is not there looks like a file that is not.
  const auto root = stat_file("");
  if (root.ok()) return {};
  connection_.reset();
  if (root.error().code != ErrorCode::not_found) return root.error();
  return Error(ErrorCode::storage_failed, "the SMB server has no such share or folder")
      .with_detail("provider_code", "ENOENT");
}

Result<std::string> SmbFiles::take_lock(const std::string& from, const std::string& to) {
  const std::string lock =
      fmt::format("{}/lock-{}", parent_of(from), to_hex(crypto::sha256(to)).substr(0, 32));
  auto made = make_folder(lock);
  if (!made.ok() && made.error().code == ErrorCode::conflict) {
    TRY(const FileInfo taken, stat_file(lock));
    TRY(const FileInfo mine, stat_file(from));
    if (taken.modified_ns + kLockLifetimeNs < mine.modified_ns) {
      static_cast<void>(remove_folder(lock).ok());
      made = make_folder(lock);
    }
  }
  if (made.ok()) return lock;
  if (made.error().code == ErrorCode::conflict || made.error().code == ErrorCode::not_found) {
    return Error(ErrorCode::overloaded, "another server is writing this object");
  }
  return made.error();
}

Result<void> SmbFiles::publish_locked(const std::string& from, const std::string& to, Replace replace) {
  const std::string newer = to + std::string(kNewSuffix);
  TRY(bool has_usual, exists(to));
  TRY(const bool has_newer, exists(newer));
  if (replace == Replace::no && (has_usual || has_newer)) {
    return Error(ErrorCode::conflict, "there is a file of that name");
  }
  if (has_usual && has_newer) {
    TRY_DO(remove_file(to));  // a version of long ago
    has_usual = false;
  }
  if (has_newer) {
    TRY_DO(rename_file(from, to));
    auto removed = remove_file(newer);  // from here on the new version counts
    if (!removed.ok()) static_cast<void>(rename_file(to, from).ok());
    return removed;
  }
  if (!has_usual) return rename_file(from, to);
  TRY_DO(rename_file(from, newer));  // from here on the new version counts
  if (remove_file(to).ok()) static_cast<void>(rename_file(newer, to).ok());
  return {};
}

// The library reads a folder as a whole. The order is that of the names, so that a list can go on behind one.
Result<std::vector<FolderEntry>> SmbFiles::read_folder(const std::string& path, const std::string& cookie,
                                                       std::size_t max) {
  TRY_DO(prepare());
  SMBCFILE* folder = library().smbc_getFunctionOpendir(context())(context(), url(path).c_str());
  if (folder == nullptr) return failed("read a folder", errno);
  std::map<std::string, FileInfo> found;
  struct stat status {};
  while (const libsmb_file_info* one =
             library().smbc_getFunctionReaddirPlus2(context())(context(), folder, &status)) {
    std::string name = one->name;
    const bool is_newer = name.ends_with(kNewSuffix);
    if (is_newer) name.resize(name.size() - kNewSuffix.size());
    if (name == "." || name == ".." || (!cookie.empty() && name <= cookie)) continue;
    if (is_newer) {
      found[name] = info_of(status);
    } else {
      found.emplace(name, info_of(status));
    }
    if (found.size() > max) found.erase(std::prev(found.end()));
  }
  library().smbc_getFunctionClosedir(context())(context(), folder);
  std::vector<FolderEntry> entries;
  entries.reserve(found.size());
  for (const auto& [name, info] : found) entries.push_back({name, info, name});
  return entries;
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_smb(const StoreTools& tools, const SmbConfig& config) {
  TRY_DO(tools.egress.check_host(config.host, static_cast<std::uint16_t>(config.port)));
  std::vector<std::unique_ptr<FileSystem>> files;
  files.push_back(std::make_unique<SmbFiles>(config, tools.egress));
  BlockingStoreOptions options;
  options.sharing = BlockingStoreOptions::Sharing::one_call;
  options.verify = BlockingStoreOptions::Verify::read_back;
  options.identity = fmt::format("smb //{}:{}/{}/{} {}", config.host, config.port,
                                 to_lower_ascii(config.share), to_lower_ascii(config.folder), config.prefix);
  options.prefix = config.prefix;
  return make_blocking_store(tools.executor, smb_thread(), tools.clock, std::move(files), std::move(options));
}

}  // namespace rowhouse::storage
