// A resource with a column of every kind, for tests that need no database.
#pragma once

#include <string>
#include <utility>

#include "tenancy/pack.h"

namespace rowhouse::testing {

inline tenancy::Column column(std::string name, std::string type, tenancy::ColumnKind kind,
                              bool nullable = true) {
  tenancy::Column result;
  result.name = std::move(name);
  result.cast = "pg_catalog." + type.substr(0, type.find('('));
  result.type = std::move(type);
  result.kind = kind;
  result.nullable = nullable;
  return result;
}

inline tenancy::Resource sample_resource() {
  using tenancy::ColumnKind;
  tenancy::Resource resource;
  resource.name = "things";
  resource.relation = "things";
  auto add = [&](tenancy::Column next) -> tenancy::Column& {
    resource.columns.push_back(std::move(next));
    return resource.columns.back();
  };
  add(column("id", "uuid", ColumnKind::uuid, false)).has_default = true;
  add(column("name", "varchar(10)", ColumnKind::text, false)).max_characters = 10;
  add(column("note", "text", ColumnKind::text));
  add(column("stock", "integer", ColumnKind::integer, false)).has_default = true;
  add(column("small", "smallint", ColumnKind::integer));
  add(column("price", "numeric(6,2)", ColumnKind::number));
  add(column("ratio", "float8", ColumnKind::number));
  add(column("done", "boolean", ColumnKind::boolean));
  add(column("born", "date", ColumnKind::date));
  add(column("at", "timestamptz", ColumnKind::timestamp, false)).has_default = true;
  add(column("extra", "jsonb", ColumnKind::json));
  add(column("plain", "json", ColumnKind::json));
  add(column("tags", "text[]", ColumnKind::array));
  add(column("raw", "bytea", ColumnKind::bytes));
  add(column("address", "inet", ColumnKind::other));
  tenancy::Column& mood = add(column("mood", "mood", ColumnKind::text));
  mood.cast.clear();
  mood.local_type = "mood";
  mood.labels.assign({"sad", "happy"});
  add(column("version", "integer", ColumnKind::integer, false)).read_only = true;
  add(column("total", "integer", ColumnKind::integer)).generated = true;
  resource.natural_key.emplace_back("name");
  tenancy::OrderTerm newest;
  newest.column = "at";
  newest.descending = true;
  resource.default_order.push_back(newest);
  return resource;
}

}  // namespace rowhouse::testing
