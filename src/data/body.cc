#include "data/body.h"

#include <algorithm>

#include "data/values.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::FunctionArgument;
using tenancy::Resource;

constexpr std::string_view kTenantColumn = "tenant_id";

void read_member(const Resource& resource, const json::Member& member, const std::string& prefix, BodyUse use,
                 RowInput& row, Faults& faults) {
  const std::string path = prefix + "/" + pointer_segment(member.first);
  if (std::string refusal = column_refusal(resource, member.first, use); !refusal.empty()) {
    faults.add(path, std::move(refusal));
    return;
  }
  const Column* column = resource.find_column(member.first);
  row.cells[static_cast<std::size_t>(column - resource.columns.data())] =
      accept_value(*column, convert_json(*column, member.second), path, faults);
}

Column column_of(const FunctionArgument& argument) {
  Column column;
  column.name = argument.name;
  column.type = argument.type;
  column.cast = argument.cast;
  column.kind = argument.kind;
  return column;
}

}  // namespace

Error Faults::to_error() && {
  const std::string message = fields_.size() == 1
                                  ? "one value is not valid: " + fields_[0].path + " " + fields_[0].message
                                  : std::to_string(fields_.size()) + " values are not valid";
  Error error(ErrorCode::validation_failed, message);
  error.fields = std::move(fields_);
  return error;
}

std::string pointer_segment(std::string_view name) {
  std::string segment;
  for (const char c : name) {
    if (c == '~') {
      segment += "~0";
    } else if (c == '/') {
      segment += "~1";
    } else {
      segment.push_back(c);
    }
  }
  return segment;
}

std::string column_refusal(const Resource& resource, std::string_view name, BodyUse use) {
  if (name == kTenantColumn)
    return "must be left out: the credential decides which tenant the row belongs to";
  const Column* column = resource.find_column(name);
  if (column == nullptr) return "there is no such column in " + resource.name;
  if (column->generated || column->read_only) return "must be left out: the database keeps this column";
  if (use == BodyUse::update && column->name == "id")
    return "must be left out: the id of a row does not change";
  return {};
}

pg::Param accept_value(const Column& column, Converted converted, const std::string& path, Faults& faults) {
  if (converted.ok() && converted.value) converted.fault = storage_fault(column, *converted.value);
  if (converted.ok() && !converted.value && !column.nullable) converted.fault = "must not be null";
  if (!converted.ok()) {
    faults.add(path, std::move(converted.fault));
    return std::nullopt;
  }
  return std::move(converted.value);
}

void require_columns(const Resource& resource, const RowInput& row, const std::string& prefix,
                     Faults& faults) {
  for (std::size_t i = 0; i < resource.columns.size(); ++i) {
    const Column& column = resource.columns[i];
    const bool database_fills_it =
        column.nullable || column.has_default || column.generated || column.read_only;
    if (!database_fills_it && !row.cells[i]) {
      faults.add(prefix + "/" + pointer_segment(column.name), "is required");
    }
  }
}

RowInput read_row(const Resource& resource, const json::Value& value, const std::string& prefix, BodyUse use,
                  Faults& faults) {
  RowInput row;
  row.cells.resize(resource.columns.size());
  const json::Object* object = value.as_object();
  if (object == nullptr) {
    faults.add(prefix, "must be an object, not " + std::string(value.type_name()));
    return row;
  }
  for (const json::Member& member : *object) read_member(resource, member, prefix, use, row, faults);
  if (use == BodyUse::create) {
    require_columns(resource, row, prefix, faults);
  } else if (object->empty()) {
    faults.add(prefix, "must have at least one member");
  }
  return row;
}

Result<Body> parse_body(const Resource& resource, std::string_view text, BodyUse use, std::size_t max_rows) {
  TRY(const json::Value value, json::parse(text));
  Faults faults;
  Body body;
  const json::Array* array = use == BodyUse::create ? value.as_array() : nullptr;
  if (array == nullptr) {
    body.rows.push_back(read_row(resource, value, "", use, faults));
  } else {
    body.shape = BodyShape::array;
    if (array->empty()) faults.add("", "must have at least one element");
    if (array->size() > max_rows)
      faults.add("", "must have at most " + std::to_string(max_rows) + " elements");
    for (std::size_t i = 0; i < array->size() && i < max_rows && !faults.full(); ++i) {
      body.rows.push_back(read_row(resource, (*array)[i], "/" + std::to_string(i), use, faults));
    }
  }
  if (!faults.empty()) return std::move(faults).to_error();
  return body;
}

Result<std::vector<std::optional<pg::Param>>> parse_arguments(const tenancy::Function& function,
                                                              std::string_view text) {
  json::Value value{json::Object()};
  if (!text.empty()) {
    TRY(value, json::parse(text));
  }
  Faults faults;
  std::vector<std::optional<pg::Param>> arguments(function.arguments.size());
  const json::Object* object = value.as_object();
  if (object == nullptr) {
    faults.add("", "must be an object with the function's arguments, not " + std::string(value.type_name()));
    return std::move(faults).to_error();
  }
  for (const json::Member& member : *object) {
    const std::string path = "/" + pointer_segment(member.first);
    const auto found =
        std::find_if(function.arguments.begin(), function.arguments.end(),
                     [&](const FunctionArgument& argument) { return argument.name == member.first; });
    if (found == function.arguments.end()) {
      faults.add(path, "there is no such argument of " + function.name);
      continue;
    }
    const Column column = column_of(*found);
    arguments[static_cast<std::size_t>(found - function.arguments.begin())] =
        accept_value(column, convert_json(column, member.second), path, faults);
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const FunctionArgument& argument = function.arguments[i];
    if (!arguments[i] && !argument.has_default)
      faults.add("/" + pointer_segment(argument.name), "is required");
  }
  if (!faults.empty()) return std::move(faults).to_error();
  return arguments;
}

}  // namespace rowhouse::data
