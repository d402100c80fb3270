// The closed set of errors that Rowhouse reports, and the value that carries one.
//
// Contract: an Error is a plain value, cheap to move. `message` is written for the person who must act on it
// and never holds a secret or another tenant's data. `fields` points into the caller's input (JSON
// Pointer-like paths such as "/2/email"); `details` are machine-readable hints for other modules (for example
// the SQLSTATE) and are never sent to a client as they are. docs/errors.md explains every code; a check keeps
// the two in step.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rowhouse {

// X(identifier, HTTP status, title). The identifier is the stable code of the API.
#define ROWHOUSE_ERROR_CODES(X)                                            \
  X(malformed_request, 400, "The request is not well-formed")              \
  X(malformed_json, 400, "The body is not valid JSON")                     \
  X(invalid_parameter, 400, "A query parameter is not valid")              \
  X(unknown_column, 400, "The resource has no such column")                \
  X(unknown_operator, 400, "There is no such filter operator")             \
  X(invalid_cursor, 400, "The cursor does not belong to this query")       \
  X(credential_missing, 401, "A credential is required")                   \
  X(credential_unknown, 401, "The credential is not known")                \
  X(second_factor_required, 401, "A second factor is required")            \
  X(tenant_suspended, 403, "The tenant is suspended")                      \
  X(tenant_mismatch, 403, "The request names another tenant")              \
  X(feature_missing, 403, "The plan does not include this feature")        \
  X(permission_missing, 403, "The caller lacks this permission")           \
  X(limit_reached, 403, "The plan's limit is reached")                     \
  X(forbidden, 403, "The credential may not do this")                      \
  X(cross_site_request, 403, "The request may come from another site")     \
  X(not_found, 404, "There is no such object")                             \
  X(unknown_resource, 404, "There is no such resource")                    \
  X(unknown_route, 404, "There is no such route")                          \
  X(method_not_allowed, 405, "The route does not offer this method")       \
  X(request_timeout, 408, "The request did not arrive in time")            \
  X(conflict, 409, "The request conflicts with what is there")             \
  X(storage_not_configured, 409, "The tenant has no object storage")       \
  X(idempotency_conflict, 409, "A request with this key is still running") \
  X(precondition_failed, 412, "The object has changed in the meantime")    \
  X(body_too_large, 413, "The body is too large")                          \
  X(target_too_long, 414, "The request target is too long")                \
  X(unsupported_media_type, 415, "The media type is not supported")        \
  X(range_not_satisfiable, 416, "The object is shorter than that")         \
  X(validation_failed, 422, "The content is not valid")                    \
  X(quota_exceeded, 422, "The plan's quota is used up")                    \
  X(checksum_mismatch, 422, "The content does not match its checksum")     \
  X(address_refused, 422, "The address may not be reached from here")      \
  X(idempotency_key_reused, 422, "The key was used with another request")  \
  X(pack_refused, 422, "The pack breaks a rule")                           \
  X(headers_too_large, 431, "The request headers are too large")           \
  X(rate_limited, 429, "Too many requests")                                \
  X(internal, 500, "Something went wrong on our side")                     \
  X(disk_full, 507, "There is no space left")                              \
  X(storage_failed, 502, "The object storage did not do it")               \
  X(identity_provider_failed, 502, "The identity provider did not answer") \
  X(database_unavailable, 503, "The database is not available right now")  \
  X(overloaded, 503, "The server is busy")                                 \
  X(shutting_down, 503, "The server is shutting down")                     \
  X(statement_timeout, 503, "The statement took too long")                 \
  X(cancelled, 499, "The caller went away")                                \
  X(config_invalid, 500, "The configuration is not valid")                 \
  X(data_directory_locked, 500, "Another server uses this data directory") \
  X(data_directory_invalid, 500, "The data directory cannot be used")      \
  X(address_in_use, 500, "The address is in use")                          \
  X(server_unsupported, 500, "The PostgreSQL server cannot be used")       \
  X(migration_changed, 500, "A released migration was changed")            \
  X(migration_failed, 500, "A migration failed")                           \
  X(server_unreachable, 503, "The server cannot be reached")

enum class ErrorCode {
#define ROWHOUSE_ERROR_ENUM(name, status, title) name,
  ROWHOUSE_ERROR_CODES(ROWHOUSE_ERROR_ENUM)
#undef ROWHOUSE_ERROR_ENUM
};

// The stable name of a code, as it stands in problem documents ("validation_failed").
std::string_view error_code_name(ErrorCode code);
std::string_view error_code_title(ErrorCode code);
// HTTP status of a code; the only place that knows it.
int error_code_status(ErrorCode code);

// One fault of the input: where, and what is wrong with it.
struct FieldError {
  FieldError(std::string where, std::string what) : path(std::move(where)), message(std::move(what)) {}
  std::string path;
  std::string message;
};

class Error {
 public:
  Error(ErrorCode error_code, std::string text) : code(error_code), message(std::move(text)) {}

  Error&& with_field(std::string path, std::string what) && {
    fields.emplace_back(std::move(path), std::move(what));
    return std::move(*this);
  }
  Error&& with_detail(std::string key, std::string value) && {
    details.emplace_back(std::move(key), std::move(value));
    return std::move(*this);
  }
  // The value of a detail, or "" if there is none.
  std::string_view detail(std::string_view key) const;

  ErrorCode code;
  std::string message;
  std::vector<FieldError> fields;
  std::vector<std::pair<std::string, std::string>> details;
};

}  // namespace rowhouse
