#include "data/write_sql.h"

#include <algorithm>

#include "data/values.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::Resource;

constexpr std::string_view kXmin = "xmin::pg_catalog.text";

std::size_t index_of(const Resource& resource, const Column* column) {
  return static_cast<std::size_t>(column - resource.columns.data());
}

// The columns that at least one row gives; never empty, since INSERT needs one: then id, with its default.
std::vector<const Column*> given_columns(const Resource& resource, std::span<const RowInput> rows) {
  std::vector<const Column*> columns;
  for (std::size_t i = 0; i < resource.columns.size(); ++i) {
    if (std::any_of(rows.begin(), rows.end(),
                    [&](const RowInput& row) { return row.cells[i].has_value(); })) {
      columns.push_back(&resource.columns[i]);
    }
  }
  if (columns.empty()) columns.push_back(resource.find_column("id"));
  return columns;
}

bool same_columns(const RowInput& a, const RowInput& b) {
  return std::equal(a.cells.begin(), a.cells.end(), b.cells.begin(), b.cells.end(),
                    [](const auto& x, const auto& y) { return x.has_value() == y.has_value(); });
}

std::size_t given_count(const RowInput& row) {
  return static_cast<std::size_t>(
      std::count_if(row.cells.begin(), row.cells.end(), [](const auto& cell) { return cell.has_value(); }));
}

bool is_key_column(const Resource& resource, const std::string& name) {
  return std::find(resource.natural_key.begin(), resource.natural_key.end(), name) !=
         resource.natural_key.end();
}

void write_conflict_clause(StatementWriter& out, const Resource& resource,
                           const std::vector<const Column*>& columns, OnConflict on_conflict) {
  if (on_conflict == OnConflict::error) return;
  out << " ON CONFLICT (\"tenant_id\"";
  for (const std::string& name : resource.natural_key) {
    out << ", ";
    out.name(name);
  }
  out << ")";
  if (on_conflict == OnConflict::ignore) {
    out << " DO NOTHING";
    return;
  }
  out << " DO UPDATE SET ";
  std::size_t written = 0;
  const auto assign = [&](std::string_view name) {
    if (written++ > 0) out << ", ";
    out.name(name);
    out << " = EXCLUDED.";
    out.name(name);
  };
  for (const Column* column : columns) {
    if (column->name != "id" && !is_key_column(resource, column->name)) assign(column->name);
  }
  // Nothing but the key was given: an assignment that changes nothing makes the row come back.
  if (written == 0) assign(resource.natural_key.front());
}

void write_returning(StatementWriter& out, const Resource& resource, Returning returning,
                     OnConflict on_conflict) {
  const bool has_xmin = version_source(resource) == VersionSource::xmin;
  // A row that ON CONFLICT found was locked first, by this transaction: that is its xmax.
  constexpr std::string_view kIsNew = "(xmax = 0)";
  out << " RETURNING ";
  if (returning == Returning::outcome) {
    out << (has_xmin ? kIsNew : "true");
    return;
  }
  out.column_list(all_columns(resource));
  if (has_xmin) out << ", " << kXmin;
  if (on_conflict == OnConflict::update) out << ", " << kIsNew;
}

void write_row_condition(StatementWriter& out, const Resource& resource, const std::string& id,
                         const std::vector<std::string>* xmins) {
  out << " WHERE \"id\" = ";
  out.parameter(*resource.find_column("id"), id);
  if (xmins == nullptr) return;
  const std::vector<pg::Param> items(xmins->begin(), xmins->end());
  out << " AND " << kXmin << " = ANY (";
  out.text_parameter(array_literal(items));
  out << "::pg_catalog.text[])";
}

}  // namespace

