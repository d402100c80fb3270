// Tenants that are moved from one directory to another, on a real installation: nodes with an engine each,
// one of which may die at any point.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "objects/object_pgtest.h"
#include "objects/storage_moves.h"
#include "storage/directory_admin.h"

namespace rowhouse::objects::fixture {

namespace fs = std::filesystem;
using operations::OperationStatus;

// Says nothing any more from one point on, as a process that was killed, until it is let go.
class Death final : public operations::Observer {
 public:
  explicit Death(net::Executor& executor) : executor_(executor) {}
  Task<Result<void>> at(const operations::Point& point) override {
    const std::string name = point.name();
    seen.push_back(name);
    if (name == stop_at && std::exchange(stop_at, "") != "") {
      tenancy_sql()(
          "UPDATE platform.operations SET lease_expires_at = clock_timestamp() - interval '1s' "
          "WHERE lease_holder = 'dying'");
      stopped = true;
      while (!let_go) co_await net::sleep_for(executor_, std::chrono::milliseconds(2));
      co_return Error(ErrorCode::cancelled, "was dead");
    }
    co_return Result<void>();
  }
  static std::function<void(const std::string&)> tenancy_sql() {
    return [](const std::string& sql) {
      testing::BlockingSql connection(testing::superuser(tenancy::kPlatformDatabase));
      connection.run(sql);
    };
  }

  std::string stop_at;
  bool stopped = false, let_go = false;
  std::vector<std::string> seen;

 private:
  net::Executor& executor_;
};

// What one worker has.
struct MoveNode {
  MoveNode(tenancy::Cluster& cluster, pg::Pool& pool, session::TenantDatabase& database, observe::Log& log,
           const Clock& clock, const std::string& root, StorageMoves::ContextOf context_of,
           operations::EngineOptions engine_options, operations::Observer* observer)
      : executor(cluster.executor()),
        transfers(executor, egress, net::TransferOptions()),
        work(net::BlockingWorkOptions()),
        keys(std::string(secrets::kWrappingKeyBytes, 'k'), {}),
        secrets(pool, keys),
        admin(storage::open_directory_admin(executor, work, root + "/ours")),
        provisioned(pool, secrets, admin.get()),
        configs(pool, secrets, tools(clock), tools(clock), "control key", limits(root)),
        engine(
            executor, pool, log,
            [&cluster](std::string prefix, std::string own, CallOptions call) {
              return cluster.end_sessions(std::move(prefix), std::move(own), call);
            },
            tenancy::fixture::Node::named(std::move(engine_options)), observer),
        objects(executor, database, configs, log, clock),
        moves(parts(pool, database, std::move(context_of))) {}
  ~MoveNode() {
    net::run_until_done(executor, engine.stop());
    net::run_until_done(executor, objects.stop());
  }

  storage::StoreTools tools(const Clock& clock) {
    return storage::StoreTools{executor, transfers, egress, work, clock};
  }
  static StorageConfigsOptions limits(const std::string& root) {
    StorageConfigsOptions options;
    options.limits.mount_roots = {root};
    return options;
  }
  StorageMoves::Parts parts(pg::Pool& pool, session::TenantDatabase& database,
                            StorageMoves::ContextOf context_of) {
    return StorageMoves::Parts{.executor = executor,
                               .platform = pool,
                               .database = database,
                               .engine = engine,
                               .configs = configs,
                               .provisioned = provisioned,
                               .writes = objects.writes(),
                               .context_of = std::move(context_of),
                               .changed = [this](const Uuid& tenant) { configs.forget(tenant); }};
  }

