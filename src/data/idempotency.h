// Idempotency-Key: the answer to a write is kept beside the rows it wrote, in the same transaction.
//
// A key that comes again within a day, for the same request, is answered from there; for another request it
// is refused. Two at once: the second waits on the first one's row and is answered from it. A request that
// failed leaves nothing, so that it may be tried again.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/data_service.h"

namespace rowhouse::data {

// Error: invalid_parameter (longer than 255, or not printable ASCII).
Result<void> check_idempotency_key(std::string_view key);

// SHA-256 (raw) of everything that makes a request what it is.
std::string request_fingerprint(std::string_view method, std::string_view resource, std::string_view id,
                                std::string_view body, const WriteOptions& write);

// nullopt: the key is ours now, the work may begin. Otherwise the stored answer, marked as replayed.
// Errors: idempotency_key_reused, idempotency_conflict (the other one is still running).
Task<Result<std::optional<Reply>>> claim_key(session::TenantTransaction& transaction, const std::string& key,
                                             const std::string& fingerprint, CallOptions options);
Task<Result<void>> store_reply(session::TenantTransaction& transaction, const std::string& key,
                               const Reply& reply, CallOptions options);
// Removes some expired keys of the tenant.
Task<Result<void>> forget_expired_keys(session::TenantTransaction& transaction, CallOptions options);

}  // namespace rowhouse::data
