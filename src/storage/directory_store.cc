#include "storage/directory_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "storage/blocking_store.h"
#include "storage/file_paths.h"

namespace rowhouse::storage {

namespace {

constexpr const char* kAttribute = "user.rowhouse";
constexpr std::size_t kMaxAttributeBytes = 4'096;
constexpr std::size_t kDirentBytes = 64 * 1024;
constexpr mode_t kFileMode = 0640, kFolderMode = 0750;

// A descriptor that is closed in the end.
class Fd {
 public:
  explicit Fd(int number = -1) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  int number_;
};

FileInfo info_of(const struct stat& status) {
  FileInfo info;
  info.kind = S_ISREG(status.st_mode)   ? FileInfo::Kind::file
              : S_ISDIR(status.st_mode) ? FileInfo::Kind::folder
                                        : FileInfo::Kind::other;
  info.bytes = static_cast<std::uint64_t>(status.st_size);
  info.modified_ns = status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
  info.id = status.st_ino;
  return info;
}

int open_beneath(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  // EAGAIN: somebody renamed folders at the same moment (openat2(2)).
  for (int i = 0;; ++i) {
    const long fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN || i == 100) return static_cast<int>(fd);
  }
}

class DirectoryFile final : public OpenFile {
 public:
  explicit DirectoryFile(Fd fd) : fd_(std::move(fd)) {}

