#include "data/sql_builder.h"

#include <algorithm>

#include "pg/quote.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::Resource;

constexpr std::string_view kXmin = "xmin::pg_catalog.text";

std::string_view comparison(Operator operation) {
  switch (operation) {
    case Operator::equal:
      return " = ";
    case Operator::not_equal:
      return " <> ";
    case Operator::less:
      return " < ";
    case Operator::less_or_equal:
      return " <= ";
    case Operator::greater:
      return " > ";
    case Operator::greater_or_equal:
      return " >= ";
    case Operator::like:
      return " LIKE ";
    case Operator::ilike:
      return " ILIKE ";
    case Operator::contains:
      return " @> ";
    case Operator::contained:
      return " <@ ";
    case Operator::in:
      return " = ANY (";
    case Operator::is_null:
      return " IS NULL";
    case Operator::is_not_null:
      return " IS NOT NULL";
    case Operator::is_true:
      return " IS TRUE";
    case Operator::is_false:
      return " IS FALSE";
  }
  return {};
}

void write_filter(StatementWriter& out, const Filter& filter) {
  if (filter.polarity == Polarity::negated) out << "NOT (";
  out.name(filter.column->name);
  out << comparison(filter.operation);
  switch (filter.operation) {
    case Operator::is_null:
    case Operator::is_not_null:
    case Operator::is_true:
    case Operator::is_false:
      break;
    case Operator::in:
      out.parameter(*filter.column, filter.operand, "[]");
      out << ")";
      break;
    case Operator::like:
    case Operator::ilike:
      out.text_parameter(filter.operand);
      break;
    default:
      out.parameter(*filter.column, filter.operand);
  }
  if (filter.polarity == Polarity::negated) out << ")";
}

bool nulls_come_later(const SortTerm& term, const pg::Param& value) {
  return term.column->nullable && term.column->name != "id" && (term.nulls == NullPlace::last || !value);
}

// All terms go one way and no NULL can follow: then a row comparison says the same as the long form, and
// PostgreSQL turns it into one range of the index.
bool is_row_comparison(const std::vector<SortTerm>& order, const std::vector<pg::Param>& after) {
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i].descending != order[0].descending || !after[i] || nulls_come_later(order[i], after[i])) {
      return false;
    }
  }
  return true;
}

void write_row_comparison(StatementWriter& out, const std::vector<SortTerm>& order,
                          const std::vector<pg::Param>& after) {
  out << "(";
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0) out << ", ";
    out.name(order[i].column->name);
  }
  out << (order[0].descending ? ") < (" : ") > (");
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0) out << ", ";
    out.parameter(*order[i].column, after[i]);
  }
  out << ")";
}

// "Comes after the cursor's row", term by term from `first` on. The last term is id, which is unique and
// never NULL.
void write_long_comparison(StatementWriter& out, const std::vector<SortTerm>& order,
                           const std::vector<pg::Param>& after, std::size_t first) {
  if (first == order.size()) {
    out << "false";
    return;
  }
  const SortTerm& term = order[first];
  const pg::Param& value = after[first];
  const std::string_view beyond = term.descending ? " < " : " > ";
  out << "(";
  if (value) {
    out.name(term.column->name);
    out << beyond;
    out.parameter(*term.column, value);
    out << " OR ";
    if (nulls_come_later(term, value)) {
      out.name(term.column->name);
      out << " IS NULL OR ";
    }
    out.name(term.column->name);
    out << " = ";
    out.parameter(*term.column, value);
  } else {
    if (term.nulls == NullPlace::first) {
      out.name(term.column->name);
      out << " IS NOT NULL OR ";
    }
    out.name(term.column->name);
    out << " IS NULL";
  }
  out << " AND ";
  write_long_comparison(out, order, after, first + 1);
  out << ")";
}

void write_after(StatementWriter& out, const std::vector<SortTerm>& order,
                 const std::vector<pg::Param>& after) {
  if (is_row_comparison(order, after)) {
    write_row_comparison(out, order, after);
    return;
  }
  // Follows from the long form; it is there for the index, which cannot use an OR.
  if (after[0] && !nulls_come_later(order[0], after[0])) {
    out.name(order[0].column->name);
    out << (order[0].descending ? " <= " : " >= ");
    out.parameter(*order[0].column, after[0]);
    out << " AND ";
  }
  write_long_comparison(out, order, after, 0);
}

void write_where(StatementWriter& out, const Query& query, const std::vector<pg::Param>* after) {
  std::string_view joint = " WHERE ";
  for (const Filter& filter : query.filters) {
    out << joint;
    write_filter(out, filter);
    joint = " AND ";
  }
  if (after != nullptr) {
    out << joint;
    write_after(out, query.order, *after);
  }
}

