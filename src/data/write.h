// Creating, changing and removing rows, on whatever Runner the caller chose.
#pragma once

#include <optional>
#include <string>

#include "data/body.h"
#include "data/data_service.h"
#include "data/etag.h"
#include "data/runner.h"
#include "data/write_sql.h"

namespace rowhouse::data {

// Whose rows: a resource in the schema of a tenant. Both outlive every call.
struct Target {
  Target(const tenancy::Resource& target_resource, const std::string& target_schema)
      : resource(target_resource), schema(target_schema) {}
  const tenancy::Resource& resource;
  const std::string& schema;
};

// Whether the write is more than one statement, so that it needs a transaction to be all or nothing.
bool create_needs_transaction(const Body& body, OnConflict on_conflict);
bool change_needs_transaction(const Target& target, const std::optional<EtagList>& if_match);

// 201 with the row or {"data": […]}; 200 when on_conflict found every row there. A fault of one row among
// several has no row in its path unless PostgreSQL named the parameter: see locate_faults().
Task<Result<Reply>> create_rows(Runner& runner, Target target, const Body& body, OnConflict on_conflict,
                                CallOptions options);
// Errors: not_found, precondition_failed, and what the row may be refused for.
Task<Result<Reply>> update_row(Runner& runner, Target target, const std::string& id, const RowInput& row,
                               const std::optional<EtagList>& if_match, CallOptions options);
Task<Result<Reply>> remove_row(Runner& runner, Target target, const std::string& id,
                               const std::optional<EtagList>& if_match, CallOptions options);

// The row as JSON, and its ETag.
struct RenderedRow {
  std::string json;
  std::string etag;
};
// Of a result that has all columns of the resource, as Returning::rows gives them.
RenderedRow render_full_row(const tenancy::Resource& resource, const pg::Rows& rows, std::size_t row);

Error no_such_row(const tenancy::Resource& resource);
std::string location_of(const tenancy::Resource& resource, std::string_view id);

}  // namespace rowhouse::data