  net::Executor& executor;
  net::EgressPolicy egress;
  net::HttpTransfers transfers;
  net::BlockingWork work;
  secrets::WrappingKeys keys;
  secrets::TenantSecrets secrets;
  std::unique_ptr<storage::ObjectStoreAdmin> admin;
  ProvisionedStores provisioned;
  StorageConfigs configs;
  operations::Engine engine;
  ObjectService objects;
  StorageMoves moves;
};

class MovesTest : public ObjectsTest {
 protected:
  void SetUp() override {
    ObjectsTest::SetUp();
    root_ = fs::canonical(std::string(directory_.path())).string();
    for (const char* name : {"ours", "a", "b"}) fs::create_directory(root_ + "/" + name);
    start_nodes();
  }
  void TearDown() override {
    stop_nodes();
    ObjectsTest::TearDown();
  }
  void start_nodes() {
    death_ = std::make_unique<Death>(executor());
    operations::EngineOptions mortal;
    mortal.node = "dying";
    mortal.lease = mortal.heartbeat = mortal.poll = std::chrono::hours(1);
    first_ = make_node(std::move(mortal), death_.get());
    operations::EngineOptions adopting;
    adopting.poll = std::chrono::milliseconds(20);
    second_ = make_node(std::move(adopting), nullptr);
    first_->engine.start(operations::Engine::Duty::own);
    second_->engine.start(operations::Engine::Duty::adopt);
  }
  void stop_nodes() {
    death_->let_go = true;
    first_.reset();
    second_.reset();
    death_.reset();
  }
  std::unique_ptr<MoveNode> make_node(operations::EngineOptions options, operations::Observer* observer) {
    return std::make_unique<MoveNode>(
        cluster(), node().platform, *database_, log_, clock_, root_,
        [this](Uuid tenant, CallOptions call) { return context_of(tenant, call); }, std::move(options),
        observer);
  }
  Task<Result<TenantContext>> context_of(Uuid tenant, CallOptions options) {
    const std::string id = tenant.to_string();
    CO_TRY(auto found, co_await node().registry.find_tenant(id, options));
    co_return TenantContextForTests::make(std::move(found));
  }

  StorageSetting share(const std::string& name) const {
    json::Value config;
    config.set("mount_path", root_ + "/" + name);
    return StorageSetting("nfs", std::move(config));
  }
  // A tenant whose storage is the directory a.
  TenantContext tenant_at(const std::string& name) {
    TenantContext context = new_tenant();
    auto set =
        run(first_->configs.set(context.tenant().id, share(name), tenancy::fixture::tester(), patient()));
    EXPECT_TRUE(set.ok()) << set.error().message;
    return context;
  }
  Result<StoredObject> put_on(MoveNode& on, const TenantContext& context, std::string key, std::string text) {
    NewObject object;
    object.key = std::move(key);
    const auto bytes = text.size();
    Body body(std::move(text));
    return run(on.objects.put(context, std::move(object), bytes, body, patient()));
  }
  std::string get_on(MoveNode& on, const TenantContext& context, const std::string& key) {
    return run(read_on(on, context, key));
  }
  Task<std::string> read_on(MoveNode& on, const TenantContext& context, std::string key) {
    auto object = co_await on.objects.stat(context, std::move(key), patient());
    if (!object.ok()) co_return "error: " + std::string(error_code_name(object.error().code));
    auto opened = co_await on.objects.open(context, std::move(*object), std::nullopt, patient());
    if (!opened.ok()) co_return "error: " + std::string(error_code_name(opened.error().code));
    std::string text;
    while (true) {
      auto piece = co_await opened->download->next(patient());
      if (!piece.ok()) co_return "error: " + std::string(error_code_name(piece.error().code));
      if (!*piece) co_return text;
      text += **piece;
    }
  }
  Result<Uuid> move_to(MoveNode& on, const TenantContext& context, const std::string& name) {
    return run(on.moves.start(context.tenant().id, share(name), tenancy::fixture::tester(), patient()));
  }
  Result<Uuid> confirm_on(MoveNode& on, const TenantContext& context,
                          OldObjects old_objects = OldObjects::remove) {
    return run(on.moves.confirm(context.tenant().id, old_objects, tenancy::fixture::tester(), patient()));
  }
  // "" when it has succeeded.
  std::string outcome(MoveNode& on, const Result<Uuid>& operation) {
    if (!operation.ok()) return operation.error().message;
    auto ended = run(on.engine.wait(*operation, patient()));
    if (!ended.ok()) return ended.error().message;
    if (ended->status == OperationStatus::succeeded) return "";
    return std::string(operations::operation_status_name(ended->status)) + ": " +
           operations::operation_error(*ended).message;
  }
  std::size_t files_in(const std::string& name) const {
    std::size_t files = 0;
    const fs::path path = root_ + "/" + name;
    if (!fs::exists(path)) return 0;
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) ++files;
    }
    return files;
  }
  static std::string platform(const std::string& sql) { return platform_sql().value(sql); }

  std::string root_;
  std::unique_ptr<Death> death_;
  std::unique_ptr<MoveNode> first_, second_;
};

}  // namespace rowhouse::objects::fixture
