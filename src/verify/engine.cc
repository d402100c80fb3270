#include "verify/engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "crypto/crypto.h"
#include "observe/log.h"
#include "operations/engine.h"
#include "pg/quote.h"
#include "tenancy/context_guard.h"
#include "verify/api_attacks.h"
#include "verify/api_client.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

constexpr std::chrono::minutes kStepTimeout{5};
// How long a worker may take to hear of a revocation: it polls every second if all else is lost.
constexpr std::chrono::seconds kEndOfCredentials{10};
constexpr tenancy::Tier kTiers[] = {tenancy::Tier::pool, tenancy::Tier::schema, tenancy::Tier::database};

CallOptions patient() { return CallOptions{deadline_in(kStepTimeout)}; }
tenancy::Actor actor() { return tenancy::Actor("rowhouse verify", ""); }

std::vector<std::string> strings_of(const json::Value* value, const char* path, Error& faults) {
  std::vector<std::string> all;
  if (value == nullptr || value->is_null()) return all;
  const json::Array* array = value->as_array();
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    if (const std::string* text = (*array)[i].as_string()) all.push_back(*text);
  }
  if (array == nullptr || all.size() != array->size())
    faults.fields.emplace_back(path, "must be a list of strings");
  return all;
}

// The plan with most features: an attack that a plan refuses proves nothing.
std::string richest_plan(const tenancy::Manifest& manifest) {
  const auto richest =
      std::max_element(manifest.plans.begin(), manifest.plans.end(),
                       [](const auto& a, const auto& b) { return a.features.size() < b.features.size(); });
  return richest == manifest.plans.end() ? "" : richest->name;
}

pg::PoolOptions platform_pool(const tenancy::Cluster& cluster) {
  pg::PoolOptions options;
  options.parameters = cluster.as(tenancy::kPlatformRole, tenancy::kPlatformDatabase);
  options.read_connections = 1;
  options.write_connections = 1;
  options.exclusive_connections = 1;
  return options;
}

operations::EngineOptions operation_options() {
  operations::EngineOptions options;
  options.node = "verify-" + to_hex(crypto::random_bytes(8));
  return options;
}

}  // namespace

Result<Request> read_request(const json::Value& body) {
  Error faults(ErrorCode::validation_failed, "the request for a verification is not valid");
  Request request;
  if (body.as_object() == nullptr) return std::move(faults).with_field("", "must be an object");
  for (const auto& [name, value] : *body.as_object()) {
    if (name != "packs" && name != "tiers" && name != "seed")
      faults.fields.emplace_back("/" + name, "is not known");
  }
  request.packs = strings_of(body.find("packs"), "/packs", faults);
  for (const std::string& name : strings_of(body.find("tiers"), "/tiers", faults)) {
    const auto tier = tenancy::parse_tier(name);
    if (tier) {
      request.tiers.push_back(*tier);
    } else {
      faults.fields.emplace_back("/tiers", "must be pool, schema or database");
    }
  }
  if (const json::Value* seed = body.find("seed"); seed != nullptr && !seed->is_null()) {
    request.seed = seed->as_int64();
    if (!request.seed || *request.seed < 0)
      faults.fields.emplace_back("/seed", "must be a whole number from 0");
  }
  if (!faults.fields.empty()) return faults;
  return request;
}

json::Value request_document(const Request& request) {
  json::Array packs, tiers;
  for (const std::string& pack : request.packs) packs.emplace_back(pack);
  for (const tenancy::Tier tier : request.tiers) tiers.emplace_back(tenancy::tier_name(tier));
  json::Value document;
  document.set("packs", std::move(packs));
  document.set("tiers", std::move(tiers));
  document.set("seed", request.seed ? json::Value(*request.seed) : json::Value());
  return document;
}

std::string make_slug_prefix() { return "rowhouse-verify-" + to_hex(crypto::random_bytes(4)) + "-"; }

