// Errors as they are stored with an operation: {"code", "message", "step", "fields"?, "sqlstate"?}.
//
// Details stay out, but for the SQLSTATE: PostgreSQL's own words may repeat values of rows.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace rowhouse::operations {

json::Value error_to_json(const Error& error, std::string_view step);
// `internal` for anything that is not such a document.
Error error_from_json(const json::Value& document);

}  // namespace rowhouse::operations
