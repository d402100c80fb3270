#include "storage/nfs_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/time.h>  // libnfs.h needs it and does not include it
// in this order
#include <nfsc/libnfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/blocking_store.h"
#include "storage/file_paths.h"

namespace rowhouse::storage {

namespace {

using std::chrono::steady_clock;

constexpr int kTimeoutMs = 10'000;  // of one call
constexpr int kConnectTries = 2;    // of TCP: about 7 s
constexpr std::size_t kLanes = 4;   // connections of one store
constexpr int kFileMode = 0640, kFolderMode = 0750;
constexpr std::uint16_t kPortOfRpcbind = 111;
constexpr std::uint16_t kAnyPort = 1;  // stands for a port that rpcbind may name
// How long a folder that was seen to be none is taken for no symbolic link.
constexpr std::chrono::seconds kFolderTime{10};
constexpr std::size_t kMaxKnownFolders = 1'000;
// How long a file that was replaced stays for those who are reading it, and how many go in one call.
constexpr std::chrono::seconds kKeptTime{60};
constexpr std::size_t kMaxForgotten = 4;
constexpr int kStaleTries = 3;

struct ContextDeleter {
  void operator()(nfs_context* context) const { nfs_destroy_context(context); }
};
// Shared with the files that were opened in it: after a reconnect they still end in order.
using Context = std::shared_ptr<nfs_context>;

// Whether libnfs tells of the connection; what the server said has its name in the text.
bool is_broken(nfs_context* context, int number) {
  const char* text = nfs_get_error(context);
  const bool said_by_server =
      text != nullptr && std::string_view(text).find("NFS3ERR") != std::string_view::npos;
  return number == ESTALE || number == ETIMEDOUT || number == EINTR || (number == EIO && !said_by_server);
}

Error nfs_error(nfs_context* context, std::string_view what, int result) {
  const int number = -result;
  if (is_broken(context, number)) {
    return Error(ErrorCode::server_unreachable, fmt::format("the NFS server did not answer: {}", what))
        .with_detail("provider_code", "EIO");
  }
  return file_error(what, number);
}

FileInfo info_of(const nfs_stat_64& status) {
  FileInfo info;
  info.kind = S_ISREG(status.nfs_mode)   ? FileInfo::Kind::file
              : S_ISDIR(status.nfs_mode) ? FileInfo::Kind::folder
                                         : FileInfo::Kind::other;
  info.bytes = status.nfs_size;
  info.modified_ns = static_cast<std::int64_t>(status.nfs_mtime * 1'000'000'000ULL + status.nfs_mtime_nsec);
  info.id = status.nfs_ino;
  return info;
}

class NfsFile final : public OpenFile {
 public:
  enum class Access { read, write };
  NfsFile(Context context, nfsfh* file, Access access)
      : context_(std::move(context)), file_(file), access_(access) {}
  NfsFile(const NfsFile&) = delete;
  NfsFile& operator=(const NfsFile&) = delete;
  // Version 3 has no open files: closing only frees memory.
  ~NfsFile() override {
    if (file_ != nullptr) nfs_close(context_.get(), file_);
  }

  Result<std::string> read(std::uint64_t offset, std::size_t bytes) override {
    std::string piece(bytes, '\0');
    std::size_t done = 0;
    while (done < bytes) {
      const int got = nfs_pread(context_.get(), file_, offset + done, bytes - done, piece.data() + done);
      if (got < 0) return nfs_error(context_.get(), "read", got);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    piece.resize(done);
    return piece;
  }
  Result<void> write(std::uint64_t offset, std::string_view data) override {
    while (!data.empty()) {
      // The library's interface is not const; it only reads.
      const int written =
          nfs_pwrite(context_.get(), file_, offset, data.size(), const_cast<char*>(data.data()));
      if (written <= 0) return nfs_error(context_.get(), "write", written == 0 ? -EIO : written);
      offset += static_cast<std::uint64_t>(written);
      data.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }
  Result<FileInfo> info() override {
    nfs_stat_64 status{};
    const int result = nfs_fstat64(context_.get(), file_, &status);
    if (result < 0) return nfs_error(context_.get(), "look at a file", result);
    return info_of(status);
  }
  Result<void> finish() override {
    const int synced = access_ == Access::write ? nfs_fsync(context_.get(), file_) : 0;
    const int closed = nfs_close(context_.get(), std::exchange(file_, nullptr));
    if (synced < 0 || closed < 0) return nfs_error(context_.get(), "write", synced < 0 ? synced : closed);
    return {};
  }

 private:
  Context context_;
  nfsfh* file_;
  Access access_;
};

class NfsFiles final : public FileSystem {
 public:
  NfsFiles(NfsConfig config, const net::EgressPolicy& egress) : config_(std::move(config)), egress_(egress) {}

  Result<std::unique_ptr<OpenFile>> open(const std::string& path) override {
    TRY(const FileInfo info, stat(path));
    if (info.kind != FileInfo::Kind::file) return Error(ErrorCode::not_found, "this is no file");
    nfsfh* file = nullptr;
    TRY_DO(looked_up("open a file", [&] {
      return nfs_open(context_.get(), full(path).c_str(), O_RDONLY | O_NOFOLLOW, &file);
    }));
    std::unique_ptr<OpenFile> opened = std::make_unique<NfsFile>(context_, file, NfsFile::Access::read);
    return opened;
  }
  Result<std::unique_ptr<OpenFile>> create(const std::string& path) override {
    TRY_DO(prepare(path));
    nfsfh* file = nullptr;
    TRY_DO(looked_up("make a file", [&] {
      return nfs_create(context_.get(), full(path).c_str(), O_RDWR | O_CREAT | O_EXCL, kFileMode, &file);
    }));
    std::unique_ptr<OpenFile> opened = std::make_unique<NfsFile>(context_, file, NfsFile::Access::write);
    return opened;
  }
  Result<FileInfo> stat(const std::string& path) override {
    TRY_DO(prepare(path));
    nfs_stat_64 status{};
    TRY_DO(looked_up("look at a file",
                     [&] { return nfs_lstat64(context_.get(), full(path).c_str(), &status); }));
    return info_of(status);
  }
  Result<void> publish(const std::string& from, const std::string& to, Replace replace) override {
    TRY_DO(prepare(from));
    TRY_DO(prepare(to));
    const std::string source = full(from);
    const std::string target = full(to);
    forget_kept();
    if (replace == Replace::yes) keep_for_readers(parent_of(from), target);
    if (replace != Replace::no) {
      return looked_up("name a file",
                       [&] { return nfs_rename(context_.get(), source.c_str(), target.c_str()); });
    }
    TRY_DO(
        looked_up("name a file", [&] { return nfs_link(context_.get(), source.c_str(), target.c_str()); }));
    // It has its name; what is left of the temporary is swept.
    nfs_unlink(context_.get(), source.c_str());
    return {};
  }
  Result<void> remove(const std::string& path) override {
    TRY_DO(prepare(path));
    return looked_up("remove a file", [&] { return nfs_unlink(context_.get(), full(path).c_str()); });
  }
  Result<void> make_folder(const std::string& path) override {
    TRY_DO(prepare(path));
    return looked_up("make a folder",
                     [&] { return nfs_mkdir2(context_.get(), full(path).c_str(), kFolderMode); });
  }
  Result<void> remove_folder(const std::string& path) override {
    TRY_DO(prepare(path));
    return looked_up("remove a folder", [&] { return nfs_rmdir(context_.get(), full(path).c_str()); });
  }
  Result<std::vector<FolderEntry>> read_folder(const std::string& path, const std::string& cookie,
                                               std::size_t max) override;

 private:
  static std::string full(const std::string& path) { return "/" + path; }
  Result<void> done(std::string_view what, int result) {
    if (result >= 0) return {};
    Error error = nfs_error(context_.get(), what, result);
    if (error.code == ErrorCode::server_unreachable) context_.reset();
    return error;
  }
  // The library walks from the root with each call. A folder that somebody removes meanwhile is "stale"; with
  // the next call it is missing. What stays stale is the export itself, after the server has started anew.
  template <class Call>
  Result<void> looked_up(std::string_view what, Call call) {
    int result = call();
    for (int i = 1; result == -ESTALE && i < kStaleTries; ++i) result = call();
    return done(what, result);
  }
  Result<void> prepare(const std::string& path) {
    if (context_ == nullptr) TRY_DO(connect());
    return check_folders(path);
  }
  void keep_for_readers(std::string_view temporaries, const std::string& target);
  void forget_kept();
  Result<void> connect();
  Result<std::string> address() const;
  Result<void> check_folders(const std::string& path);

  const NfsConfig config_;
  const net::EgressPolicy& egress_;
  Context context_;
  std::map<std::string, steady_clock::time_point, std::less<>> known_folders_;
  std::deque<std::pair<steady_clock::time_point, std::string>> kept_;
};

// Every port that libnfs will connect to is asked for. Where rpcbind names them, the host decides: then the
// operator must have allowed the host with all its ports.
Result<std::string> NfsFiles::address() const {
  std::string host = config_.host;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  const bool asks = config_.nfs_port == 0 || config_.mount_port == 0;
  const std::uint16_t ports[] = {static_cast<std::uint16_t>(asks ? kPortOfRpcbind : config_.mount_port),
                                 static_cast<std::uint16_t>(asks ? kAnyPort : config_.nfs_port)};
  std::string address;
  for (const std::uint16_t port : ports) {
    TRY(const auto addresses, net::resolve_for_egress(egress_, host, port));
    const bool still_there =
        address.empty() || std::any_of(addresses.begin(), addresses.end(),
                                       [&](const net::ResolvedAddress& one) { return one.text == address; });
    if (addresses.empty() || !still_there)
      return Error(ErrorCode::address_refused, "the host changes its address");
    if (address.empty()) address = addresses.front().text;
  }
  return address;
}

Result<void> NfsFiles::connect() {
  TRY(const std::string server, address());
  const Context context(nfs_init_context(), ContextDeleter());
  if (context == nullptr) return Error(ErrorCode::internal, "libnfs gives no context");
  nfs_set_timeout(context.get(), kTimeoutMs);
  nfs_set_autoreconnect(context.get(), 0);
  nfs_set_tcp_syncnt(context.get(), kConnectTries);
  nfs_set_dircache(context.get(), 0);
  nfs_set_pagecache(context.get(), 0);
  nfs_set_readahead(context.get(), 0);
  // The ports can only be set by an address; nothing in it comes from the tenant but two numbers.
  std::string options = "nfs://host/export/file?version=3";
  if (config_.nfs_port != 0) options += fmt::format("&nfsport={}", config_.nfs_port);
  if (config_.mount_port != 0) options += fmt::format("&mountport={}", config_.mount_port);
  nfs_url* parsed = nfs_parse_url_full(context.get(), options.c_str());
  if (parsed == nullptr) return Error(ErrorCode::internal, "libnfs does not know its own options");
  nfs_destroy_url(parsed);
  const int mounted = nfs_mount(context.get(), server.c_str(), config_.export_path.c_str());
  if (mounted == 0) {
    context_ = context;
    known_folders_.clear();
    return {};
  }
  // Version 3 names refusals of its own; without one nobody was there.
  const char* text = nfs_get_error(context.get());
  const std::string_view said = text == nullptr ? "" : text;
  for (const std::string_view name : {"MNT3ERR_NOENT", "MNT3ERR_ACCES", "MNT3ERR_PERM", "MNT3ERR_NOTDIR"}) {
    if (said.find(name) == std::string_view::npos) continue;
    return Error(ErrorCode::storage_failed,
                 fmt::format("the NFS server does not give the export out ({})", name))
        .with_detail("provider_code", std::string(name));
  }
  if (said.find("MNT3ERR") != std::string_view::npos || mounted == -EACCES || mounted == -ENOENT) {
    return Error(ErrorCode::storage_failed, "the NFS server does not give the export out")
        .with_detail("provider_code", "MNT3ERR");
  }
  return Error(ErrorCode::server_unreachable, "the NFS server cannot be reached")
      .with_detail("provider_code", "ECONNREFUSED");
}

// The protocol knows no open files: what has no name any more is gone for those who are reading it. So a file
// that is replaced keeps a second name among the temporaries for a while, and is swept if this process ends.
void NfsFiles::keep_for_readers(std::string_view temporaries, const std::string& target) {
  const std::string kept = full(fmt::format("{}/{}", temporaries, to_hex(crypto::random_bytes(16))));
  if (nfs_link(context_.get(), target.c_str(), kept.c_str()) == 0) {
    kept_.emplace_back(steady_clock::now() + kKeptTime, kept);
  }
}

void NfsFiles::forget_kept() {
  const auto now = steady_clock::now();
  for (std::size_t i = 0; i < kMaxForgotten && !kept_.empty() && kept_.front().first < now; ++i) {
    nfs_unlink(context_.get(), kept_.front().second.c_str());
    kept_.pop_front();
  }
}

// libnfs follows symbolic links in the middle of a path; whoever may write to the export could set some.
Result<void> NfsFiles::check_folders(const std::string& path) {
  const auto now = steady_clock::now();
  if (known_folders_.size() > kMaxKnownFolders) known_folders_.clear();
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    const auto known = known_folders_.find(folder);
    if (known != known_folders_.end() && known->second > now) continue;
    nfs_stat_64 status{};
    TRY_DO(looked_up("look at a folder",
                     [&] { return nfs_lstat64(context_.get(), full(folder).c_str(), &status); }));
    if (S_ISLNK(status.nfs_mode)) {
      return Error(ErrorCode::storage_failed, "a symbolic link is in the way")
          .with_detail("provider_code", "ELOOP");
    }
    if (!S_ISDIR(status.nfs_mode)) return Error(ErrorCode::not_found, "a file is where a folder should be");
    known_folders_[folder] = now + kFolderTime;
  }
  return {};
}

// libnfs reads a folder as a whole. The order is that of the names, so that a list can go on behind one.
Result<std::vector<FolderEntry>> NfsFiles::read_folder(const std::string& path, const std::string& cookie,
                                                       std::size_t max) {
  TRY_DO(prepare(path + "/"));
  nfsdir* opened = nullptr;
  TRY_DO(done("read a folder", nfs_opendir(context_.get(), full(path).c_str(), &opened)));
  const auto close = [this](nfsdir* folder) { nfs_closedir(context_.get(), folder); };
  const std::unique_ptr<nfsdir, decltype(close)> folder(opened, close);
  std::vector<nfsdirent*> found;
  while (nfsdirent* entry = nfs_readdir(context_.get(), folder.get())) {
    const std::string_view name = entry->name;
    if (name != "." && name != ".." && (cookie.empty() || name > cookie)) found.push_back(entry);
  }
  const std::size_t count = std::min(max, found.size());
  const auto middle = found.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(found.begin(), middle, found.end(), [](const nfsdirent* a, const nfsdirent* b) {
    return std::string_view(a->name) < std::string_view(b->name);
  });
  std::vector<FolderEntry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    const nfsdirent& one = *found[i];
    FileInfo info;
    // The kinds of NFS: 1 is a file, 2 a folder.
    info.kind = one.type == 1   ? FileInfo::Kind::file
                : one.type == 2 ? FileInfo::Kind::folder
                                : FileInfo::Kind::other;
    info.bytes = one.size;
    info.modified_ns = static_cast<std::int64_t>(one.mtime.tv_sec) * 1'000'000'000 + one.mtime_nsec;
    info.id = one.inode;
    entries.push_back({one.name, info, one.name});
  }
  return entries;
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_nfs(const StoreTools& tools, const NfsConfig& config) {
  TRY_DO(tools.egress.check_host(
      config.host, static_cast<std::uint16_t>(config.nfs_port == 0 ? kPortOfRpcbind : config.nfs_port)));
  std::vector<std::unique_ptr<FileSystem>> files;
  for (std::size_t i = 0; i < kLanes; ++i) files.push_back(std::make_unique<NfsFiles>(config, tools.egress));
  BlockingStoreOptions options;
  options.sharing = BlockingStoreOptions::Sharing::one_call;
  options.verify = BlockingStoreOptions::Verify::read_back;
  options.identity = fmt::format("nfs {}:{} {}", config.host, config.export_path, config.prefix);
  options.prefix = config.prefix;
  return make_blocking_store(tools.executor, tools.file_work, tools.clock, std::move(files),
                             std::move(options));
}

}  // namespace rowhouse::storage