struct Engine::Impl {
  Impl(EngineSettings engine_settings, Tell told, Stopped stop)
      : settings(std::move(engine_settings)),
        tell(std::move(told)),
        stopped(std::move(stop)),
        cluster(executor, settings.administrator, settings.credentials),
        pool(executor, platform_pool(cluster)),
        operations(
            executor, pool, observe::process_log(),
            [this](std::string prefix, std::string own, CallOptions options) {
              return cluster.end_sessions(std::move(prefix), std::move(own), options);
            },
            operation_options()),
        guard(cluster, pool),
        packs(cluster, pool, guard),
        registry(cluster, pool, packs, tenancy::RegistryOptions()),
        tenants(cluster, pool, packs, registry, operations, settings.clock) {
    tenants.wire(
        [this](const Uuid& tenant) {
          if (settings.tenant_changed) settings.tenant_changed(tenant);
        },
        [](std::shared_ptr<const tenancy::Tenant>, const std::vector<tenancy::SampleData>&,
           CallOptions) -> Task<Result<std::size_t>> { co_return std::size_t{0}; },
        [](const std::string&) {});
  }
  ~Impl() { stop_services(); }

  template <class T>
  T wait(Task<T> task) {
    return net::run_until_done(executor, std::move(task));
  }

  Result<void> start() {
    if (started) return {};
    TRY_DO(wait(registry.start(patient())));
    operations.start(operations::Engine::Duty::own);
    started = true;
    return {};
  }
  void stop_services() {
    if (!started) return;
    net::run_until_done(executor, operations.stop());
    registry.stop();
    // What it had in flight ends on the loop.
    net::run_until_done(executor, net::sleep_for(executor, std::chrono::milliseconds(0)));
  }

  void step(const std::string& what) {
    progress.step = what;
    tell(progress);
  }

  Result<std::unique_ptr<SqlClient>> superuser(const std::string& database) {
    return SqlClient::connect(cluster.as_administrator(database));
  }

  Result<std::string> make_tenant(const std::string& slug, const tenancy::Pack& pack, tenancy::Tier tier,
                                  std::shared_ptr<const tenancy::Tenant>& tenant) {
    tenancy::NewTenant wanted;
    wanted.name = "Rowhouse verification";
    wanted.slug = slug;
    wanted.pack = pack.manifest.name;
    wanted.plan = richest_plan(pack.manifest);
    wanted.tier = tier;
    TRY(auto created, wait(tenants.create(std::move(wanted), actor(), patient())));
    tenant = created.tenant;
    return std::move(created.api_key);
  }

  void remove_tenant(const std::shared_ptr<const tenancy::Tenant>& tenant, std::vector<std::string>& faults) {
    if (!tenant) return;
    const auto removed = wait(tenants.remove(tenant->id.to_string(), actor(), patient()));
    if (!removed.ok() && removed.error().code != ErrorCode::not_found) {
      faults.push_back(fmt::format("the throw-away tenant {} could not be removed: {} {}", tenant->slug,
                                   removed.error().message, removed.error().detail(pg::kServerMessage)));
    }
  }

  Result<void> prepare(Arena& arena) {
    arena.role = arena.attacker->placement.role;
    arena.database = arena.attacker->placement.database;
    TRY(arena.admin, superuser(arena.database));
    // Names of the catalog print with their schema, whatever the database's own search path says.
    arena.admin->run("SET search_path = ''; SET statement_timeout = '60s'");
    TRY_DO(arena.impersonation.learn(arena.database, *arena.admin));
    TRY(const auto platform, superuser(std::string(tenancy::kPlatformDatabase)));
    const std::string ours = "($2::uuid, $3::uuid)";
    const std::vector<Cell> ids = {Cell(arena.database), Cell(arena.attacker_id().to_string()),
                                   Cell(arena.victim_id().to_string())};
    const SqlAnswer schemas = platform->run(
        "SELECT schema_name FROM platform.tenant_databases WHERE tier = 'schema' AND database_name = "
        "$1 AND tenant_id NOT IN " +
            ours,
        ids);
    const SqlAnswer roles = platform->run(
        "SELECT role_name FROM platform.tenant_databases WHERE tier = 'database' AND $1::text IS NOT "
        "NULL AND tenant_id NOT IN " +
            ours,
        ids);
    if (!schemas.ok() || !roles.ok())
      return Error(ErrorCode::internal, "the placements cannot be read: " + schemas.words + roles.words);
    std::set<std::string> foreign;
    for (const auto& row : schemas.rows) foreign.insert(row[0].value_or(""));
    for (const auto& row : roles.rows) arena.roles_of_others.insert(row[0].value_or(""));
    for (const auto& pack : registry.packs()) arena.pool_databases.insert(pack->pool_database);
    TRY(arena.inventory, take_inventory(*arena.admin, foreign));
    TRY(arena.runtime, SqlClient::connect(cluster.as(arena.role, arena.database)));
    arena.attackers = std::make_unique<Canaries>(arena.attacker_id(), arena.random);
    arena.victims = std::make_unique<Canaries>(arena.victim_id(), arena.random);
    for (Canaries* canaries : {arena.attackers.get(), arena.victims.get()}) {
      for (const std::string& fault : canaries->plant(*arena.admin, arena.inventory)) {
        arena.report.failures.push_back(
            fmt::format("{}, {}: no canary in {}", arena.pack, arena.tier, fault));
      }
    }
    return plant_at_home(arena, foreign);
  }

