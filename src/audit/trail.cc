#include "audit/trail.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "observe/log.h"

namespace rowhouse::audit {

namespace {

using namespace std::chrono_literals;

constexpr auto kWriteDeadline = 5s;
constexpr std::size_t kMaxTextBytes = 300;

// "[::1]:80", "127.0.0.1:80", "::1", "unix" → the address for a column of type inet, or nothing.
std::optional<std::string> inet_text(std::string_view peer) {
  if (peer.starts_with('[')) {
    const auto end = peer.find(']');
    peer = end == std::string_view::npos ? std::string_view() : peer.substr(1, end - 1);
  } else if (std::count(peer.begin(), peer.end(), ':') == 1) {
    peer = peer.substr(0, peer.find(':'));
  }
  std::string text(peer);
  std::array<unsigned char, sizeof(in6_addr)> address{};
  const bool valid = inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
                     inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
  if (!valid) return std::nullopt;
  return text;
}

// Text from a client: valid UTF-8 without NUL, of bounded length.
std::string clean(std::string_view text) {
  std::string out(text.substr(0, kMaxTextBytes));
  while (!out.empty() && !is_valid_utf8(out)) out.pop_back();
  std::replace(out.begin(), out.end(), '\0', ' ');
  return out;
}

std::string actor_text(std::string_view actor) {
  return actor.empty() ? std::string("unknown") : clean(actor);
}

// One row for each element of the JSON array $1.
constexpr std::string_view kInsertEventsSql = R"(
INSERT INTO platform.audit_log (tenant_id, actor, action, new_values, address, agent, severity, kind)
SELECT e.tenant_id, e.actor, e.action, e.new_values, e.address, e.agent, e.severity, 'security'
FROM pg_catalog.jsonb_to_recordset($1::jsonb) AS e (tenant_id uuid, actor text, action text, new_values jsonb,
  address inet, agent text, severity text))";

struct QueuedEvent {
  explicit QueuedEvent(SecurityEvent first) : event(std::move(first)) {}
  SecurityEvent event;
  std::uint64_t count = 1;
};

json::Value to_json(const QueuedEvent& queued) {
  const auto& event = queued.event;
  json::Value details;
  details.set("detail", clean(event.detail));
  if (!event.request_id.empty()) details.set("request_id", clean(event.request_id));
  if (queued.count > 1) details.set("count", static_cast<std::int64_t>(queued.count));
  json::Value row;
  row.set("tenant_id", event.tenant ? json::Value(event.tenant->to_string()) : json::Value());
  row.set("actor", actor_text(event.actor));
  row.set("action", security_event_name(event.kind));
  row.set("new_values", std::move(details));
  row.set("address", event.address.empty() ? json::Value() : json::Value(event.address));
  row.set("agent", event.agent.empty() ? json::Value() : json::Value(clean(event.agent)));
  row.set("severity", severity_name(severity_of(event.kind)));
  return row;
}

}  // namespace

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::info:
      return "info";
    case Severity::low:
      return "low";
    case Severity::medium:
      return "medium";
    case Severity::high:
      return "high";
    case Severity::critical:
      return "critical";
  }
  return "info";
}

std::string_view security_event_name(SecurityEventKind kind) {
  switch (kind) {
    case SecurityEventKind::invalid_tenant_access:
      return "INVALID_TENANT_ACCESS";
    case SecurityEventKind::feature_access_denied:
      return "FEATURE_ACCESS_DENIED";
    case SecurityEventKind::permission_denied:
      return "PERMISSION_DENIED";
    case SecurityEventKind::rate_limit_exceeded:
      return "RATE_LIMIT_EXCEEDED";
    case SecurityEventKind::validation_error:
      return "VALIDATION_ERROR";
    case SecurityEventKind::login_failed:
      return "LOGIN_FAILED";
    case SecurityEventKind::refresh_token_reused:
      return "REFRESH_TOKEN_REUSED";
    case SecurityEventKind::link_refused:
      return "LINK_REFUSED";
  }
  return "INVALID_TENANT_ACCESS";
}

Severity severity_of(SecurityEventKind kind) {
  switch (kind) {
    case SecurityEventKind::invalid_tenant_access:
    case SecurityEventKind::validation_error:
    case SecurityEventKind::refresh_token_reused:
      return Severity::high;
    case SecurityEventKind::feature_access_denied:
    case SecurityEventKind::permission_denied:
    case SecurityEventKind::rate_limit_exceeded:
    case SecurityEventKind::login_failed:
    case SecurityEventKind::link_refused:
      return Severity::medium;
  }
  return Severity::high;
}

