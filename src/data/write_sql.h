// SQL that writes. As in sql_builder.h, values travel in parameters alone. Pure functions, any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/body.h"
#include "data/data_service.h"
#include "data/errors.h"
#include "data/sql_builder.h"

namespace rowhouse::data {

using OnConflict = WriteOptions::OnConflict;

// PostgreSQL allows 65,535 parameters in a statement.
inline constexpr std::size_t kMaxStatementParameters = 60'000;

// What an INSERT or UPDATE returns.
enum class Returning {
  rows,     // every column, then xmin::text where there is one, then with on_conflict=update the same as
            // `outcome`
  outcome,  // one column: true for a new row, false for one that was there (on_conflict=update)
};

struct InsertStatement {
  pg::Statement statement;
  std::vector<ParameterOrigin> origins;  // of each parameter; rows count from 0 within this statement
};

// One INSERT of all rows; members that a row lacks become DEFAULT. A single row is kept prepared.
InsertStatement build_insert(const tenancy::Resource& resource, std::string_view schema,
                             std::span<const RowInput> rows, OnConflict on_conflict, Returning returning);

// Cuts rows into runs of one statement each: no more parameters than allowed and, with on_conflict=update,
// the same columns in every row (a DEFAULT would overwrite what is there). Pairs of first row and number of
// rows.
std::vector<std::pair<std::size_t, std::size_t>> split_rows(std::span<const RowInput> rows,
                                                            OnConflict on_conflict);

// `xmins`: null for no condition, otherwise the row must have been written by one of these transactions.
InsertStatement build_update(const tenancy::Resource& resource, std::string_view schema,
                             const std::string& id, const RowInput& row,
                             const std::vector<std::string>* xmins);
pg::Statement build_remove(const tenancy::Resource& resource, std::string_view schema, const std::string& id,
                           const std::vector<std::string>* xmins);
pg::Statement build_exists(const tenancy::Resource& resource, std::string_view schema, const std::string& id);
// The row with the natural key of `row`, all columns, as Returning::rows.
pg::Statement build_get_by_key(const tenancy::Resource& resource, std::string_view schema,
                               const RowInput& row);

}  // namespace rowhouse::data