  Result<std::string> read(std::uint64_t offset, std::size_t bytes) override {
    std::string piece(bytes, '\0');
    std::size_t done = 0;
    while (done < bytes) {
      const ssize_t got =
          pread(fd_.get(), piece.data() + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return file_error("read", errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    piece.resize(done);
    return piece;
  }
  Result<void> write(std::uint64_t offset, std::string_view data) override {
    while (!data.empty()) {
      const ssize_t written = pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return file_error("write", errno);
      offset += static_cast<std::uint64_t>(written);
      data.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }
  Result<FileInfo> info() override {
    struct stat status {};
    if (fstat(fd_.get(), &status) != 0) return file_error("look at a file", errno);
    return info_of(status);
  }
  Result<void> finish() override {
    const Fd closing = std::move(fd_);
    const int flags = fcntl(closing.get(), F_GETFL);
    if ((flags & O_ACCMODE) != O_RDONLY && fsync(closing.get()) != 0) return file_error("write", errno);
    return {};
  }

 private:
  Fd fd_;
};

// Any number of calls at once: it holds nothing but what was learned about attributes.
class DirectoryFiles final : public FileSystem {
 public:
  explicit DirectoryFiles(std::string root) : root_(std::move(root)) {}

  Result<std::unique_ptr<OpenFile>> open(const std::string& path) override {
    TRY(const Fd root, open_root());
    Fd fd(beneath(root, path, O_RDONLY | O_NONBLOCK, 0));
    if (fd.get() < 0) return failed("open a file");
    std::unique_ptr<OpenFile> file = std::make_unique<DirectoryFile>(std::move(fd));
    TRY(const FileInfo info, file->info());
    if (info.kind != FileInfo::Kind::file) return Error(ErrorCode::not_found, "this is no file");
    return file;
  }
  Result<std::unique_ptr<OpenFile>> create(const std::string& path) override {
    TRY(const Fd root, open_root());
    Fd fd(beneath(root, path, O_RDWR | O_CREAT | O_EXCL, kFileMode));
    if (fd.get() < 0) return failed("make a file");
    std::unique_ptr<OpenFile> file = std::make_unique<DirectoryFile>(std::move(fd));
    return file;
  }
  Result<FileInfo> stat(const std::string& path) override {
    TRY(const Place place, find(path));
    struct stat status {};
    if (fstatat(place.folder.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return failed("look at a file");
    }
    return info_of(status);
  }
  Result<void> publish(const std::string& from, const std::string& to, Replace replace) override {
    TRY(const Place source, find(from));
    TRY(const Place target, find(to));
    const int from_folder = source.folder.get();
    const int to_folder = target.folder.get();
    if (replace != Replace::no) {
      if (renameat(from_folder, source.name.c_str(), to_folder, target.name.c_str()) != 0) {
        return failed("name a file");
      }
    } else {
      // A link and not RENAME_NOREPLACE, which network file systems do not have.
      if (linkat(from_folder, source.name.c_str(), to_folder, target.name.c_str(), 0) != 0) {
        return failed("name a file");
      }
      unlinkat(from_folder, source.name.c_str(), 0);
    }
    return sync_folder(to_folder);
  }
  Result<void> remove(const std::string& path) override {
    TRY(const Place place, find(path));
    if (unlinkat(place.folder.get(), place.name.c_str(), 0) != 0) return failed("remove a file");
    return {};
  }
  Result<void> make_folder(const std::string& path) override {
    TRY(const Place place, find(path));
    if (mkdirat(place.folder.get(), place.name.c_str(), kFolderMode) != 0) return failed("make a folder");
    return sync_folder(place.folder.get());
  }
  Result<void> remove_folder(const std::string& path) override {
    TRY(const Place place, find(path));
    if (unlinkat(place.folder.get(), place.name.c_str(), AT_REMOVEDIR) != 0) return failed("remove a folder");
    return {};
  }
  Result<std::vector<FolderEntry>> read_folder(const std::string& path, const std::string& cookie,
                                               std::size_t max) override;

  bool has_attributes() override {
    Attributes known = attributes_.load(std::memory_order_relaxed);
    if (known == Attributes::unknown) {
      known = look_for_attributes();
      attributes_.store(known, std::memory_order_relaxed);
    }
    return known == Attributes::some;
  }
  Result<void> set_attribute(const std::string& path, const std::string& text) override {
    TRY(const Fd root, open_root());
    const Fd fd(beneath(root, path, O_RDONLY | O_NONBLOCK, 0));
    if (fd.get() < 0 || fsetxattr(fd.get(), kAttribute, text.data(), text.size(), 0) != 0) {
      return failed("set an attribute");
    }
    return {};
  }
  Result<std::string> attribute(const std::string& path) override {
    TRY(const Fd root, open_root());
    const Fd fd(beneath(root, path, O_RDONLY | O_NONBLOCK, 0));
    std::string text(kMaxAttributeBytes, '\0');
    const ssize_t size = fd.get() < 0 ? -1 : fgetxattr(fd.get(), kAttribute, text.data(), text.size());
    if (size < 0 && errno == ENODATA) return std::string();
    if (size < 0) return failed("read an attribute");
    text.resize(static_cast<std::size_t>(size));
    return text;
  }

 private:
  enum class Attributes { unknown, none, some };
  struct Place {
    Fd folder;
    std::string name;
  };

  static Error failed(std::string_view what) {
    const int number = errno;
    if (number == ELOOP || number == EXDEV) {
      return Error(ErrorCode::storage_failed,
                   fmt::format("the storage could not {}: a symbolic link is in the way", what))
          .with_detail("provider_code", "ELOOP");
    }
    return file_error(what, number);
  }
  // The root is opened anew each time: a share that was mounted again is another directory of that name.
  Result<Fd> open_root() const {
    Fd fd(open_beneath(AT_FDCWD, root_.c_str(), O_PATH | O_DIRECTORY, 0,
                       RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
    if (fd.get() >= 0) return fd;
    Error error = file_error("open its directory", errno);
    // Missing objects are not_found; a missing store is not.
    if (error.code == ErrorCode::not_found) error.code = ErrorCode::storage_failed;
    return error;
  }
  static int beneath(const Fd& root, const std::string& path, int flags, mode_t mode) {
    return open_beneath(root.get(), path.empty() ? "." : path.c_str(), flags, mode,
                        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  }
  // The folder of a path, and the last name in it.
  Result<Place> find(const std::string& path) const {
    TRY(const Fd root, open_root());
    Place place;
    place.folder = Fd(beneath(root, std::string(parent_of(path)), O_RDONLY | O_DIRECTORY, 0));
    if (place.folder.get() < 0) return failed("open a folder");
    place.name = path.substr(path.rfind('/') + 1);
    return place;
  }
  static Result<void> sync_folder(int fd) {
    // Some network file systems cannot sync folders and do not need it.
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) return failed("write");
    return {};
  }
  Attributes look_for_attributes() const {
    const auto root = open_root();
    if (!root.ok()) return Attributes::unknown;
    const Fd fd(beneath(root.value(), "", O_RDONLY | O_DIRECTORY, 0));
    if (fd.get() < 0) return Attributes::unknown;
    char byte = 0;
    const bool some = fgetxattr(fd.get(), kAttribute, &byte, 1) >= 0 || errno == ENODATA || errno == ERANGE;
    return some ? Attributes::some : Attributes::none;
  }

  const std::string root_;
  std::atomic<Attributes> attributes_{Attributes::unknown};
};

struct LinuxDirent {
  std::uint64_t inode;
  std::int64_t offset;  // where the next one begins, for lseek
  std::uint16_t length;
  std::uint8_t type;
  char name[1];
};

// The kernel's own positions make it possible to go on in the middle of a folder of any size.
Result<std::vector<FolderEntry>> DirectoryFiles::read_folder(const std::string& path,
                                                             const std::string& cookie, std::size_t max) {
  TRY(const Fd root, open_root());
  const Fd folder(beneath(root, path, O_RDONLY | O_DIRECTORY, 0));
  if (folder.get() < 0) return failed("read a folder");
  const auto position = cookie.empty() ? std::optional<std::int64_t>(0) : parse_int64(cookie);
  if (!position || (*position != 0 && lseek(folder.get(), *position, SEEK_SET) < 0)) {
    return Error(ErrorCode::validation_failed, "the list's token is not valid");
  }
  std::vector<FolderEntry> entries;
  std::vector<char> buffer(kDirentBytes);
  for (;;) {
    const long got = syscall(SYS_getdents64, folder.get(), buffer.data(), buffer.size());
    if (got < 0) return failed("read a folder");
    if (got == 0) return entries;
    for (long at = 0; at < got;) {
      LinuxDirent dirent{};
      std::memcpy(&dirent, buffer.data() + at, offsetof(LinuxDirent, name));
      const std::string name = buffer.data() + at + offsetof(LinuxDirent, name);
      at += dirent.length;
      if (name == "." || name == "..") continue;
      struct stat status {};
      // What was removed in the meantime is not there.
      if (fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      entries.push_back({name, info_of(status), fmt::format("{}", dirent.offset)});
      if (entries.size() == max) return entries;
    }
  }
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_directory(const StoreTools& tools, const DirectoryConfig& config) {
  if (!config.root.starts_with('/')) {
    return Error(ErrorCode::validation_failed, "the directory of a store must be an absolute path");
  }
  std::vector<std::unique_ptr<FileSystem>> files;
  files.push_back(std::make_unique<DirectoryFiles>(config.root));
  BlockingStoreOptions options;
  options.identity = fmt::format("directory {} {}", config.root, config.prefix);
  options.prefix = config.prefix;
  return make_blocking_store(tools.executor, tools.file_work, tools.clock, std::move(files),
                             std::move(options));
}

}  // namespace rowhouse::storage
