// What API keys and service keys share: their columns, the way from a row to an ApiKey, and the checks of a
// new one. For api_keys.cc and service_keys.cc alone.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "pg/types.h"
#include "tenancy/tenant_input.h"
#include "tenancy/tenants.h"

namespace rowhouse::tenancy {

enum class KeyTable { api_keys, admin_tokens };

// Columns that key_from_row() reads, of the table or WITH query `name`.
std::string key_columns(KeyTable table, std::string_view name);
ApiKey key_from_row(const pg::Rows& rows, std::size_t row);

// Faults of name and expiry. Scopes are checked by who knows which operations there are.
Faults faults_of_key(const NewKey& wanted, WallTime now);
// What the audit says of a key: everything but its secret.
std::string key_summary(const NewKey& wanted, std::string_view hint);

}  // namespace rowhouse::tenancy
