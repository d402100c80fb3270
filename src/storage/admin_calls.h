// What the admins of object stores behind HTTP share: names of what is made, requests, answers. For this
// folder alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/uuid.h"
#include "storage/open.h"
#include "storage/remote_store.h"
#include "storage/s3_signing.h"
#include "storage/url.h"

namespace rowhouse::storage {

// What is made for a tenant is called so: users, policies, keys and buckets (at most 63 characters).
std::string made_name_of(const Uuid& tenant);
// Adds the tenant of a name, unless it is none or there already.
void add_tenant_of(std::string_view name, std::vector<Uuid>& found);

// "" if there is no such text.
std::string text_member(const json::Value& object, std::string_view name);
// Error: storage_failed.
Result<json::Value> json_of(const Answer& answer);

// One request, not repeated: whoever calls an admin repeats as a whole. Statuses that are neither 2xx nor
// accepted are errors (storage_failed), with the provider's code.
Task<Result<Answer>> send_admin_request(const StoreTools& tools, net::TransferRequest request,
                                        std::vector<int> accept, CallOptions options);
// The same, signed with AWS Signature Version 4.
Task<Result<Answer>> send_signed_request(const StoreTools& tools, const Endpoint& endpoint,
                                         const S3Signer& signer, StoreRequest request, CallOptions options);

}  // namespace rowhouse::storage