void write_order(StatementWriter& out, const std::vector<SortTerm>& order) {
  std::string_view joint = " ORDER BY ";
  for (const SortTerm& term : order) {
    out << joint;
    out.name(term.column->name);
    const NullPlace usual = term.descending ? NullPlace::first : NullPlace::last;
    out << (term.descending ? " DESC" : "");
    if (term.nulls != usual) out << (term.nulls == NullPlace::first ? " NULLS FIRST" : " NULLS LAST");
    joint = ", ";
  }
}

}  // namespace

std::string cast_of(const Column& column, std::string_view schema) {
  if (!column.cast.empty()) return column.cast;
  std::string cast = pg::quote_qualified(schema, column.local_type);
  if (column.local_type_is_array) cast += "[]";
  return cast;
}

VersionSource version_source(const Resource& resource) {
  return resource.is_view || resource.is_partitioned ? VersionSource::row_text : VersionSource::xmin;
}

std::vector<const Column*> all_columns(const Resource& resource) {
  std::vector<const Column*> columns;
  columns.reserve(resource.columns.size());
  for (const Column& column : resource.columns) columns.push_back(&column);
  return columns;
}

void StatementWriter::name(std::string_view column_name) { sql_ += pg::quote_name(column_name); }

void StatementWriter::relation(const Resource& resource) {
  sql_ += pg::quote_qualified(schema_, resource.relation);
}

void StatementWriter::number(pg::Param value) {
  params_.push_back(std::move(value));
  sql_.push_back('$');
  sql_ += std::to_string(params_.size());
}

void StatementWriter::parameter(const Column& column, pg::Param value, std::string_view suffix) {
  number(std::move(value));
  sql_ += "::";
  sql_ += cast_of(column, schema_);
  sql_ += suffix;
}

void StatementWriter::text_parameter(pg::Param value) {
  number(std::move(value));
  sql_ += "::pg_catalog.text";
}

void StatementWriter::column_list(const std::vector<const Column*>& columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) sql_ += ", ";
    name(columns[i]->name);
  }
}

pg::Statement StatementWriter::finish(pg::Access access, pg::Reuse reuse) && {
  return pg::Statement(std::move(sql_), std::move(params_), access, reuse);
}

ListStatement build_list(const Resource& resource, std::string_view schema, const Query& query,
                         const std::vector<pg::Param>* after) {
  ListStatement list;
  list.visible_columns = query.select.size();
  std::vector<const Column*> columns = query.select;
  for (const SortTerm& term : query.order) {
    const auto found = std::find(columns.begin(), columns.end(), term.column);
    list.order_columns.push_back(static_cast<std::size_t>(found - columns.begin()));
    if (found == columns.end()) columns.push_back(term.column);
  }
  StatementWriter out(schema);
  out << "SELECT ";
  out.column_list(columns);
  out << " FROM ";
  out.relation(resource);
  write_where(out, query, after);
  write_order(out, query.order);
  // A literal: with a parameter PostgreSQL would plan each execution anew.
  out << " LIMIT " << std::to_string(query.limit + 1);
  list.statement = std::move(out).finish(pg::Access::read, pg::Reuse::prepared);
  return list;
}

pg::Statement build_export(const Resource& resource, std::string_view schema, const Query& query) {
  StatementWriter out(schema);
  out << "DECLARE exported NO SCROLL CURSOR FOR SELECT ";
  out.column_list(query.select);
  out << " FROM ";
  out.relation(resource);
  write_where(out, query, nullptr);
  write_order(out, query.order);
  return std::move(out).finish(pg::Access::read, pg::Reuse::once);
}

pg::Statement build_count(const Resource& resource, std::string_view schema, const Query& query) {
  StatementWriter out(schema);
  out << "SELECT pg_catalog.count(*) FROM ";
  out.relation(resource);
  write_where(out, query, nullptr);
  return std::move(out).finish(pg::Access::read, pg::Reuse::prepared);
}

pg::Statement build_get(const Resource& resource, std::string_view schema,
                        const std::vector<const Column*>& select, std::string id, RowLock lock) {
  StatementWriter out(schema);
  out << "SELECT ";
  out.column_list(select);
  if (version_source(resource) == VersionSource::xmin) out << ", " << kXmin;
  out << " FROM ";
  out.relation(resource);
  out << " WHERE \"id\" = ";
  out.parameter(*resource.find_column("id"), std::move(id));
  if (lock == RowLock::for_update) out << " FOR UPDATE";
  return std::move(out).finish(lock == RowLock::none ? pg::Access::read : pg::Access::write,
                               pg::Reuse::prepared);
}

}  // namespace rowhouse::data
