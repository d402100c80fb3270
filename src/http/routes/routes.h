// The routes, a file each group. Every function adds its rows to the table.
#pragma once

#include "base/json.h"
#include "http/api.h"
#include "http/router.h"

namespace rowhouse::http {

void add_data_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_object_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
// Resumable uploads, and links that need no credential.
void add_object_upload_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_tenant_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_key_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_auth_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_browser_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_totp_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_people_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_account_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_invitation_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_mail_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_sso_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_storage_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_token_key_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_pack_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_context_key_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_lint_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_metrics_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_verification_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_operation_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);
void add_open_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options);

// Shared by the handlers.

net::HttpResponse json_response(int status, const json::Value& document);
// The whole body as JSON. Errors: unsupported_media_type unless application/json, body_too_large,
// malformed_json.
Task<Result<std::string>> read_json_text(net::HttpRequest& request, std::uint64_t limit);
Task<Result<json::Value>> read_json(net::HttpRequest& request, std::uint64_t limit);
// Media type of the body in lower case, without parameters; "" if none.
std::string media_type(const net::HttpRequest& request);
// Value of one query parameter, "" if it is not there. Error: invalid_parameter for one that is not in
// `known`.
Result<std::vector<std::pair<std::string, std::string>>> read_query(
    const net::HttpRequest& request, std::initializer_list<std::string_view> known);

// The header Idempotency-Key, "" without one. Error: invalid_parameter unless it is 1 to 255 visible ASCII
// characters.
Result<std::string> read_idempotency_key(const net::HttpRequest& request);
// Does the client ask not to be kept waiting (Prefer: respond-async, RFC 7240)?
bool prefers_async(const net::HttpRequest& request);
// The page of a list: 1 to 500. Error: invalid_parameter.
Result<std::size_t> read_limit(const std::string& text);

}  // namespace rowhouse::http
