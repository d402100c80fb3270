// The durable operations on tenants, and what they carry from one node to the next.
//
//   tenant.create   register · create_schema | create_role, create_database, database_privileges, hand_over,
//   guard ·
//                   prepare_schema · create_store | try_store · load_samples · invite_admin · activate ·
//                   catch_up Which of them depends on tier, storage, samples and the admin. A failure or a
//                   cancel takes everything back.
//   tenant.delete   close · end_moves · wait_for_requests · drop_schema | drop_database, drop_role ·
//   erase_rows · remove_store · remove_people · prove · unregister
//                   There is no way back: it goes on until nothing is left.
// The first step of each is rows of the platform database, written by the transaction that submits the
// operation.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "operations/kind.h"
#include "tenancy/tenant.h"
#include "tenancy/tenants.h"

namespace rowhouse::tenancy {

inline constexpr const char* kCreateOperation = "tenant.create";
inline constexpr const char* kDeleteOperation = "tenant.delete";

// The input of both kinds: whose schema, database and rows the steps are about, and who asked. Nothing in it
// is secret.
json::Value operation_input(const Tenant& tenant, const Actor& actor);
inline constexpr const char* kSampleRows =
    "sample_rows";  // of tenant.create: true if asked for; in its output: how many
inline constexpr const char* kAdminEmail = "admin_email";  // of tenant.create: who is invited; or absent
inline constexpr const char* kStorage = "storage";         // the tenant's choice; or absent: none
inline constexpr const char* kHasStorageConfig = "has_storage_config";  // of tenant.create: true, or absent
inline constexpr const char* kReason = "reason";  // of tenant.delete: kAbandoned, or absent
inline constexpr const char* kAbandoned = "abandoned";

// An actor's name for one of its requests, unique over all of them.
std::string request_key_of(std::string_view kind, const Actor& actor, std::string_view key);

// As much of the tenant as Provisioner needs. Error: internal, when this release does not understand the
// input.
Result<Tenant> subject_of(const operations::Run& run);
Actor actor_of(const operations::Run& run);
bool has_tier(const json::Value& input, Tier tier);

}  // namespace rowhouse::tenancy
