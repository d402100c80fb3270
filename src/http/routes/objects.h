// What the routes of objects share.
#pragma once

#include "http/object_conditions.h"
#include "http/routes/routes.h"

namespace rowhouse::http {

// Objects are long: their requests have as much time as imports.
void take_long(Call& call, const ApiOptions& options);
// Content-Length, if there is one.
Result<std::optional<std::uint64_t>> body_bytes(const net::HttpRequest& request);
// X-Checksum-SHA256 in lower case, "" if there is none. Error: invalid_parameter.
Result<std::string> sent_sha256(const net::HttpRequest& request);

// GET and HEAD of an object: conditions, range, headers, and a body that streams. `name`: what browsers save
// it as; "" = the key's last segment.
Reply send_object(objects::ObjectService& objects, Call& call, const identity::TenantContext& context,
                  std::string key, std::string name);
// PUT of an object. `content_type`: "" = what the request says.
Reply receive_object(objects::ObjectService& objects, Call& call, const identity::TenantContext& context,
                     const ApiOptions& options, std::string key, std::string content_type);
// 201 or 200, with ETag and checksum.
net::HttpResponse stored_response(const objects::StoredObject& stored);

// Those that only need what exists already: the version that "If-Match: *" means.
Task<Result<objects::WriteCondition>> settle_condition(objects::ObjectService& objects,
                                                       const identity::TenantContext& context,
                                                       objects::WriteCondition condition, std::string key,
                                                       CallOptions options);

}  // namespace rowhouse::http
