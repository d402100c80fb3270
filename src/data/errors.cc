#include "data/errors.h"

#include <algorithm>

#include "base/text.h"
#include "data/body.h"
#include "pg/types.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::Constraint;
using tenancy::Resource;

// SQLSTATEs (PostgreSQL manual, appendix A).
constexpr std::string_view kNotNull = "23502";
constexpr std::string_view kForeignKey = "23503";
constexpr std::string_view kUnique = "23505";
constexpr std::string_view kExclusion = "23P01";
constexpr std::string_view kIndexRowTooLong = "54000";
constexpr std::string_view kRaised = "P0001";        // RAISE EXCEPTION in a pack's function
constexpr std::string_view kSameRowTwice = "21000";  // ON CONFLICT DO UPDATE met a row of its own statement
constexpr std::string_view kUndefinedOperator = "42883";
constexpr std::string_view kNumberOutOfRange = "22003";
constexpr std::string_view kTooLong = "22001";

constexpr std::string_view kDenied = "42501";
// The policy of a row rule, as PostgreSQL names it when a row breaks it.
constexpr std::string_view kRowRulePolicy = "rowhouse_role";
constexpr std::string_view kExistingRow = "USING";  // … and that it is about the row an upsert would change

Error replaced(Error error, ErrorCode code, std::string message) {
  Error result(code, std::move(message));
  result.details = std::move(error.details);
  return result;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

const Constraint* find_constraint(const Resource& resource, std::string_view name) {
  const auto found = std::find_if(resource.constraints.begin(), resource.constraints.end(),
                                  [&](const Constraint& constraint) { return constraint.name == name; });
  return found == resource.constraints.end() ? nullptr : &*found;
}

void add_paths(Error& error, const std::vector<std::string>& columns, const std::string& prefix,
               const std::string& message) {
  for (const std::string& column : columns) {
    error.fields.emplace_back(prefix + "/" + pointer_segment(column), message);
  }
  if (columns.empty()) error.fields.emplace_back(prefix, message);
}

std::string parameter_fault(const Column& column, std::string_view sqlstate) {
  if (sqlstate == kNumberOutOfRange) return "is out of the range of " + column.type;
  if (sqlstate == kTooLong) return "is too long for " + column.type;
  return "is not a valid " + column.type;
}

// The columns a refusal is about: those of the constraint, or the one PostgreSQL names.
std::vector<std::string> blamed_columns(const Error& error, const Constraint* constraint) {
  if (constraint != nullptr && !constraint->columns.empty()) return constraint->columns;
  const std::string_view column = error.detail(pg::kColumn);
  if (column.empty() || column == "tenant_id") return {};
  return {std::string(column)};
}

bool breaks_row_rule(const Error& error) {
  return error.detail(pg::kSqlState) == kDenied &&
         error.detail(pg::kServerMessage).find(kRowRulePolicy) != std::string_view::npos;
}

// A row that the caller would not reach afterwards. What it points at, or collides with, is for them as if it
// did not exist, or were any other row.
Error explain_row_rule(Error error, const Resource& resource, const std::string& prefix) {
  if (error.detail(pg::kServerMessage).find(kExistingRow) != std::string_view::npos) {
    Error result = replaced(std::move(error), ErrorCode::conflict,
                            "there is a row with the same " + list_of(resource.natural_key));
    add_paths(result, resource.natural_key, prefix, "is taken by another row");
    return result;
  }
  if (resource.row_rule && !resource.row_rule->through.empty()) {
    Error result = replaced(std::move(error), ErrorCode::validation_failed, "the row is not valid");
    add_paths(result, {resource.row_rule->through}, prefix, "refers to a row that does not exist");
    return result;
  }
  Error result =
      replaced(std::move(error), ErrorCode::forbidden, "the row would belong to other users alone");
  if (resource.row_rule) add_paths(result, resource.row_rule->owners, prefix, "does not name you");
  return result;
}

}  // namespace

bool is_row_fault(const Error& error) {
  const std::string_view state = error.detail(pg::kSqlState);
  return state.starts_with("22") || state.starts_with("23") || state == kIndexRowTooLong ||
         state == kRaised || state == kSameRowTwice || breaks_row_rule(error);
}

