// Where sealed secrets are kept in the platform database.
//
// Each table has a column tenant_id, and a foreign key that says which data key a row is sealed with (see
// sql/platform/0016_storage_secrets.sql). A module that keeps secrets adds a line here, so that a rotation of
// data keys finds them.
#pragma once

#include <array>
#include <string_view>

namespace rowhouse::secrets {

struct SealedColumn {
  std::string_view table;    // with its schema
  std::string_view column;   // bytea
  std::string_view purpose;  // SQL expression over the row: what seal() was told
};

inline constexpr std::array<SealedColumn, 1> kSealedColumns = {{
    {"platform.tenant_storage_configs", "sealed", "'storage ' || provider || ' config'"},
}};

}  // namespace rowhouse::secrets
