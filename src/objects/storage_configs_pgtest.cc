#include "objects/storage_configs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "net/blocking_work.h"
#include "tenancy/installation_pgtest.h"
#include "testing/temporary_directory.h"

namespace rowhouse::objects {
namespace {

namespace fs = std::filesystem;
using testing::patient;

// What one worker has. The shares are directories below `mounts`.
struct StorageNode {
  StorageNode(net::Executor& executor, pg::Pool& pool, const Clock& clock, const std::string& mounts)
      : transfers(executor, egress, net::TransferOptions()),
        work(net::BlockingWorkOptions()),
        keys(std::string(secrets::kWrappingKeyBytes, 'k'), {}),
        secrets(pool, keys),
        configs(pool, secrets, tools(executor, clock), tools(executor, clock), "control key",
                options(mounts)) {}

  storage::StoreTools tools(net::Executor& executor, const Clock& clock) {
    return storage::StoreTools{executor, transfers, egress, work, clock};
  }
  static StorageConfigsOptions options(const std::string& mounts) {
    StorageConfigsOptions options;
    options.limits.mount_roots = {mounts};
    return options;
  }

  net::EgressPolicy egress;
  net::HttpTransfers transfers;
  net::BlockingWork work;
  secrets::WrappingKeys keys;
  secrets::TenantSecrets secrets;
  StorageConfigs configs;
};

class StorageConfigsTest : public tenancy::fixture::InstallationTest {
 protected:
  void SetUp() override {
    InstallationTest::SetUp();
    here_ = std::make_unique<StorageNode>(executor(), node().platform, clock(), directory_.path());
    acme_ = create(request("Acme")).tenant;
    other_ = create(request("Other")).tenant;
  }
  void TearDown() override {
    remove(*acme_);
    remove(*other_);
    here_.reset();
  }