const ParameterOrigin* refused_parameter(const Error& error, const std::vector<ParameterOrigin>& origins) {
  const auto number = parse_int64(error.detail(pg::kParameter));
  if (!number || *number < 1 || static_cast<std::size_t>(*number) > origins.size()) return nullptr;
  return &origins[static_cast<std::size_t>(*number) - 1];
}

bool is_refused_id(const Error& error, const std::vector<ParameterOrigin>& origins) {
  return error.detail(pg::kSqlState).starts_with("22") &&
         error.detail(pg::kParameter) == std::to_string(origins.size() + 1);
}

Error explain_write(Error error, const Resource& resource, const ParameterOrigin* origin,
                    const std::string& prefix) {
  if (!is_row_fault(error)) return error;
  if (breaks_row_rule(error)) return explain_row_rule(std::move(error), resource, prefix);
  const std::string state(error.detail(pg::kSqlState));
  if (origin != nullptr) {
    const std::string fault = parameter_fault(*origin->column, state);
    Error result = replaced(std::move(error), ErrorCode::validation_failed, "a value is not valid");
    add_paths(result, {origin->column->name}, prefix, fault);
    return result;
  }
  const std::string constraint_name(error.detail(pg::kConstraint));
  const Constraint* constraint = find_constraint(resource, constraint_name);
  const std::vector<std::string> columns = blamed_columns(error, constraint);
  if (state == kUnique || state == kExclusion) {
    const std::string what = columns.empty() ? constraint_name : list_of(columns);
    Error result = replaced(std::move(error), ErrorCode::conflict, "there is a row with the same " + what);
    add_paths(result, columns, prefix, "is taken by another row");
    return result;
  }
  if (state == kSameRowTwice) {
    return replaced(std::move(error), ErrorCode::conflict, "two rows of the body have the same natural key");
  }
  if (state == kForeignKey && constraint == nullptr) {
    return replaced(std::move(error), ErrorCode::conflict, "other rows refer to this one");
  }
  std::string fault = "is not accepted by the database";
  if (state == kNotNull) {
    fault = "must not be null";
  } else if (state == kForeignKey) {
    fault = "refers to a row that does not exist";
  } else if (!constraint_name.empty()) {
    fault = "breaks the rule " + constraint_name;
  } else if (state == kIndexRowTooLong) {
    fault = "has a value that is too long for an index";
  } else if (state == kNumberOutOfRange) {
    fault = "has a number that is out of range";
  }
  Error result = replaced(std::move(error), ErrorCode::validation_failed, "the row is not valid");
  add_paths(result, columns, prefix, fault);
  return result;
}

Error explain_remove(Error error, const Resource& resource) {
  if (error.detail(pg::kSqlState) != kForeignKey)
    return explain_write(std::move(error), resource, nullptr, "");
  const std::string table(error.detail(pg::kTable));
  return replaced(std::move(error), ErrorCode::conflict,
                  "other rows refer to this one" + (table.empty() ? "" : ", in " + table));
}

Error explain_read(Error error, const Query& query) {
  const std::string state(error.detail(pg::kSqlState));
  if (state == kUndefinedOperator) {
    return replaced(std::move(error), ErrorCode::invalid_parameter,
                    "the type of a column does not offer this filter or order");
  }
  if (!state.starts_with("22")) return error;
  const std::string number(error.detail(pg::kParameter));
  std::int64_t position = 0;
  for (const Filter& filter : query.filters) {
    const bool has_parameter =
        filter.operation != Operator::is_null && filter.operation != Operator::is_not_null &&
        filter.operation != Operator::is_true && filter.operation != Operator::is_false;
    if (!has_parameter || std::to_string(++position) != number) continue;
    const std::string fault = parameter_fault(*filter.column, state);
    Error result = replaced(std::move(error), ErrorCode::invalid_parameter,
                            "\"" + filter.column->name + "\": the value " + fault);
    result.fields.emplace_back(filter.column->name, fault);
    return result;
  }
  return replaced(std::move(error), ErrorCode::invalid_parameter,
                  "the value of a filter is not valid for its column");
}

}  // namespace rowhouse::data
