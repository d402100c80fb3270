// API keys and service keys as JSON documents, and the bodies of the requests that make and rotate them. Pure
// functions; docs: src/http/schemas.cc.
#pragma once

#include <chrono>

#include "base/json.h"
#include "tenancy/tenants.h"

namespace rowhouse::http {

json::Value key_document(const tenancy::ApiKey& key);
json::Value key_list_document(const std::vector<tenancy::ApiKey>& keys);
// With the secret, which is shown here and never again.
json::Value new_key_document(const tenancy::NewApiKey& made);

// {name, scopes, expires_at, allowed_networks}. What is left out is the maker's own: a key that its maker
// binds to nothing else is bound as they are. Errors: validation_failed with one field per fault.
enum class Scopes { optional, required };
Result<tenancy::NewKey> read_new_key(const json::Value& body, const tenancy::Grant& own, Scopes scopes);
// {overlap_seconds}, a day unless given.
Result<std::chrono::seconds> read_key_rotation(const json::Value& body);

}  // namespace rowhouse::http
