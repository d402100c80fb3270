#include "operations/error_json.h"

#include <string>
#include <utility>

#include "pg/types.h"

namespace rowhouse::operations {
namespace {

ErrorCode parse_code(std::string_view name) {
#define ROWHOUSE_PARSE_CODE(identifier, status, title) \
  if (name == #identifier) return ErrorCode::identifier;
  ROWHOUSE_ERROR_CODES(ROWHOUSE_PARSE_CODE)
#undef ROWHOUSE_PARSE_CODE
  return ErrorCode::internal;
}

std::string text_of(const json::Value& document, std::string_view member) {
  const json::Value* value = document.find(member);
  const std::string* text = value == nullptr ? nullptr : value->as_string();
  return text == nullptr ? "" : *text;
}

}  // namespace

json::Value error_to_json(const Error& error, std::string_view step) {
  json::Value document;
  document.set("code", error_code_name(error.code));
  document.set("message", error.message);
  document.set("step", step);
  if (!error.fields.empty()) {
    json::Array fields;
    for (const FieldError& fault : error.fields) {
      json::Value field;
      field.set("path", fault.path);
      field.set("message", fault.message);
      fields.push_back(std::move(field));
    }
    document.set("fields", std::move(fields));
  }
  const auto state = error.detail(pg::kSqlState);
  if (!state.empty()) document.set("sqlstate", state);
  return document;
}

Error error_from_json(const json::Value& document) {
  std::string message = text_of(document, "message");
  if (message.empty()) message = "the operation has failed";
  Error error(parse_code(text_of(document, "code")), std::move(message));
  if (const json::Value* fields = document.find("fields");
      fields != nullptr && fields->as_array() != nullptr) {
    for (const json::Value& field : *fields->as_array()) {
      error.fields.emplace_back(text_of(field, "path"), text_of(field, "message"));
    }
  }
  const std::string state = text_of(document, "sqlstate");
  if (!state.empty()) error.details.emplace_back(std::string(pg::kSqlState), state);
  return error;
}

}  // namespace rowhouse::operations
