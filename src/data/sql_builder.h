// Query → SQL that reads. User text travels in parameters alone: the text of a statement consists of
// constants, quoted names from the catalog, parameter numbers and the limit. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "data/query.h"
#include "pg/types.h"
#include "tenancy/pack.h"

namespace rowhouse::data {

// "pg_catalog.uuid", or the type in the tenant's schema: "\"app\".\"mood\"[]".
std::string cast_of(const tenancy::Column& column, std::string_view schema);

// How a row's ETag is made.
enum class VersionSource {
  xmin,      // of plain tables: the transaction that wrote the row, selected as the last column
  row_text,  // of views and partitioned tables, which have none to give: a hash of the whole row
};
VersionSource version_source(const tenancy::Resource& resource);

struct ListStatement {
  pg::Statement statement;
  std::size_t visible_columns = 0;         // the first ones are query.select
  std::vector<std::size_t> order_columns;  // where in the result each term of query.order stands
};

// One row more than the limit is asked for, to know whether there is a next page. `after`: values of
// query.order of the last row seen, or null for the first page.
ListStatement build_list(const tenancy::Resource& resource, std::string_view schema, const Query& query,
                         const std::vector<pg::Param>* after);
// The same rows without a limit.
pg::Statement build_export(const tenancy::Resource& resource, std::string_view schema, const Query& query);
pg::Statement build_count(const tenancy::Resource& resource, std::string_view schema, const Query& query);

enum class RowLock { none, for_update };
// One row: `select`, then xmin::text if that is the version source.
pg::Statement build_get(const tenancy::Resource& resource, std::string_view schema,
                        const std::vector<const tenancy::Column*>& select, std::string id, RowLock lock);

// Every column of the resource, in table order.
std::vector<const tenancy::Column*> all_columns(const tenancy::Resource& resource);

// Collects parameters while a statement is written.
class StatementWriter {
 public:
  explicit StatementWriter(std::string_view schema) : schema_(schema) {}
  StatementWriter& operator<<(std::string_view constant) {
    sql_ += constant;
    return *this;
  }
  void name(std::string_view column_name);
  void relation(const tenancy::Resource& resource);
  // "$3::pg_catalog.uuid"; `suffix` follows the cast ("[]").
  void parameter(const tenancy::Column& column, pg::Param value, std::string_view suffix = "");
  void text_parameter(pg::Param value);
  void column_list(const std::vector<const tenancy::Column*>& columns);
  std::size_t parameter_count() const { return params_.size(); }
  pg::Statement finish(pg::Access access, pg::Reuse reuse) &&;

 private:
  void number(pg::Param value);

  std::string_view schema_;
  std::string sql_;
  pg::Params params_;
};

}  // namespace rowhouse::data