  // In the database tier the victim's API reads another database: canaries are planted there, too.
  Result<void> plant_at_home(Arena& arena, const std::set<std::string>& foreign) {
    if (arena.victim->placement.database == arena.database) return {};
    TRY(arena.home_admin, superuser(arena.victim->placement.database));
    arena.home_admin->run("SET search_path = ''; SET statement_timeout = '60s'");
    TRY(arena.home_inventory, take_inventory(*arena.home_admin, foreign));
    // Numbers that count up begin elsewhere than in the attacker's database: the same id there would be its
    // own row.
    for (const SequenceInfo& sequence : arena.home_inventory.sequences) {
      if (sequence.schema != arena.victim->placement.schema) continue;
      arena.home_admin->run("SELECT pg_catalog.setval($1::regclass, 1000000)",
                            {Cell(pg::quote_qualified(sequence.schema, sequence.name))});
    }
    arena.home_canaries = std::make_unique<Canaries>(arena.victim_id(), arena.random);
    for (const std::string& fault : arena.home_canaries->plant(*arena.home_admin, arena.home_inventory)) {
      arena.report.failures.push_back(fmt::format("{}, {}: no canary in {}", arena.pack, arena.tier, fault));
    }
    return {};
  }

  void fight(Arena& arena, const std::string& slug_prefix, int number, tenancy::Tier tier,
             const tenancy::Pack& pack) {
    const std::string where = fmt::format("{}, {}", arena.pack, arena.tier);
    const auto fail = [&](const Error& error) {
      arena.report.failures.push_back(
          fmt::format("{}: {} {}", where, error.message, error.detail(pg::kServerMessage)));
    };
    step(where + ": making two throw-away tenants");
    auto first = make_tenant(fmt::format("{}{}", slug_prefix, number * 2 + 1), pack, tier, arena.attacker);
    auto second =
        first.ok() ? make_tenant(fmt::format("{}{}", slug_prefix, number * 2 + 2), pack, tier, arena.victim)
                   : Result<std::string>(first.error());
    if (!second.ok()) {
      fail(second.error());
    } else {
      arena.attacker_key = *first;
      arena.victim_key = *second;
      step(where + ": planting canaries");
      if (auto ready = prepare(arena); !ready.ok()) {
        fail(ready.error());
      } else {
        attack(arena, where);
      }
    }
    step(where + ": removing the throw-away tenants");
    arena.admin.reset();
    arena.home_admin.reset();
    arena.runtime.reset();
    remove_tenant(arena.attacker, arena.report.failures);
    remove_tenant(arena.victim, arena.report.failures);
  }

  void attack(Arena& arena, const std::string& where) {
    enumerate(arena);
    const std::string state = arena.victim_state();
    const std::pair<const char*, void (*)(Arena&)> families[] = {
        {"tables and views", attack_relations}, {"users of one tenant", attack_users},
        {"keys and policies", attack_keys},     {"functions and sequences", attack_functions},
        {"sessions", attack_sessions},          {"roles and databases", attack_installation}};
    for (const auto& [name, family] : families) {
      if (stopped()) return;
      step(where + ": attacking " + name);
      family(arena);
    }
    const bool untouched = arena.victim_state() == state;
    if (!stopped()) {
      step(where + ": attacking the API");
      attack_api(arena, settings.url, settings.ca_file);
      end_credentials(arena);
    }
    if (!untouched) {
      arena.report.attacked(arena.surface("session", "canaries"), "compare afterwards", 1, Verdict::broken,
                            "rows of the victim changed during the attacks");
    } else {
      arena.report.attacked(arena.surface("session", "canaries"), "compare afterwards", 1, Verdict::held);
    }
  }

