// What API keys and service keys share: their columns, the way from a row to an ApiKey, and the checks of a
// new one. For api_keys.cc, service_keys.cc and key_rotation.cc alone.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "pg/types.h"
#include "tenancy/tenant_input.h"
#include "tenancy/tenants.h"

namespace rowhouse::tenancy {

enum class KeyTable { api_keys, admin_tokens };
Error no_such_key(KeyTable table);  // not_found

// A key that gets a new secret. See TenantService::rotate_key().
struct KeyRotation {
  KeyRotation(KeyTable where, std::optional<Uuid> of_tenant, Uuid which, std::chrono::seconds both_are_good,
              KeyMaker who)
      : table(where), tenant(of_tenant), key(which), overlap(both_are_good), maker(std::move(who)) {}
  KeyTable table;
  std::optional<Uuid> tenant;  // of an API key
  Uuid key;
  std::chrono::seconds overlap;
  KeyMaker maker;
};

// Columns that key_from_row() reads, of the table or WITH query `name`.
std::string key_columns(std::string_view name);
ApiKey key_from_row(const pg::Rows& rows, std::size_t row);

// Faults of name and expiry. Scopes are checked by who knows which operations there are.
Faults faults_of_key(const NewKey& wanted, WallTime now);
// What the audit says of a key: everything but its secret.
std::string key_summary(const NewKey& wanted, std::string_view hint);

}  // namespace rowhouse::tenancy
