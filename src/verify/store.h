// Runs and their reports in the platform database; and that there is one run at a time, on all nodes
// together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"
#include "verify/engine.h"

namespace rowhouse::verify {

inline constexpr int kRunsKept = 30;
// A run that says nothing for so long has died with its server.
inline constexpr std::chrono::minutes kSilence{6};

struct Run {
  std::string id, status, requested_by, started_at, finished_at, result, error;  // "" = none
  std::int64_t surfaces = 0, uncovered = 0, findings = 0, attempts = 0;
  json::Value progress, request;
  std::string report;  // the signed JSON; only from get()
};

class Store {
 public:
  explicit Store(pg::Pool& platform) : platform_(platform) {}

  // Error: conflict when another run is going on.
  Task<Result<void>> begin(Uuid id, std::string slug_prefix, Request request, std::string requested_by,
                           CallOptions options);
  Task<Result<void>> beat(Uuid id, Progress progress, CallOptions options);
  Task<Result<void>> finish(Uuid id, Outcome outcome, std::int64_t surfaces, std::int64_t uncovered,
                            std::int64_t findings, std::int64_t attempts, std::string report,
                            CallOptions options);
  Task<Result<void>> fail(Uuid id, std::string error, CallOptions options);
  // Ends every run that began before `time`; for a node that knows that it is the only one and ran none then.
  Task<Result<void>> fail_all_before(WallTime time, std::string error, CallOptions options);

  // Slug prefixes of ended runs that may have left something behind; mark_cleared() when nothing is.
  Task<Result<std::vector<std::string>>> uncleared(CallOptions options);
  Task<Result<void>> mark_cleared(std::string slug_prefix, CallOptions options);

  // Newest first. Without reports.
  Task<Result<std::vector<Run>>> list(CallOptions options);
  // Error: not_found.
  Task<Result<Run>> get(std::string id, CallOptions options);
  // The newest that has finished, if any; and how many seconds ago it began.
  struct Latest {
    Run run;
    std::int64_t age_seconds = 0;
  };
  Task<Result<std::optional<Latest>>> latest(CallOptions options);

 private:
  pg::Pool& platform_;
};

// The private key of reports, 32 bytes, derived from the master key: the same on every node.
std::string signing_seed(const tenancy::Credentials& credentials);
// The public key, as PEM ("-----BEGIN PUBLIC KEY-----…").
std::string public_key_pem(std::string_view public_key);

}  // namespace rowhouse::verify
