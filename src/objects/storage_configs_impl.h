// Inside StorageConfigs; for its own .cc files alone.
#pragma once

#include <string>
#include <string_view>

#include "audit/trail.h"
#include "objects/storage_configs.h"

namespace rowhouse::objects {

// A row, opened.
struct StorageConfigs::Stored {
  int number = kFirstStore;
  StorageView view;
  storage::StoreConfig config;
  std::string version;
  std::string store_hash;  // bytes; "" for provisioned storage
  bool is_provisioned = false;
};

// What somebody wants to set: nobody was asked yet whether it works.
struct StorageConfigs::Checked {
  Store store;
  Store bucket;  // the same without the prefix
  std::string store_hash;
  enum class Proof { not_needed, given } proof = Proof::not_needed;
};

inline pg::Statement write(std::string sql, pg::Params params) {
  return pg::Statement(std::move(sql), std::move(params), pg::Access::write);
}

json::Value result_document(const storage::ProbeResult& result);
Error probe_error(const storage::ProbeResult& result);
Error bucket_in_use(const std::string& how);
audit::Change change_of(const Uuid& tenant, std::string action, const std::string& provider,
                        const tenancy::Actor& actor);
// The parameters of audit::insert_sql() and tenancy::outbox_sql().
void append_record(pg::Params& params, const audit::Change& change);

inline constexpr std::string_view kUsedSql =
    "SELECT EXISTS (SELECT FROM platform.tenant_storage_configs WHERE store_hash = $2::bytea AND tenant_id "
    "<> $1::uuid)";
// One at a time for a bucket: of two who set it at the same moment the second sees the first.
inline constexpr std::string_view kLockSql =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1::text, 1919907688))";

// The same, unless the tenant has it, too.
inline constexpr std::string_view kTakenSql =
    "SELECT EXISTS (SELECT FROM platform.tenant_storage_configs WHERE store_hash = $2::bytea AND tenant_id "
    "<> $1::uuid) AND NOT EXISTS (SELECT FROM platform.tenant_storage_configs WHERE store_hash = $2::bytea "
    "AND tenant_id = $1::uuid)";

inline constexpr std::string_view kTestedSql =
    "UPDATE platform.tenant_storage_configs SET status = $2::text, last_test_at = pg_catalog.now(), "
    "last_test_result = $3::jsonb WHERE tenant_id = $1::uuid AND version = $4::bigint AND store = "
    "$5::integer";

}  // namespace rowhouse::objects
