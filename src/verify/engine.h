// One verification: throw-away tenants, canaries, attacks, coverage, clean-up, report.
//
// Blocking, on a thread of its own with an event loop of its own: nothing of it runs on a worker. Statements
// have timeouts, and one connection of each kind is open at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/uuid.h"
#include "net/executor.h"
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/packs.h"
#include "tenancy/registry.h"
#include "tenancy/tenants.h"
#include "verify/report.h"

namespace rowhouse::verify {

struct Request {
  std::vector<std::string> packs;    // empty: all that are installed
  std::vector<tenancy::Tier> tiers;  // empty: all three
  std::optional<std::int64_t> seed;
};

// Error: validation_failed, with one field per fault; what is empty is left to the run.
Result<Request> read_request(const json::Value& body);
json::Value request_document(const Request& request);

struct EngineSettings {
  EngineSettings(pg::ConnectionParameters superuser, tenancy::Credentials secrets, const Clock& wall_clock)
      : administrator(std::move(superuser)), credentials(std::move(secrets)), clock(wall_clock) {}
  pg::ConnectionParameters administrator;
  tenancy::Credentials credentials;
  const Clock& clock;
  std::string version;
  std::string url;      // of this node's API; "" = no API is attacked, and the result is incomplete
  std::string ca_file;  // for an https URL
  // Tells the workers that a tenant was made or removed. Any thread. May be empty.
  std::function<void(const Uuid&)> tenant_changed;
};

struct Progress {
  int done = 0, total = 0;
  std::string step;  // "tekup, pool: attacking tables"
};

// What a run writes down before it makes anything: its tenants' slugs begin so.
std::string make_slug_prefix();

class Engine {
 public:
  using Tell = std::function<void(const Progress&)>;
  using Stopped = std::function<bool()>;

  // `tell` is called between steps, at least several times a second; `stopped` ends the run early.
  Engine(EngineSettings settings, Tell tell, Stopped stopped);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Removes what runs with these slug prefixes left behind. Returns the faults.
  std::vector<std::string> sweep(const std::vector<std::string>& slug_prefixes);
  // Errors: those of the set-up (no connection, unknown pack). Everything else is in the report.
  Result<Report> run(const Request& request, const Uuid& id, const std::string& slug_prefix);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::verify
