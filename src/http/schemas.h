// JSON Schemas (2020-12) of everything the API sends and takes that does not come from a pack.
//
// They are the components/schemas of the OpenAPI document; routes name them with ref("Tenant"). Immutable,
// any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace rowhouse::http {

// Name → schema, in the order of the document. Those that routes refer to:
//   Tenant, TenantPage, TenantCreate, TenantCreated, TenantUpdate, OwnTenant (GET /v1/tenant),
//   Key, KeyList, KeyCreate, KeyCreated, PackSummary, PackList, PackDetail, PackBundle, InstallReport,
//   Status, Health, ImportReport, Row, RowPage, Problem, OpenApi
const json::Object& component_schemas();

// {"$ref": "#/components/schemas/NAME"}
json::Value ref(std::string_view name);

// Small schemas for query parameters.
json::Value string_schema();
json::Value boolean_schema();
json::Value integer_schema(std::int64_t minimum, std::int64_t maximum,
                           std::optional<std::int64_t> by_default);
json::Value enum_schema(const std::vector<std::string_view>& values);

}  // namespace rowhouse::http