  // Credentials that have ended. Other workers hear of it within moments.
  void end_credentials(Arena& arena) {
    if (settings.url.empty()) return;
    const SurfaceId where = arena.surface("session", "credentials");
    const std::string tenant = arena.attacker_id().to_string();
    ApiClient api(settings.url, settings.ca_file);
    const auto status_of = [&](const std::string& key) {
      return api.call("GET", "/v1/tenant", {{"X-Tenant-Key", key}}).status;
    };
    const auto ends = [&](const char* attack, const std::string& key, int wanted, const auto& end) {
      if (status_of(key) != 200) {
        arena.report.attacked(where, attack, 1, Verdict::unproven, "the key did not work before, either");
        return;
      }
      const Result<void> ended = end();
      int status = 200;
      const Deadline deadline = deadline_in(kEndOfCredentials);
      while (ended.ok() && status == 200 && std::chrono::steady_clock::now() < deadline) {
        wait(net::sleep_for(executor, std::chrono::milliseconds(50)));
        // Several in a row: each may meet another worker.
        for (int i = 0; i < 4 && status != wanted; ++i) status = status_of(key);
        for (int i = 0; i < 4 && status == wanted; ++i) status = status_of(key);
      }
      arena.report.attacked(where, attack, 1,
                            !ended.ok()        ? Verdict::failed
                            : status == wanted ? Verdict::held
                                               : Verdict::broken,
                            !ended.ok()        ? ended.error().message
                            : status == wanted ? ""
                                               : fmt::format("it is still answered {}", status));
    };
    auto second = wait(
        tenants.create_key(tenant, tenancy::NewKey("verification"), tenancy::KeyMaker(actor()), patient()));
    if (second.ok()) {
      ends("a revoked key", second->secret, 401,
           [&] { return wait(tenants.revoke_key(tenant, second->key.id, actor(), patient())); });
    }
    ends("a suspended tenant", arena.attacker_key, 403, [&]() -> Result<void> {
      TRY_DO(wait(tenants.suspend(tenant, actor(), patient())));
      return {};
    });
    static_cast<void>(wait(tenants.resume(tenant, actor(), patient())));
  }

  // Everything that is there is a surface, attacked or not.
  static void enumerate(Arena& arena) {
    const Inventory& all = arena.inventory;
    const auto on_table = [&](const std::string& table, const std::string& name) {
      const RelationInfo* relation = all.relation(table);
      return (relation == nullptr ? "" : arena.label(relation->schema) + "." + relation->name + ".") + name;
    };
    for (const RelationInfo& relation : all.relations) arena.report.found(arena.surface_of(relation));
    for (const KeyInfo& key : all.keys) {
      const char* kind = key.kind == 'p'   ? "primary key"
                         : key.kind == 'x' ? "exclusion constraint"
                                           : "unique key";
      arena.report.found(arena.surface(kind, on_table(key.table, key.name)));
    }
    for (const ForeignKeyInfo& key : all.foreign_keys)
      arena.report.found(arena.surface("foreign key", on_table(key.table, key.name)));
    for (const PolicyInfo& policy : all.policies)
      arena.report.found(arena.surface("policy", on_table(policy.table, policy.name)));
    for (const ObjectInfo& object : all.triggers)
      arena.report.found(arena.surface("trigger", on_table(object.table, object.name)));
    for (const ObjectInfo& object : all.rules)
      arena.report.found(arena.surface("rule", on_table(object.table, object.name)));
    for (const ObjectInfo& object : all.indexes)
      arena.report.found(arena.surface("index", on_table(object.table, object.name)));
    for (const ObjectInfo& object : all.statistics)
      arena.report.found(arena.surface("statistics", on_table(object.table, object.name)));
    for (const FunctionInfo& function : all.functions) {
      arena.report.found(arena.surface(
          "function", arena.label(function.schema) + "." + function.name + "(" + function.arguments + ")"));
    }
    for (const SequenceInfo& sequence : all.sequences)
      arena.report.found(arena.surface("sequence", arena.label(sequence.schema) + "." + sequence.name));
  }

