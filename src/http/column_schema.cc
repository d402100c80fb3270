#include "http/column_schema.h"

#include <string>

#include "data/values.h"

namespace rowhouse::http {
namespace {

using tenancy::Column;
using tenancy::ColumnKind;
using tenancy::Function;
using tenancy::Resource;

json::Value typed(std::string_view type, std::string_view format = {}) {
  json::Value schema = json::Object{{"type", type}};
  if (!format.empty()) schema.set("format", format);
  return schema;
}

json::Value integer_type(std::string_view type) {
  if (type == "bigint") return typed("integer", "int64");
  json::Value schema = typed("integer", "int32");
  if (type == "smallint") {
    schema.set("minimum", -32768);
    schema.set("maximum", 32767);
  }
  return schema;
}

json::Value number_type(std::string_view type) {
  if (type == "double precision") return typed("number", "double");
  return type == "real" ? typed("number", "float") : typed("number");
}

json::Value bytes_type() {
  json::Value schema = typed("string");
  schema.set("pattern", R"(^\\x([0-9a-f]{2})*$)");
  return schema;
}

// An element of an array, by the database's name of its type.
json::Value element_schema(std::string_view type) {
  if (type == "boolean") return typed("boolean");
  if (type == "smallint" || type == "integer" || type == "bigint") return integer_type(type);
  if (type == "real" || type == "double precision" || type.starts_with("numeric")) return number_type(type);
  if (type == "uuid") return typed("string", "uuid");
  if (type == "date") return typed("string", "date");
  if (type.starts_with("timestamp")) return typed("string", "date-time");
  if (type == "json" || type == "jsonb") return json::Object();
  return type == "bytea" ? bytes_type() : typed("string");
}

json::Value labels_of(const Column& column) {
  json::Array labels;
  for (const std::string& label : column.labels) labels.emplace_back(label);
  return labels;
}

json::Value array_type(const Column& column) {
  json::Value items = element_schema(data::element_type(column.type));
  if (!column.labels.empty()) items.set("enum", labels_of(column));
  json::Value schema = typed("array");
  schema.set("items", std::move(items));
  return schema;
}

json::Value text_type(const Column& column) {
  json::Value schema = typed("string");
  if (column.max_characters) schema.set("maxLength", static_cast<std::int64_t>(*column.max_characters));
  if (!column.labels.empty()) schema.set("enum", labels_of(column));
  return schema;
}

json::Value value_schema(const Column& column) {
  switch (column.kind) {
    case ColumnKind::boolean:
      return typed("boolean");
    case ColumnKind::integer:
      return integer_type(column.type);
    case ColumnKind::number:
      return number_type(column.type);
    case ColumnKind::uuid:
      return typed("string", "uuid");
    case ColumnKind::date:
      return typed("string", "date");
    case ColumnKind::timestamp:
      // Without a time zone there is no offset, and RFC 3339 asks for one.
      return column.type.find("without") == std::string::npos ? typed("string", "date-time")
                                                              : typed("string");
    case ColumnKind::json:
      return json::Object();
    case ColumnKind::array:
      return array_type(column);
    case ColumnKind::bytes:
      return bytes_type();
    case ColumnKind::text:
    case ColumnKind::other:
      break;
  }
  return text_type(column);
}

void allow_null(json::Value& schema) {
  const json::Value* type = schema.find("type");
  if (type == nullptr) return;  // any JSON, null too
  json::Array types{*type, "null"};
  schema.set("type", std::move(types));
  if (const json::Value* labels = schema.find("enum")) {
    json::Array with_null = *labels->as_array();
    with_null.emplace_back(nullptr);
    schema.set("enum", std::move(with_null));
  }
}

std::string describe(const Column& column) {
  if (column.kind != ColumnKind::other || !column.labels.empty()) return column.comment;
  return column.comment + (column.comment.empty() ? "" : " ") + "(PostgreSQL type " + column.type + ")";
}

bool is_kept_by_database(const Column& column) { return column.generated || column.read_only; }

json::Value object_schema(json::Object properties, json::Array required) {
  json::Value schema = typed("object");
  schema.set("properties", std::move(properties));
  if (!required.empty()) schema.set("required", std::move(required));
  return schema;
}

}  // namespace

json::Value column_schema(const Column& column) {
  json::Value schema = value_schema(column);
  if (column.nullable) allow_null(schema);
  if (std::string text = describe(column); !text.empty()) schema.set("description", std::move(text));
  if (column.personal) schema.set("x-rowhouse-personal-data", true);
  return schema;
}

json::Value row_schema(const Resource& resource) {
  json::Object properties;
  json::Array required;
  for (const Column& column : resource.columns) {
    json::Value schema = column_schema(column);
    if (is_kept_by_database(column)) schema.set("readOnly", true);
    properties.emplace_back(column.name, std::move(schema));
    required.emplace_back(column.name);
  }
  json::Value schema = object_schema(std::move(properties), std::move(required));
  if (!resource.description.empty()) schema.set("description", resource.description);
  return schema;
}

json::Value create_schema(const Resource& resource) {
  json::Object properties;
  json::Array required;
  for (const Column& column : resource.columns) {
    if (is_kept_by_database(column)) continue;
    properties.emplace_back(column.name, column_schema(column));
    if (!column.nullable && !column.has_default) required.emplace_back(column.name);
  }
  json::Value schema = object_schema(std::move(properties), std::move(required));
  schema.set("additionalProperties", false);
  return schema;
}

json::Value patch_schema(const Resource& resource) {
  json::Object properties;
  for (const Column& column : resource.columns) {
    if (!is_kept_by_database(column) && column.name != "id") {
      properties.emplace_back(column.name, column_schema(column));
    }
  }
  json::Value schema = object_schema(std::move(properties), {});
  schema.set("additionalProperties", false);
  schema.set("minProperties", 1);
  return schema;
}

json::Value arguments_schema(const Function& function) {
  json::Object properties;
  json::Array required;
  for (const tenancy::FunctionArgument& argument : function.arguments) {
    Column column;
    column.name = argument.name;
    column.type = argument.type;
    column.kind = argument.kind;
    properties.emplace_back(argument.name, column_schema(column));
    if (!argument.has_default) required.emplace_back(argument.name);
  }
  json::Value schema = object_schema(std::move(properties), std::move(required));
  schema.set("additionalProperties", false);
  return schema;
}

json::Value result_schema(const Function& function) {
  json::Value one;
  if (function.returns_row) {
    json::Object properties;
    json::Array required;
    for (const Column& column : function.result) {
      properties.emplace_back(column.name, column_schema(column));
      required.emplace_back(column.name);
    }
    one = object_schema(std::move(properties), std::move(required));
    if (!function.returns_set) allow_null(one);
  } else {
    one = function.result.empty() ? json::Value(json::Object()) : column_schema(function.result.front());
  }
  if (!function.returns_set) return one;
  json::Value list = typed("array");
  list.set("items", std::move(one));
  json::Object properties;
  properties.emplace_back("data", std::move(list));
  json::Array required;
  required.emplace_back("data");
  return object_schema(std::move(properties), std::move(required));
}

std::vector<std::string_view> filter_operators(const Column& column) {
  if (column.kind == ColumnKind::json) {
    if (column.type != "jsonb") return {"is"};
    return {"eq", "neq", "is", "contains", "contained"};
  }
  std::vector<std::string_view> names = {"eq", "neq", "lt", "lte", "gt", "gte"};
  if (column.kind == ColumnKind::array) {
    names.insert(names.end(), {"is", "contains", "contained"});
    return names;
  }
  if (column.kind == ColumnKind::text && column.labels.empty()) names.insert(names.end(), {"like", "ilike"});
  names.insert(names.end(), {"in", "is"});
  return names;
}

}  // namespace rowhouse::http
