#include "storage/directory_admin.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

namespace rowhouse::storage {
namespace {

constexpr std::string_view kRemoving = ".removing-";
// Entries that one turn deletes: between two turns a removal can be stopped, and others get their turn.
constexpr std::size_t kEntriesPerTurn = 2'000;
constexpr mode_t kOwnerOnly = 0700;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  bool ok() const { return number_ >= 0; }

 private:
  int number_;
};

Error failed(std::string_view what, const std::string& where) {
  const int reason = errno;
  const bool is_full = reason == ENOSPC || reason == EDQUOT;
  return Error(is_full ? ErrorCode::disk_full : ErrorCode::storage_failed,
               fmt::format("cannot {} {}: {}", what, where, std::strerror(reason)));
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, DirectoryCloser>;

int open_folder(int parent, const char* name) {
  return ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

enum class Left { nothing, more };

Result<Left> remove_folder(int parent, const char* name, std::size_t& budget);

Result<Left> remove_entry(int folder, const char* name, std::size_t& budget) {
  if (::unlinkat(folder, name, 0) == 0 || errno == ENOENT) return Left::nothing;
  if (errno != EISDIR && errno != EPERM) return failed("remove", name);
  return remove_folder(folder, name, budget);
}

// Stops when the budget is used up. What was added meanwhile is seen by the next turn.
Result<Left> remove_folder(int parent, const char* name, std::size_t& budget) {
  const int folder = open_folder(parent, name);
  if (folder < 0) return errno == ENOENT ? Result<Left>(Left::nothing) : failed("open", name);
  const Directory entries(::fdopendir(folder));
  if (entries == nullptr) {
    ::close(folder);
    return failed("read", name);
  }
  while (const dirent* entry = ::readdir(entries.get())) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    if (budget == 0) return Left::more;
    --budget;
    TRY(const Left left, remove_entry(::dirfd(entries.get()), entry->d_name, budget));
    if (left == Left::more) return Left::more;
  }
  if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return Left::nothing;
  if (errno == ENOTEMPTY || errno == EEXIST) return Left::more;
  return failed("remove", name);
}

class DirectoryAdmin final : public ObjectStoreAdmin {
 public:
  DirectoryAdmin(net::Executor& executor, net::BlockingWork& file_work, std::string root)
      : executor_(executor), file_work_(file_work), root_(std::move(root)) {}

  Task<Result<MadeStore>> create(Uuid tenant, std::uint64_t, CallOptions options) override {
    const std::string name = tenant.to_string();
    std::string path;
    const std::function<Task<Result<void>>()> work = [&] {
      return in_background([&] { return make(name, path); }, options);
    };
    CO_TRY_DO(co_await as_effect("make directory", work, options));
    MadeStore made;
    made.provider = "directory";
    made.config.set("root", path);
    co_return made;
  }

  Task<Result<void>> set_quota(Uuid, std::uint64_t, CallOptions) override { co_return Result<void>(); }

  Task<Result<void>> remove(Uuid tenant, CallOptions options) override {
    const std::string name = tenant.to_string();
    const std::function<Task<Result<void>>()> work = [&] { return remove_all(name, options); };
    co_return co_await as_effect("remove directory", work, options);
  }

  Task<Result<std::vector<Uuid>>> list_ours(CallOptions options) override {
    std::vector<Uuid> found;
    std::function<Result<void>()> work = [&] { return list(found); };
    CO_TRY_DO(co_await in_background(std::move(work), options));
    co_return found;
  }

 private:
  // `work` must not throw; it runs on another thread while this one waits.
  Task<Result<void>> in_background(std::function<Result<void>()> work, CallOptions options) {
    Result<void> outcome;
    std::function<void()> job = [&] { outcome = work(); };
    CO_TRY_DO(co_await file_work_.run(executor_, std::move(job), options));
    co_return outcome;
  }

  Result<void> make(const std::string& name, std::string& path) const {
    const Descriptor root(open_folder(AT_FDCWD, root_.c_str()));
    if (!root.ok()) return failed("open", root_);
    if (::mkdirat(root.number(), name.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
      return failed("make a directory in", root_);
    }
    const Descriptor made(open_folder(root.number(), name.c_str()));
    if (!made.ok()) return failed("open", root_ + "/" + name);
    if (::fsync(root.number()) != 0) return failed("sync", root_);
    const std::unique_ptr<char, void (*)(void*)> canonical(::realpath(root_.c_str(), nullptr), std::free);
    if (canonical == nullptr) return failed("resolve", root_);
    path = std::string(canonical.get()) + "/" + name;
    return {};
  }

  Task<Result<void>> remove_all(std::string name, CallOptions options) {
    for (;;) {
      if (options.cancel != nullptr && options.cancel->cancelled()) {
        co_return Error(ErrorCode::cancelled, "the removal was given up");
      }
      Left left = Left::nothing;
      std::function<Result<void>()> turn = [&] { return remove_turn(name, left); };
      CO_TRY_DO(co_await in_background(std::move(turn), options));
      if (left == Left::nothing) co_return Result<void>();
    }
  }

  Result<void> remove_turn(const std::string& name, Left& left) const {
    const Descriptor root(open_folder(AT_FDCWD, root_.c_str()));
    if (!root.ok()) return failed("open", root_);
    const std::string doomed = std::string(kRemoving) + name;
    if (::renameat(root.number(), name.c_str(), root.number(), doomed.c_str()) != 0 && errno != ENOENT &&
        errno != ENOTEMPTY && errno != EEXIST) {
      return failed("rename", root_ + "/" + name);
    }
    std::size_t budget = kEntriesPerTurn;
    TRY(left, remove_folder(root.number(), doomed.c_str(), budget));
    if (left == Left::nothing && ::faccessat(root.number(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
      left = Left::more;
    }
    if (left == Left::nothing && ::fsync(root.number()) != 0) return failed("sync", root_);
    return {};
  }

  Result<void> list(std::vector<Uuid>& found) const {
    const int root = open_folder(AT_FDCWD, root_.c_str());
    if (root < 0) return failed("open", root_);
    const Directory entries(::fdopendir(root));
    if (entries == nullptr) {
      ::close(root);
      return failed("read", root_);
    }
    while (const dirent* entry = ::readdir(entries.get())) {
      std::string_view name = entry->d_name;
      if (name.starts_with(kRemoving)) name.remove_prefix(kRemoving.size());
      if (const auto tenant = Uuid::parse(name)) found.push_back(*tenant);
    }
    return {};
  }

  net::Executor& executor_;
  net::BlockingWork& file_work_;
  const std::string root_;
};

}  // namespace

std::unique_ptr<ObjectStoreAdmin> open_directory_admin(net::Executor& executor, net::BlockingWork& file_work,
                                                       std::string root) {
  return std::make_unique<DirectoryAdmin>(executor, file_work, std::move(root));
}

}  // namespace rowhouse::storage
