// JSON Schemas of people, roles, sessions and sign-in: a part of component_schemas(). Immutable, any thread.
#pragma once

#include <string_view>

namespace rowhouse::http {

// A JSON object, name → schema.
std::string_view people_schemas();

}  // namespace rowhouse::http