  std::string make_share(const std::string& name) const {
    const std::string path = std::string(directory_.path()) + "/" + name;
    fs::create_directory(path);
    return path;
  }
  static StorageSetting share(const std::string& path, const std::string& prefix = "") {
    json::Value config;
    config.set("mount_path", path);
    if (!prefix.empty()) config.set("prefix", prefix);
    return StorageSetting("nfs", std::move(config));
  }
  Result<StorageView> set(const tenancy::Tenant& tenant, StorageSetting setting) {
    return run(configs().set(tenant.id, std::move(setting), tenancy::fixture::tester(), patient()));
  }
  StorageConfigs& configs() { return here_->configs; }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<StorageNode> here_;
  std::shared_ptr<const tenancy::Tenant> acme_, other_;
};

TEST_F(StorageConfigsTest, AStoreIsKeptOpenUntilItIsForgotten) {
  EXPECT_EQ(run(configs().open_tenant(acme_->id, patient())).error().code, ErrorCode::storage_not_configured);
  const auto made = set(*acme_, share(make_share("a")));
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto first = run(configs().open_tenant(acme_->id, patient())).value().store;
  EXPECT_EQ(run(configs().open_tenant(acme_->id, patient())).value().store, first);
  ASSERT_TRUE(set(*acme_, share(make_share("b"))).ok());
  const auto second = run(configs().open_tenant(acme_->id, patient())).value().store;
  EXPECT_NE(second, first);
  EXPECT_NE(second->identity(), first->identity());
  EXPECT_TRUE(run(first->list({}, patient())).ok()) << "who has it may go on";

  platform_sql().run("DELETE FROM platform.tenant_storage_configs");
  EXPECT_TRUE(run(configs().open_tenant(acme_->id, patient())).ok()) << "nobody has told";
  configs().forget(acme_->id);
  EXPECT_EQ(run(configs().open_tenant(acme_->id, patient())).error().code, ErrorCode::storage_not_configured);
}

TEST_F(StorageConfigsTest, OthersHearOfAChangeByTheRegistry) {
  std::vector<Uuid> heard;
  configs().wire([&](const Uuid& tenant) { heard.push_back(tenant); }, nullptr);
  ASSERT_TRUE(set(*acme_, share(make_share("a"))).ok());
  const std::string changes =
      "SELECT count(*) FROM platform.registry_changes WHERE tenant_id = '" + acme_->id.to_string() + "'";
  const std::string before = platform_sql().value(changes);
  ASSERT_TRUE(set(*acme_, share(make_share("b"))).ok());
  ASSERT_TRUE(run(configs().test(acme_->id, patient())).ok());
  EXPECT_EQ(std::stoi(platform_sql().value(changes)), std::stoi(before) + 1) << "a test is no change";
  ASSERT_TRUE(run(configs().remove(acme_->id, tenancy::fixture::tester(), patient())).ok());
  EXPECT_EQ(std::stoi(platform_sql().value(changes)), std::stoi(before) + 2);
  EXPECT_EQ(heard, std::vector<Uuid>(3, acme_->id));
}

TEST_F(StorageConfigsTest, ObjectsAreNotLeftBehind) {
  bool has_objects = false;
  configs().wire(nullptr, [&](Uuid, CallOptions) -> Task<Result<bool>> { co_return has_objects; });
  const std::string path = make_share("a");
  ASSERT_TRUE(set(*acme_, share(path, "x/")).ok());
  has_objects = true;
  EXPECT_EQ(set(*acme_, share(path, "y/")).error().code, ErrorCode::conflict);
  EXPECT_EQ(set(*acme_, share(make_share("b"))).error().code, ErrorCode::conflict);
  EXPECT_TRUE(set(*acme_, share(path, "x/")).ok()) << "the same place";
  EXPECT_EQ(run(configs().remove(acme_->id, tenancy::fixture::tester(), patient())).error().code,
            ErrorCode::conflict);
  has_objects = false;
  EXPECT_TRUE(set(*acme_, share(path, "y/")).ok());
}

TEST_F(StorageConfigsTest, OfTwoWhoTakeABucketAtOnceOneHasToProveIt) {
  const std::string path = make_share("a");
  net::TaskGroup tasks;
  std::vector<ErrorCode> refused;
  int taken = 0;
  const auto take = [&](std::shared_ptr<const tenancy::Tenant> tenant) -> Task<void> {
    StorageSetting setting = share(path);
    tenancy::Actor actor = tenancy::fixture::tester();
    const auto result = co_await configs().set(tenant->id, std::move(setting), std::move(actor), patient());
    if (result.ok()) {
      ++taken;
    } else {
      refused.push_back(result.error().code);
    }
  };
  tasks.spawn(take(acme_));
  tasks.spawn(take(other_));
  run(tasks.join());
  EXPECT_EQ(taken, 1);
  EXPECT_EQ(refused, std::vector<ErrorCode>{ErrorCode::conflict});
}

TEST_F(StorageConfigsTest, ProvisionedStorageIsNotSetOrRemovedByHand) {
  const std::string path = make_share("ours");
  json::Value config;
  config.set("root", path);
  const auto sealed =
      run(here_->secrets.seal(acme_->id, storage_purpose("directory"), json::serialize(config), patient()));
  ASSERT_TRUE(sealed.ok());
  platform_sql().run(
      "INSERT INTO platform.tenant_storage_configs (tenant_id, provider, sealed, origin) VALUES ('" +
      acme_->id.to_string() + "', 'directory', '" + secrets::bytea_text(*sealed) + "', 'provisioned')");
  const auto view = run(configs().get(acme_->id, patient()));
  ASSERT_TRUE(view.ok()) << view.error().message;
  EXPECT_TRUE(view->config.is_null()) << "where our directories are is nobody's business";
  EXPECT_TRUE(run(configs().open_tenant(acme_->id, patient())).ok());
  EXPECT_EQ(set(*acme_, share(make_share("a"))).error().code, ErrorCode::conflict);
  EXPECT_EQ(run(configs().remove(acme_->id, tenancy::fixture::tester(), patient())).error().code,
            ErrorCode::conflict);
}

}  // namespace
}  // namespace rowhouse::objects
