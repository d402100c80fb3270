// Another wrapping key, or other data keys, while every secret is in use.
//
//   rewrap()         every data key that is wrapped with a former key is wrapped with the current one, in
//                    batches of one transaction each
//   renew_data_keys()  each tenant gets a new data key, and its secrets are sealed again with it, one tenant
//   a
//                    transaction
// What was done is seen in the rows themselves, so both go on where somebody was killed when they are simply
// called again, and several nodes may run them at once. Errors: as of TenantSecrets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "secrets/wrapping_keys.h"

namespace rowhouse::secrets {

struct WrappingKeyStatus {
  std::string fingerprint;
  enum class State { current, former, unknown } state = State::former;  // unknown: not configured here
  std::int64_t data_keys = 0;                                           // wrapped with it
};

struct RotationStatus {
  std::vector<WrappingKeyStatus> keys;  // the current one first
  std::int64_t tenants = 0;             // that have data keys
  std::string data_keys_since;  // RFC 3339: a renewal of data keys that began then is not over; "" = none is
};

struct RotationReport {
  std::int64_t rewrapped = 0;  // data keys
  std::int64_t renewed = 0;    // tenants
  std::int64_t resealed = 0;   // secrets
};

class KeyRotation {
 public:
  static constexpr std::size_t kBatch = 100;
  KeyRotation(pg::Pool& platform, const WrappingKeys& keys, std::size_t batch = kBatch)
      : platform_(platform), keys_(keys), batch_(batch) {}

  Task<Result<RotationStatus>> status(CallOptions options);
  enum class DataKeys { keep, renew };
  Task<Result<RotationReport>> rotate(DataKeys data_keys, CallOptions options);

 private:
  Task<Result<std::int64_t>> rewrap(CallOptions options);
  Task<Result<std::int64_t>> rewrap_batch(pg::Session& session, CallOptions options);
  Task<Result<void>> renew_data_keys(RotationReport& report, CallOptions options);
  Task<Result<void>> renew_tenant(std::string tenant, std::string since, RotationReport& report,
                                  CallOptions options);
  Task<Result<void>> renew_in(pg::Session& session, std::string tenant, std::string since,
                              RotationReport& report, CallOptions options);

  pg::Pool& platform_;
  const WrappingKeys& keys_;
  const std::size_t batch_;
};

}  // namespace rowhouse::secrets
