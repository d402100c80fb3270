// Which names a pack may use, and the version numbers it carries. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rowhouse::tenancy {

// Column that every tenant table starts its keys with. Never part of the API.
inline constexpr std::string_view kTenantColumn = "tenant_id";
inline constexpr std::string_view kIdColumn = "id";

bool is_pack_name(std::string_view text);       // [a-z][a-z0-9-]{0,39}
bool is_simple_name(std::string_view text);     // [a-z][a-z0-9_]{0,62}
bool is_operation_name(std::string_view text);  // [a-z][a-z0-9_]*:[a-z][a-z0-9_]*, at most 127 bytes
bool is_metric_name(std::string_view text);     // tenant_[a-z0-9_]{1,80}_total
bool is_migration_name(std::string_view text);  // [0-9]{4}_[a-z0-9_]{1,58}
bool is_sample_path(std::string_view text);     // sample/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}.csv
// Query parameters of the data API; a column of that name could not be filtered.
bool is_reserved_column(std::string_view text);

// MAJOR.MINOR.PATCH, without leading zeros.
using PackVersion = std::array<std::uint32_t, 3>;
std::optional<PackVersion> parse_pack_version(std::string_view text);

}  // namespace rowhouse::tenancy