  EngineSettings settings;
  Tell tell;
  Stopped stopped;
  net::Executor executor;
  tenancy::Cluster cluster;
  pg::Pool pool;
  operations::Engine operations;
  tenancy::ContextGuard guard;
  tenancy::PackStore packs;
  tenancy::Registry registry;
  tenancy::TenantService tenants;
  Progress progress;
  bool started = false;
};

Engine::Engine(EngineSettings settings, Tell tell, Stopped stopped)
    : impl_(std::make_unique<Impl>(std::move(settings), std::move(tell), std::move(stopped))) {}
Engine::~Engine() = default;

std::vector<std::string> Engine::sweep(const std::vector<std::string>& slug_prefixes) {
  std::vector<std::string> faults;
  if (auto started = impl_->start(); !started.ok()) return {started.error().message};
  for (const std::string& prefix : slug_prefixes) {
    if (prefix.size() < std::string_view("rowhouse-verify-").size()) continue;  // nothing else is ever swept
    tenancy::TenantFilter filter;
    filter.search = prefix;
    filter.limit = 500;
    auto page = impl_->wait(impl_->tenants.list(filter, patient()));
    if (!page.ok()) {
      faults.push_back(page.error().message);
      continue;
    }
    for (const auto& tenant : page->tenants) {
      if (tenant->slug.starts_with(prefix)) impl_->remove_tenant(tenant, faults);
    }
  }
  return faults;
}

Result<Report> Engine::run(const Request& request, const Uuid& id, const std::string& slug_prefix) {
  TRY_DO(impl_->start());
  std::vector<std::shared_ptr<const tenancy::Pack>> packs;
  for (const auto& pack : impl_->registry.packs()) {
    const std::string& name = pack->manifest.name;
    const bool wanted = request.packs.empty() ||
                        std::find(request.packs.begin(), request.packs.end(), name) != request.packs.end();
    if (wanted) packs.push_back(pack);
  }
  if (packs.empty() ||
      (!request.packs.empty() &&
       packs.size() != std::set<std::string>(request.packs.begin(), request.packs.end()).size())) {
    return Error(ErrorCode::not_found, "a pack that was asked for is not installed");
  }
  std::vector<tenancy::Tier> tiers = request.tiers;
  if (tiers.empty()) tiers.assign(std::begin(kTiers), std::end(kTiers));
  Report report;
  report.id = id.to_string();
  report.started_at = to_rfc3339(impl_->settings.clock.now());
  report.installation = impl_->settings.url;
  report.version = impl_->settings.version;
  const std::string random = crypto::random_bytes(4);
  report.seed =
      request.seed.value_or(static_cast<std::int64_t>(std::hash<std::string>()(random) & 0x7FFF'FFFF));
  for (const auto& pack : packs) report.packs.push_back(pack->manifest.name);
  for (const tenancy::Tier tier : tiers) report.tiers.emplace_back(tenancy::tier_name(tier));
  report.limit("Time is not measured: how long an answer takes may differ.");
  report.limit(
      "Schemas and databases of other tenants are not attacked one by one: they come from the same "
      "migrations, and "
      "`rowhouse lint` compares each of them with its pack.");
  report.limit(
      "LOCK TABLE and long statements of the runtime role could delay others; statement timeouts bound that. "
      "No request "
      "can run SQL of its own.");
  Random generator(static_cast<std::uint64_t>(report.seed));
  Impersonation impersonation(impl_->cluster);
  impl_->progress.total = static_cast<int>(packs.size() * tiers.size());
  int number = 0;
  for (const auto& pack : packs) {
    for (const tenancy::Tier tier : tiers) {
      if (impl_->stopped()) break;
      Arena arena(report, impl_->cluster, impersonation, generator);
      arena.pack = pack->manifest.name;
      arena.tier = tenancy::tier_name(tier);
      arena.stopped = impl_->stopped;
      if (number > 0) arena.place = Arena::Place::further;
      impl_->fight(arena, slug_prefix, number, tier, *pack);
      impl_->progress.done = ++number;
    }
  }
  if (impl_->stopped()) return Error(ErrorCode::shutting_down, "the server was stopped");
  report.finished_at = to_rfc3339(impl_->settings.clock.now());
  return report;
}

}  // namespace rowhouse::verify
