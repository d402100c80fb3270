// Columns, arguments and results of a pack as JSON Schemas. Pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "tenancy/pack.h"

namespace rowhouse::http {

// How values of the column look in answers and bodies, with its description.
json::Value column_schema(const tenancy::Column& column);

// A whole row, as it is answered.
json::Value row_schema(const tenancy::Resource& resource);
// A row that is to be created: what the database does not fill in is required.
json::Value create_schema(const tenancy::Resource& resource);
// A change of a row: every member is optional, and id stays.
json::Value patch_schema(const tenancy::Resource& resource);

json::Value arguments_schema(const tenancy::Function& function);
// The scalar, the row, or the list of a set.
json::Value result_schema(const tenancy::Function& function);

// Names of the filter operators that the column offers, as the query grammar in data/query.h has them.
std::vector<std::string_view> filter_operators(const tenancy::Column& column);

}  // namespace rowhouse::http
