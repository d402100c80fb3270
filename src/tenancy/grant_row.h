// Grants between rows of platform.api_keys and platform.admin_tokens, and memory.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "pg/types.h"
#include "tenancy/grant.h"

namespace rowhouse::tenancy {

// Columns that grant_from_row() reads: scopes, networks, and `expires_at` (an expression of type timestamptz)
// in milliseconds. `table`: the name that the table has in the statement.
std::string grant_columns(std::string_view table, std::string_view expires_at);
inline constexpr std::size_t kGrantColumnCount = 3;

// Error: internal, when the row cannot be understood.
Result<Grant> grant_from_row(const pg::Rows& rows, std::size_t row, std::size_t first_column);

// Parameters for scopes (::text[]), networks (::cidr[]) and expires_at (::timestamptz), in this order.
void append_grant(pg::Params& params, const Grant& grant);
inline constexpr int kGrantParameters = 3;

}  // namespace rowhouse::tenancy
