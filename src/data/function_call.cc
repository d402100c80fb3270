#include "data/function_call.h"

#include "data/row_json.h"
#include "pg/quote.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::Function;

// A function that returns rows of a table returns tenant_id as well; the API never shows it.
RowRenderer renderer_of(const Function& function) {
  std::vector<const Column*> columns;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < function.result.size(); ++i) {
    if (function.returns_row && function.result[i].name == "tenant_id") continue;
    columns.push_back(&function.result[i]);
    positions.push_back(i);
  }
  return RowRenderer(columns, positions);
}

void append_scalar(std::string& out, const Column& column, const pg::Rows& rows, std::size_t row) {
  if (rows.is_null(row, 0)) {
    out += "null";
  } else {
    append_cell(out, cell_format(column), rows.text(row, 0));
  }
}

}  // namespace

CallStatement build_call(const Function& function, std::string_view schema,
                         const std::vector<std::optional<pg::Param>>& arguments) {
  CallStatement call;
  call.columns.resize(function.arguments.size());
  std::string sql = "SELECT * FROM " + pg::quote_qualified(schema, function.name) + "(";
  pg::Params params;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    call.columns[i].name = function.arguments[i].name;
    call.columns[i].type = function.arguments[i].type;
    if (!arguments[i]) continue;
    if (!params.empty()) sql += ", ";
    params.push_back(*arguments[i]);
    sql += pg::quote_name(function.arguments[i].name) + " => $" + std::to_string(params.size()) +
           "::" + function.arguments[i].cast;
    call.origins.emplace_back(0, &call.columns[i]);
  }
  sql += ") LIMIT " + std::to_string(kMaxFunctionRows + 1);
  call.statement =
      pg::Statement(std::move(sql), std::move(params),
                    function.read_only ? pg::Access::read : pg::Access::write, pg::Reuse::prepared);
  return call;
}

Result<Reply> render_call(const Function& function, const pg::Rows& rows) {
  if (rows.size() > kMaxFunctionRows) {
    return Error(
        ErrorCode::validation_failed,
        "the function returns more than " + std::to_string(kMaxFunctionRows) + " rows; narrow its arguments");
  }
  Reply reply;
  const RowRenderer renderer = renderer_of(function);
  const auto append_item = [&](std::size_t row) {
    if (function.returns_row) {
      renderer.append_row(reply.body, rows, row);
    } else {
      append_scalar(reply.body, function.result.front(), rows, row);
    }
  };
  if (!function.returns_set) {
    if (rows.size() == 0) {
      reply.body = "null";
    } else {
      append_item(0);
    }
    return reply;
  }
  reply.body = "{\"data\":[";
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (row > 0) reply.body.push_back(',');
    append_item(row);
  }
  reply.body += "]}";
  return reply;
}

Error explain_call(Error error, const CallStatement& call) {
  const tenancy::Resource no_resource;
  const ParameterOrigin* origin = refused_parameter(error, call.origins);
  return explain_write(std::move(error), no_resource, origin, "");
}

}  // namespace rowhouse::data
