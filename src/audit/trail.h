// The trail of changes and of security events in platform.audit_log.
//
// Changes: insert_sql() gives the part of a statement that records what the rest of the statement changes, so
// that both happen or neither. Security events: Trail queues them and writes in batches; the caller never
// waits.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "net/executor.h"
#include "pg/pool.h"

namespace rowhouse::audit {

enum class Severity { info, low, medium, high, critical };
std::string_view severity_name(Severity severity);

// One change. JSON texts are of what was before and after; nullopt where there is nothing.
struct Change {
  Change(std::string change_actor, std::string change_action)
      : actor(std::move(change_actor)), action(std::move(change_action)) {}
  std::string actor;   // "admin cli", "key production"
  std::string action;  // "tenant.suspended"
  std::optional<Uuid> tenant;
  std::string object_type, object_id;
  std::optional<std::string> old_json, new_json;
  std::string address;  // "127.0.0.1:40123" or "", the port is dropped
};

inline constexpr int kChangeParameters = 8;
// "INSERT INTO … SELECT $first, … FROM source": one record for each row of `source`, a WITH query of the same
// statement. Columns of `source` named tenant_id, old_values, new_values are not looked at: everything comes
// from the parameters.
std::string insert_sql(int first_parameter, std::string_view source);
// Appends the kChangeParameters values that insert_sql() refers to.
void append_parameters(pg::Params& params, const Change& change);

enum class SecurityEventKind {
  invalid_tenant_access,
  feature_access_denied,
  permission_denied,
  rate_limit_exceeded,
  validation_error,
  login_failed,
  refresh_token_reused,
  link_refused
};
std::string_view security_event_name(SecurityEventKind kind);  // "INVALID_TENANT_ACCESS"
Severity severity_of(SecurityEventKind kind);  // high, medium, medium, medium, high, medium, high, medium

struct SecurityEvent {
  explicit SecurityEvent(SecurityEventKind event_kind) : kind(event_kind) {}
  SecurityEventKind kind;
  std::optional<Uuid> tenant;  // whose credential it was, if known
  std::string actor;           // "" = unknown
  std::string detail;          // error code, operation or route; never a secret
  std::string address;         // of the peer, with or without port
  std::string agent;           // User-Agent
  std::string request_id;
  // Same kind, tenant, actor, detail and address.
  bool repeats(const SecurityEvent& other) const;
};

struct TrailOptions {
  std::size_t max_queued = 1'000;  // distinct events; further ones are counted
  std::size_t max_batch = 100;
  std::chrono::milliseconds pause{200};  // between batches, so that repetitions fold
};

// One per worker; all of it belongs to the executor's thread.
class Trail {
 public:
  Trail(net::Executor& executor, pg::Pool& platform, TrailOptions options);
  ~Trail();  // what is still queued is lost: stop() first
  Trail(const Trail&) = delete;
  Trail& operator=(const Trail&) = delete;

  // Never waits, never fails.
  void record(SecurityEvent event);
  // Writes one change that belongs to no other statement.
  Task<Result<void>> record_change(Change change, CallOptions options);

  // Writes what is queued and ends; later events are dropped.
  Task<void> stop();
  std::uint64_t dropped() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::audit
