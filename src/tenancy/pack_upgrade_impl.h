// Inside PackUpgrades; for its own .cc files alone.
#pragma once

#include <string>
#include <vector>

#include "operations/kind.h"
#include "tenancy/pack_rows.h"
#include "tenancy/pack_upgrade.h"

namespace rowhouse::tenancy {

// What an upgrade carries from one node to the next. No secrets.
struct UpgradeInput {
  std::string pack, from_version, to_version, checksum;
  std::vector<std::string> plans;  // from the cheapest up
  enum class Checked { before, not_yet } checked = Checked::not_yet;
  // Which version servers go by while tenants are migrated: every tenant must be able to live with it.
  enum class Serve { old_version, new_version } serve = Serve::old_version;
  UpgradeOptions options;
};
json::Value input_of(const UpgradeInput& upgrade);
// Fields that are not there have their defaults.
UpgradeInput upgrade_of(const json::Value& input);

struct PackUpgrades::Impl {
  Impl(const Cluster& server, pg::Pool& pool, ContextGuard& context_guard, PackStore& pack_store,
       operations::Engine& operation_engine)
      : cluster(server),
        platform(pool),
        guard(context_guard),
        packs(pack_store),
        engine(operation_engine),
        targets(pool) {}

  operations::Kind kind();

  // ---- steps (pack_upgrade_steps.cc)
  using Job = Task<Result<void>> (Impl::*)(operations::Run&);
  using RecordJob = Task<Result<void>> (Impl::*)(operations::Run&, pg::Session&);
  operations::Effect effect(Job job);
  operations::Record record(RecordJob job);
  Task<Result<std::string>> scratch_of(operations::Run& run);
  Task<Result<void>> check(operations::Run& run);
  Task<Result<void>> lint(operations::Run& run);
  Task<Result<bool>> may_migrate(std::string pack, std::size_t migrations, CallOptions options);
  Task<Result<void>> migrate_template(operations::Run& run);
  Task<Result<void>> migrate_pool(operations::Run& run);
  Task<Result<void>> migrate_shared(std::string name, std::string database, std::string role,
                                    operations::Run& run);
  Task<Result<void>> announce(operations::Run& run, pg::Session& session);
  Task<Result<void>> store(operations::Run& run, pg::Session& session);
  Task<Result<void>> list_tenants(operations::Run& run, pg::Session& session);
  Task<Result<void>> canary(operations::Run& run);
  Task<Result<void>> migrate_tenants(operations::Run& run);
  Task<Result<void>> finish(operations::Run& run, pg::Session& session);
  // As it was handed in, or as it is stored. Error conflict: another upgrade has begun since.
  Task<Result<Bundle>> bundle_of(operations::Run& run);

  // ---- starting and waiting (pack_upgrade.cc)
  Task<Result<StartedUpgrade>> submit(const Bundle& bundle, BundleText text, UpgradeInput upgrade,
                                      std::string requested_by, std::string request_key, CallOptions options);
  Task<Result<void>> register_upload(const Bundle& bundle, const BundleText& text, operations::Run& run,
                                     pg::Session& session);
  Task<Result<InstallReport>> report_of(StartedUpgrade started, CallOptions options);
  Task<Result<bool>> is_reachable(std::string database, CallOptions options);

  const Cluster& cluster;
  pg::Pool& platform;
  ContextGuard& guard;
  PackStore& packs;
  operations::Engine& engine;
  UpgradeTargets targets;
};

}  // namespace rowhouse::tenancy
