// Packs and the rules that they keep: protect, check, prepare a schema, read what is installed.
//
// Installing and upgrading a pack everywhere is pack_upgrade.h. Each schema records its migrations in
// rowhouse.pack_migrations in the same transaction, so running them again continues where it stopped.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"
#include "tenancy/context_guard.h"
#include "tenancy/pack.h"

namespace rowhouse::tenancy {

// One broken rule: which, where, and how to mend it.
struct Finding {
  Finding(std::string finding_rule, std::string finding_object, std::string what, std::string how)
      : rule(std::move(finding_rule)),
        object(std::move(finding_object)),
        message(std::move(what)),
        fix(std::move(how)) {}
  std::string rule;    // "tenant-id-missing", "primary-key-not-tenant-led", …; all in docs/packs.md
  std::string object;  // "leads", "leads.leads_email_key", "open_leads"
  std::string message;
  std::string fix;  // SQL where there is one, otherwise words
};

// Applies the recipe to every table, view and function of `schema` from the catalog: tenant_id's default, RLS
// enabled and forced, the permissive policy and the restrictive wall, partitions closed, grants by column
// without tenant_id. Idempotent. `session` is connected as tenant_migrator, inside a transaction with role
// tenant_owner.
Task<Result<void>> protect_schema(pg::Session& session, const std::string& schema,
                                  const std::string& runtime_role, CallOptions options);

// Reads the catalog and reports everything in `schema` that breaks a rule, manifest included.
Task<Result<std::vector<Finding>>> check_schema(pg::Session& session, const std::string& schema,
                                                const Manifest& manifest, CallOptions options);

// Manifest + catalog of `schema` → Pack. Errors: pack_refused when a resource, column or function is missing.
Task<Result<Pack>> load_pack(pg::Session& session, const std::string& schema, Manifest manifest,
                             CallOptions options);

std::string pool_database_name(std::string_view pack);      // "rowhouse_pool_isp_monitor"
std::string template_database_name(std::string_view pack);  // "rowhouse_template_isp_monitor"

class PackStore {
 public:
  // `platform`: pool on the platform database as platform_service.
  PackStore(const Cluster& cluster, pg::Pool& platform, ContextGuard& guard)
      : cluster_(cluster), platform_(platform), guard_(guard) {}
  ContextGuard& guard() const { return guard_; }

  // Check alone, in a scratch database that is dropped again. Empty: the pack may be installed.
  Task<Result<std::vector<Finding>>> check(const Bundle& bundle, CallOptions options);
  // Runs what is missing of a pack's migrations in one schema, protects it, and grants it to `runtime_role`.
  // Returns the number of migrations that ran.
  Task<Result<int>> prepare_schema(const std::string& database, const std::string& schema,
                                   const std::string& runtime_role, const Bundle& bundle,
                                   CallOptions options);
  Task<Result<Bundle>> stored_bundle(const std::string& pack, CallOptions options);
  // Every installed pack with its catalog.
  Task<Result<std::vector<std::shared_ptr<const Pack>>>> load_all(CallOptions options);

 private:
  const Cluster& cluster_;
  pg::Pool& platform_;
  ContextGuard& guard_;
};

}  // namespace rowhouse::tenancy
