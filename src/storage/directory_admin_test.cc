#include "storage/directory_admin.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/effects.h"

namespace rowhouse::storage {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Notes what it is asked; refuses at `refuse`.
class Watch final : public EffectGuard {
 public:
  std::string label() const override { return "watch"; }
  Task<Result<void>> admit() override { return told("admit"); }
  Task<Result<void>> around(Moment moment, std::string_view effect) override {
    return told((moment == Moment::before ? "before " : "after ") + std::string(effect));
  }
  std::vector<std::string> seen;
  std::string refuse;

 private:
  Task<Result<void>> told(std::string what) {
    seen.push_back(what);
    if (what == refuse) co_return Error(ErrorCode::cancelled, "refused");
    co_return Result<void>();
  }
};

class DirectoryAdminTest : public testing::Test {
 protected:
  DirectoryAdminTest() : file_work_(net::BlockingWorkOptions()) {
    std::string pattern = testing::TempDir() + "/objects_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = fs::canonical(pattern);
    admin_ = open_directory_admin(executor_, file_work_, root_);
  }
  ~DirectoryAdminTest() override { fs::remove_all(root_); }

  CallOptions options() { return CallOptions{deadline_in(20s), &cancel_, &watch_}; }
  Result<MadeStore> create(const Uuid& tenant) {
    return net::run_until_done(executor_, admin_->create(tenant, 0, options()));
  }
  Result<void> remove(const Uuid& tenant) {
    return net::run_until_done(executor_, admin_->remove(tenant, options()));
  }
  std::vector<Uuid> ours() { return *net::run_until_done(executor_, admin_->list_ours(options())); }
  void write(const fs::path& path) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "x";
  }

  net::Executor executor_;
  net::BlockingWork file_work_;
  fs::path root_;
  std::unique_ptr<ObjectStoreAdmin> admin_;
  CancelSource cancel_;
  Watch watch_;
  const Uuid tenant_ = *Uuid::parse("0190f6a0-0000-7000-8000-000000000001");
  const Uuid other_ = *Uuid::parse("0190f6a0-0000-7000-8000-000000000002");
};

TEST_F(DirectoryAdminTest, MakesAPrivateDirectoryAsOftenAsItIsAsked) {
  for (int i = 0; i < 2; ++i) {
    const auto made = create(tenant_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    EXPECT_EQ(made->provider, "directory");
    const auto config = read_provisioned_config(made->provider, made->config);
    ASSERT_TRUE(config.ok());
    const std::string root = std::get<DirectoryConfig>(*config).root;
    EXPECT_EQ(root, (root_ / tenant_.to_string()).string());
    struct stat status {};
    ASSERT_EQ(::stat(root.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
  }
  EXPECT_EQ(ours(), std::vector<Uuid>{tenant_});
  EXPECT_EQ(std::vector<std::string>(watch_.seen.begin(), watch_.seen.begin() + 3),
            (std::vector<std::string>{"before make directory", "admit", "after make directory"}));
}

TEST_F(DirectoryAdminTest, RemovesEverythingOfOneAndNothingElse) {
  ASSERT_TRUE(create(tenant_).ok());
  ASSERT_TRUE(create(other_).ok());
  const fs::path outside = root_ / "outside";
  write(outside / "kept");
  write(root_ / other_.to_string() / "kept");
  const fs::path own = root_ / tenant_.to_string();
  for (int i = 0; i < 2'500; ++i) write(own / std::to_string(i % 7) / std::to_string(i));
  write(own / std::string(200, 'd') / std::string(200, 'e') / "deep");
  fs::create_symlink(outside, own / "link");
  fs::create_directory_symlink(outside, own / "folder-link");
  ASSERT_TRUE(remove(tenant_).ok());
  EXPECT_EQ(ours(), std::vector<Uuid>{other_});
  EXPECT_TRUE(fs::exists(outside / "kept"));
  EXPECT_TRUE(fs::exists(root_ / other_.to_string() / "kept"));
  EXPECT_TRUE(remove(tenant_).ok());  // again
}

TEST_F(DirectoryAdminTest, GoesOnWithARemovalThatWasCutOff) {
  write(root_ / (".removing-" + tenant_.to_string()) / "half");
  EXPECT_EQ(ours(), std::vector<Uuid>{tenant_});
  write(root_ / tenant_.to_string() / "back");
  ASSERT_TRUE(remove(tenant_).ok());
  EXPECT_TRUE(ours().empty());
}

TEST_F(DirectoryAdminTest, DoesNothingForWhoeverLostItsLease) {
  watch_.refuse = "admit";
  EXPECT_EQ(create(tenant_).error().code, ErrorCode::cancelled);
  watch_.refuse.clear();
  EXPECT_TRUE(ours().empty());
  ASSERT_TRUE(create(tenant_).ok());
  watch_.refuse = "before remove directory";
  EXPECT_EQ(remove(tenant_).error().code, ErrorCode::cancelled);
  EXPECT_FALSE(ours().empty());
  watch_.refuse.clear();
  cancel_.cancel();
  EXPECT_EQ(remove(tenant_).error().code, ErrorCode::cancelled);
}

TEST_F(DirectoryAdminTest, ARootThatIsNotThereIsNeverMade) {
  fs::remove_all(root_);
  EXPECT_EQ(create(tenant_).error().code, ErrorCode::storage_failed);
  EXPECT_EQ(remove(tenant_).error().code, ErrorCode::storage_failed);
  EXPECT_FALSE(fs::exists(root_));
}

TEST_F(DirectoryAdminTest, AFileOrALinkInTheWayIsAnError) {
  write(root_ / "elsewhere" / "x");
  fs::create_directory_symlink(root_ / "elsewhere", root_ / tenant_.to_string());
  EXPECT_EQ(create(tenant_).error().code, ErrorCode::storage_failed);
  write(root_ / other_.to_string());
  EXPECT_EQ(create(other_).error().code, ErrorCode::storage_failed);
}

}  // namespace
}  // namespace rowhouse::storage