InsertStatement build_insert(const Resource& resource, std::string_view schema,
                             std::span<const RowInput> rows, OnConflict on_conflict, Returning returning) {
  InsertStatement insert;
  const std::vector<const Column*> columns = given_columns(resource, rows);
  StatementWriter out(schema);
  out << "INSERT INTO ";
  out.relation(resource);
  out << " (";
  out.column_list(columns);
  out << ") VALUES ";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out << (i > 0 ? ", (" : "(");
    for (std::size_t j = 0; j < columns.size(); ++j) {
      if (j > 0) out << ", ";
      const auto& cell = rows[i].cells[index_of(resource, columns[j])];
      if (!cell) {
        out << "DEFAULT";
        continue;
      }
      out.parameter(*columns[j], *cell);
      insert.origins.emplace_back(i, columns[j]);
    }
    out << ")";
  }
  write_conflict_clause(out, resource, columns, on_conflict);
  write_returning(out, resource, returning, on_conflict);
  const pg::Reuse reuse = rows.size() == 1 ? pg::Reuse::prepared : pg::Reuse::once;
  insert.statement = std::move(out).finish(pg::Access::write, reuse);
  return insert;
}

std::vector<std::pair<std::size_t, std::size_t>> split_rows(std::span<const RowInput> rows,
                                                            OnConflict on_conflict) {
  std::vector<std::pair<std::size_t, std::size_t>> runs;
  std::size_t start = 0;
  std::size_t parameters = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t needed = given_count(rows[i]);
    const bool full = parameters + needed > kMaxStatementParameters;
    const bool differs = on_conflict == OnConflict::update && !same_columns(rows[start], rows[i]);
    if (i > start && (full || differs)) {
      runs.emplace_back(start, i - start);
      start = i;
      parameters = 0;
    }
    parameters += needed;
  }
  if (start < rows.size()) runs.emplace_back(start, rows.size() - start);
  return runs;
}

InsertStatement build_update(const Resource& resource, std::string_view schema, const std::string& id,
                             const RowInput& row, const std::vector<std::string>* xmins) {
  InsertStatement update;
  StatementWriter out(schema);
  out << "UPDATE ";
  out.relation(resource);
  std::string_view joint = " SET ";
  for (std::size_t i = 0; i < resource.columns.size(); ++i) {
    if (!row.cells[i]) continue;
    out << joint;
    out.name(resource.columns[i].name);
    out << " = ";
    out.parameter(resource.columns[i], *row.cells[i]);
    update.origins.emplace_back(0, &resource.columns[i]);
    joint = ", ";
  }
  write_row_condition(out, resource, id, xmins);
  write_returning(out, resource, Returning::rows, OnConflict::error);
  update.statement = std::move(out).finish(pg::Access::write, pg::Reuse::prepared);
  return update;
}

pg::Statement build_remove(const Resource& resource, std::string_view schema, const std::string& id,
                           const std::vector<std::string>* xmins) {
  StatementWriter out(schema);
  out << "DELETE FROM ";
  out.relation(resource);
  write_row_condition(out, resource, id, xmins);
  return std::move(out).finish(pg::Access::write, pg::Reuse::prepared);
}

pg::Statement build_exists(const Resource& resource, std::string_view schema, const std::string& id) {
  StatementWriter out(schema);
  out << "SELECT true FROM ";
  out.relation(resource);
  write_row_condition(out, resource, id, nullptr);
  return std::move(out).finish(pg::Access::read, pg::Reuse::prepared);
}

pg::Statement build_get_by_key(const Resource& resource, std::string_view schema, const RowInput& row) {
  StatementWriter out(schema);
  out << "SELECT ";
  out.column_list(all_columns(resource));
  if (version_source(resource) == VersionSource::xmin) out << ", " << kXmin;
  out << " FROM ";
  out.relation(resource);
  std::string_view joint = " WHERE ";
  for (const std::string& name : resource.natural_key) {
    const Column* column = resource.find_column(name);
    const auto& cell = row.cells[index_of(resource, column)];
    out << joint;
    out.name(name);
    out << " = ";
    out.parameter(*column, cell ? *cell : pg::Param());
    joint = " AND ";
  }
  return std::move(out).finish(pg::Access::read, pg::Reuse::prepared);
}

}  // namespace rowhouse::data