bool SecurityEvent::repeats(const SecurityEvent& other) const {
  return kind == other.kind && tenant == other.tenant && actor == other.actor && detail == other.detail &&
         address == other.address;
}

std::string insert_sql(int first_parameter, std::string_view source) {
  static constexpr const char* kCasts[kChangeParameters] = {"uuid", "text",  "text",  "text",
                                                            "text", "jsonb", "jsonb", "inet"};
  std::string sql =
      "INSERT INTO platform.audit_log (tenant_id, actor, action, object_type, object_id, old_values, "
      "new_values, "
      "address) SELECT ";
  for (int i = 0; i < kChangeParameters; ++i) {
    if (i > 0) sql += ", ";
    sql += "$" + std::to_string(first_parameter + i) + "::" + kCasts[i];
  }
  return sql + " FROM " + std::string(source);
}

void append_parameters(pg::Params& params, const Change& change) {
  params.emplace_back(change.tenant ? pg::Param(change.tenant->to_string()) : std::nullopt);
  params.emplace_back(actor_text(change.actor));
  params.emplace_back(change.action);
  params.emplace_back(change.object_type);
  params.emplace_back(change.object_id);
  params.emplace_back(change.old_json);
  params.emplace_back(change.new_json);
  params.emplace_back(inet_text(change.address));
}

struct Trail::Impl {
  net::Executor& executor;
  pg::Pool& platform;
  TrailOptions options;
  std::deque<QueuedEvent> queue;
  std::uint64_t dropped = 0;
  std::uint64_t reported_dropped = 0;
  enum class State { running, stopping } state = State::running;
  bool writing = false;
  std::unique_ptr<net::Timer> timer;
  net::TaskGroup tasks;

  Impl(net::Executor& trail_executor, pg::Pool& pool, TrailOptions trail_options)
      : executor(trail_executor), platform(pool), options(trail_options) {}

  void arm() {
    if (timer || writing || state == State::stopping) return;
    timer = executor.after(options.pause, [this] {
      timer.reset();
      tasks.spawn(write_queued());
    });
  }

  void add(SecurityEvent event) {
    const auto same = std::find_if(queue.rbegin(), queue.rend(),
                                   [&](const QueuedEvent& queued) { return queued.event.repeats(event); });
    if (same != queue.rend()) {
      ++same->count;
    } else if (queue.size() >= options.max_queued) {
      ++dropped;
    } else {
      queue.emplace_back(std::move(event));
    }
    arm();
  }

  pg::Statement next_batch() {
    json::Array rows;
    while (!queue.empty() && rows.size() < options.max_batch) {
      rows.push_back(to_json(queue.front()));
      queue.pop_front();
    }
    pg::Params params;
    params.emplace_back(json::serialize(json::Value(std::move(rows))));
    return pg::Statement(std::string(kInsertEventsSql), std::move(params), pg::Access::write);
  }

  Task<void> write_queued() {
    if (writing) co_return;
    writing = true;
    while (!queue.empty()) {
      const pg::Statement statement = next_batch();
      const CallOptions call{deadline_in(kWriteDeadline)};
      auto written = co_await platform.run(nullptr, statement, call);
      if (!written.ok()) {
        // The log is the second place to look; the events are not kept, or an outage would fill the memory.
        observe::process_log().write_error("security_events_lost", written.error());
        break;
      }
    }
    if (dropped > reported_dropped) {
      observe::log(observe::Level::warning, "security_events_dropped",
                   {{"count", dropped - reported_dropped}});
      reported_dropped = dropped;
    }
    writing = false;
    if (!queue.empty()) arm();
  }
};

Trail::Trail(net::Executor& executor, pg::Pool& platform, TrailOptions options)
    : impl_(std::make_unique<Impl>(executor, platform, options)) {}
Trail::~Trail() = default;

void Trail::record(SecurityEvent event) {
  if (impl_->state != Impl::State::running) return;
  event.address = inet_text(event.address).value_or("");
  impl_->add(std::move(event));
}

Task<Result<void>> Trail::record_change(Change change, CallOptions options) {
  pg::Params params;
  append_parameters(params, change);
  const pg::Statement statement(insert_sql(1, "(VALUES (1)) AS once"), std::move(params), pg::Access::write);
  auto written = co_await impl_->platform.run(nullptr, statement, options);
  if (!written.ok()) co_return std::move(written).error();
  co_return Result<void>();
}

Task<void> Trail::stop() {
  impl_->state = Impl::State::stopping;
  impl_->timer.reset();
  co_await impl_->tasks.join();
  co_await impl_->write_queued();
}

std::uint64_t Trail::dropped() const { return impl_->dropped; }

}  // namespace rowhouse::audit
