#include "objects/storage_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "audit/trail.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "objects/storage_configs_impl.h"
#include "tenancy/tenant_store.h"

namespace rowhouse::objects {

namespace {

constexpr std::size_t kTokenCharacters = 32;
constexpr std::size_t kProbeNameBytes = 12;

std::string timestamp_sql(const char* column) {
  return fmt::format("pg_catalog.to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
                     column);
}

const std::string& read_sql() {
  static const std::string sql =
      "SELECT c.provider, c.origin, pg_catalog.encode(c.sealed, 'hex'), c.status, " +
      timestamp_sql("c.last_test_at") + ", c.last_test_result::text, " + timestamp_sql("c.created_at") +
      ", " + timestamp_sql("c.updated_at") +
      ", c.version, pg_catalog.encode(c.store_hash, 'hex'), c.proved_at IS NOT NULL, c.store, " +
      std::string(secrets::kWrappedKeyColumns) +
      " FROM platform.tenant_storage_configs c JOIN platform.tenant_data_keys k "
      "ON (k.tenant_id, k.generation) = (c.tenant_id, c.data_key) WHERE c.tenant_id = $1::uuid "
      "AND CASE WHEN $2::integer = 0 THEN c.active ELSE c.store = $2::integer END";
  return sql;
}
constexpr std::size_t kKeyColumn = 12;

// $1 tenant, $2 provider, $3 sealed, $4 hash, $5 proved, $6 result of the test; then the audit's, then the
// event's.
constexpr int kSaveParameters = 6;
const std::string& save_sql() {
  static const std::string sql =
      "WITH t AS (INSERT INTO platform.tenant_storage_configs AS c (tenant_id, store, provider, sealed, "
      "store_hash, proved_at, status, last_test_at, last_test_result) "
      "VALUES ($1::uuid, platform.next_store($1::uuid), $2::text, $3::bytea, $4::bytea, "
      "CASE WHEN $5::boolean THEN pg_catalog.now() END, 'working', pg_catalog.now(), $6::jsonb) "
      "ON CONFLICT (tenant_id) WHERE active DO UPDATE SET provider = EXCLUDED.provider, sealed = "
      "EXCLUDED.sealed, "
      "store_hash = "
      "EXCLUDED.store_hash, proved_at = CASE WHEN c.store_hash = EXCLUDED.store_hash THEN "
      "COALESCE(EXCLUDED.proved_at, "
      "c.proved_at) ELSE EXCLUDED.proved_at END, status = EXCLUDED.status, last_test_at = "
      "EXCLUDED.last_test_at, "
      "last_test_result = EXCLUDED.last_test_result, version = c.version + 1 WHERE c.origin = 'byos' "
      "AND (c.store_hash = EXCLUDED.store_hash OR NOT EXISTS (SELECT FROM platform.tenant_storage_configs o "
      "WHERE o.tenant_id = c.tenant_id AND NOT o.active)) "
      "RETURNING c.tenant_id AS id), "
      "chosen AS (UPDATE platform.tenants SET storage_choice = 'byos' WHERE id IN (SELECT id FROM t) "
      "AND storage_choice <> 'byos'), recorded AS (" +
      audit::insert_sql(kSaveParameters + 1, "t") + "), announced AS (" +
      tenancy::outbox_sql(kSaveParameters + 1 + audit::kChangeParameters, "t") + ") SELECT id FROM t";
  return sql;
}

constexpr std::string_view kMovingSql =
    "SELECT EXISTS (SELECT FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid AND NOT active)";

const std::string& remove_sql() {
  static const std::string sql =
      "WITH t AS (DELETE FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid AND origin = 'byos' "
      "AND active RETURNING tenant_id AS id), recorded AS (" +
      audit::insert_sql(2, "t") + "), announced AS (" +
      tenancy::outbox_sql(2 + audit::kChangeParameters, "t") + ") SELECT id FROM t";
  return sql;
}

Error not_configured() {
  return Error(ErrorCode::storage_not_configured,
               "the tenant has no object storage; PUT /v1/storage sets one");
}

// The whole bucket: two prefixes of one bucket are two tenants in one place.
storage::StoreConfig without_prefix(storage::StoreConfig config) {
  std::visit([](auto& one) { one.prefix.clear(); }, config);
  return config;
}

Error within_config(Error error) {
  for (FieldError& field : error.fields) field.path = "/config" + field.path;
  return error;
}

}  // namespace

json::Value result_document(const storage::ProbeResult& result) {
  json::Array steps;
  for (const storage::ProbeStep& step : result.steps) {
    json::Value entry;
    entry.set("name", step.name);
    entry.set("ok", step.ok);
    entry.set("error", step.error.empty() ? json::Value() : json::Value(step.error));
    entry.set("duration_us", step.duration_us);
    steps.push_back(std::move(entry));
  }
  json::Value document;
  document.set("ok", result.ok);
  document.set("steps", std::move(steps));
  return document;
}

Error probe_error(const storage::ProbeResult& result) {
  const auto failed = std::ranges::find_if(result.steps, [](const auto& step) { return !step.ok; });
  const std::string what =
      failed == result.steps.end() ? "nothing was tried" : failed->name + ": " + failed->error;
  return Error(ErrorCode::storage_failed, "the storage does not work, so nothing was changed; " + what);
}

Error bucket_in_use(const std::string& how) {
  return Error(ErrorCode::conflict, "this bucket or share is in use already; " + how);
}

// What is recorded: names alone.
audit::Change change_of(const Uuid& tenant, std::string action, const std::string& provider,
                        const tenancy::Actor& actor) {
  audit::Change change(actor.name, std::move(action));
  change.tenant = tenant;
  change.object_type = "storage";
  change.object_id = tenant.to_string();
  change.address = actor.address;
  json::Value summary;
  summary.set("provider", provider);
  change.new_json = json::serialize(summary);
  return change;
}

void append_record(pg::Params& params, const audit::Change& change) {
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  params.emplace_back(change.new_json.value_or("{}"));
}

std::string storage_purpose(std::string_view provider) { return fmt::format("storage {} config", provider); }

StorageConfigs::StorageConfigs(pg::Pool& platform, secrets::TenantSecrets& secrets, storage::StoreTools byos,
                               storage::StoreTools provisioned, std::string control_key,
                               StorageConfigsOptions options)
    : platform_(platform),
      secrets_(secrets),
      byos_(byos),
      provisioned_(provisioned),
      control_key_(std::move(control_key)),
      options_(std::move(options)) {}

StorageConfigs::~StorageConfigs() { crypto::wipe(control_key_); }

void StorageConfigs::wire(Changed changed, HasObjects has_objects) {
  changed_ = std::move(changed);
  has_objects_ = std::move(has_objects);
}

// ---------------------------------------------------------------------------------------------- reading

Task<Result<StorageConfigs::Stored>> StorageConfigs::read(Uuid tenant, int number, CallOptions options) {
  const auto statement = write(read_sql(), {tenant.to_string(), std::to_string(number)});
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return not_configured();
  Stored stored;
  StorageView& view = stored.view;
  view.provider = rows.text(0, 0);
  view.origin = rows.text(0, 1);
  view.status = rows.text(0, 3);
  view.last_test_at = rows.text(0, 4);
  view.created_at = rows.text(0, 6);
  view.updated_at = rows.text(0, 7);
  stored.version = rows.text(0, 8);
  stored.store_hash = from_hex(rows.text(0, 9)).value_or("");
  stored.number = static_cast<int>(parse_int64(rows.text(0, 11)).value_or(0));
  stored.is_provisioned = view.origin == "provisioned";
  if (!rows.is_null(0, 5)) {
    CO_TRY(view.last_test_result, json::parse(rows.text(0, 5)));
  }
  const auto key = secrets::wrapped_key_from(rows, 0, kKeyColumn);
  CO_TRY(std::string text, secrets_.open_with(key, tenant, storage_purpose(view.provider),
                                              from_hex(rows.text(0, 2)).value_or("")));
  const auto config = json::parse(text);
  crypto::wipe(text);
  if (!config.ok()) co_return Error(ErrorCode::internal, "a stored configuration is no JSON");
  auto understood = stored.is_provisioned ? storage::read_provisioned_config(view.provider, *config)
                                          : storage::read_config(view.provider, *config, options_.limits);
  if (!understood.ok()) {
    // It was right when it was set: the operator has changed what is allowed.
    co_return Error(ErrorCode::storage_failed,
                    "the storage configuration is not allowed any more: " + understood.error().message);
  }
  stored.config = std::move(understood).value();
  if (!stored.is_provisioned) view.config = storage::describe_config(view.provider, *config);
  co_return stored;
}

Result<StorageConfigs::Store> StorageConfigs::open_stored(const Stored& stored) const {
  TRY(auto store, storage::open_store(stored.is_provisioned ? provisioned_ : byos_, stored.config));
  return Store(std::move(store));
}

Task<Result<TenantStore>> StorageConfigs::open(const identity::TenantContext& context, CallOptions options) {
  return open_tenant(context.tenant().id, options);
}

Task<Result<TenantStore>> StorageConfigs::open_number(const identity::TenantContext& context, int number,
                                                      CallOptions options) {
  return open_tenant_number(context.tenant().id, number, options);
}

Task<Result<TenantStore>> StorageConfigs::open_tenant(Uuid tenant, CallOptions options) {
  return open_one(tenant, kActive, options);
}

Task<Result<TenantStore>> StorageConfigs::open_tenant_number(Uuid tenant, int number, CallOptions options) {
  return open_one(tenant, number, options);
}

Task<Result<TenantStore>> StorageConfigs::open_one(Uuid tenant, int number, CallOptions options) {
  TenantStore opened;
  if (const Opened* known = stores_.find(tenant)) {
    opened.number = number == kActive ? known->current : number;
    const auto found = known->stores.find(opened.number);
    if (found != known->stores.end()) {
      opened.store = found->second;
      co_return opened;
    }
  }
  const std::uint64_t forgotten_before = forgotten_;
  CO_TRY(const Stored stored, co_await read(tenant, number, options));
  opened.number = stored.number;
  CO_TRY(opened.store, open_stored(stored));
  if (forgotten_ != forgotten_before) co_return opened;
  Opened known;
  if (const Opened* before = stores_.find(tenant)) known = *before;
  if (number == kActive) known.current = stored.number;
  known.stores[stored.number] = opened.store;
  stores_.put(tenant, std::move(known));
  co_return opened;
}

void StorageConfigs::forget(const identity::TenantContext& context) { forget(context.tenant().id); }

void StorageConfigs::forget(const Uuid& tenant) {
  ++forgotten_;
  stores_.take(tenant);
}

void StorageConfigs::forget_all() {
  ++forgotten_;
  stores_.clear();
}

Task<Result<StorageView>> StorageConfigs::get(Uuid tenant, CallOptions options) {
  CO_TRY(Stored stored, co_await read(tenant, kActive, options));
  co_return std::move(stored.view);
}

// -------------------------------------------------------------------------------------- before it counts

Result<StorageConfigs::Checked> StorageConfigs::checked(const StorageSetting& setting) const {
  auto config = storage::read_config(setting.provider, setting.config, options_.limits);
  if (!config.ok()) return within_config(std::move(config).error());
  Checked checked;
  auto store = storage::open_store(byos_, *config);
  if (!store.ok()) return within_config(std::move(store).error());
  checked.store = std::move(store).value();
  TRY(checked.bucket, storage::open_store(byos_, without_prefix(*config)));
  checked.store_hash = crypto::sha256(checked.bucket->identity());
  return checked;
}

// Small letters, digits and a dot behind: a name that every provider, and a share, keeps as it is.
std::string StorageConfigs::control_token(const Uuid& tenant, const std::string& store_hash) const {
  const std::string mac =
      crypto::hmac_sha256(control_key_, "storage control\n" + tenant.to_string() + store_hash);
  return to_hex(mac).substr(0, kTokenCharacters) + ".txt";
}

Task<Result<bool>> StorageConfigs::is_used_by_another(Uuid tenant, std::string store_hash,
                                                      CallOptions options) {
  const auto statement = write(std::string(kUsedSql), {tenant.to_string(), secrets::bytea_text(store_hash)});
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  co_return rows.text(0, 0) == "t";
}

// Whoever can write into the bucket by means of its own controls it; that we can, with the credentials that
// were given, proves nothing: they may have been stolen from the other tenant.
Task<Result<void>> StorageConfigs::prove_control(Uuid tenant, const Checked& checked, CallOptions options) {
  const std::string key = std::string(kControlFolder) + control_token(tenant, checked.store_hash);
  const auto found = co_await checked.bucket->stat(key, options);
  if (found.ok()) co_return Result<void>();
  if (found.error().code != ErrorCode::not_found) co_return found.error();
  co_return bucket_in_use("to show that you control it, put an object \"" + key +
                          "\" there with your provider's own tools (any content), and try again");
}

// Objects must not be left behind in another place.
Task<Result<void>> StorageConfigs::check_exchange(Uuid tenant, const Checked& checked, CallOptions options) {
  const auto stored = co_await read(tenant, kActive, options);
  if (!stored.ok() && stored.error().code == ErrorCode::storage_not_configured) co_return Result<void>();
  if (stored.ok() && stored->is_provisioned) {
    co_return Error(ErrorCode::conflict,
                    "the tenant has provisioned storage, which goes with the tenant alone");
  }
  if (stored.ok()) {
    const auto store = open_stored(*stored);
    if (store.ok() && (*store)->identity() == checked.store->identity()) co_return Result<void>();
  }
  CO_TRY_DO(co_await check_not_moving(tenant, options));
  co_return co_await check_unused(tenant, options);
}

Task<Result<void>> StorageConfigs::check_not_moving(Uuid tenant, CallOptions options) {
  const auto statement = write(std::string(kMovingSql), {tenant.to_string()});
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  if (rows.text(0, 0) != "t") co_return Result<void>();
  co_return Error(ErrorCode::conflict,
                  "the tenant's objects are being moved to another storage; that must end and be confirmed "
                  "first (storage move, storage confirm-move)");
}

Task<Result<void>> StorageConfigs::check_unused(Uuid tenant, CallOptions options) {
  if (!has_objects_) co_return Result<void>();
  CO_TRY(const bool has_objects, co_await has_objects_(tenant, options));
  if (!has_objects) co_return Result<void>();
  co_return Error(
      ErrorCode::conflict,
      "the tenant has objects in its present storage; delete them first, or keep bucket and prefix");
}

// ---------------------------------------------------------------------------------------------- changing

Task<Result<storage::ProbeResult>> StorageConfigs::probe(Store store, CallOptions options) const {
  CallOptions limited = options;
  limited.deadline = std::min(options.deadline, deadline_in(options_.probe_timeout));
  std::string key = "rowhouse-probe/" + to_hex(crypto::random_bytes(kProbeNameBytes));
  co_return co_await storage::probe(*store, std::move(key), limited);
}

Task<Result<StorageView>> StorageConfigs::set(Uuid tenant, StorageSetting setting, tenancy::Actor actor,
                                              CallOptions options) {
  CO_TRY(Checked wanted, checked(setting));
  CO_TRY_DO(co_await check_exchange(tenant, wanted, options));
  CO_TRY(const bool is_used, co_await is_used_by_another(tenant, wanted.store_hash, options));
  const auto stored = co_await read(tenant, kActive, options);
  const bool is_own = stored.ok() && stored->store_hash == wanted.store_hash;
  if (is_used && !is_own) {
    CO_TRY_DO(co_await prove_control(tenant, wanted, options));
    wanted.proof = Checked::Proof::given;
  }
  CO_TRY(const auto result, co_await probe(wanted.store, options));
  if (!result.ok) co_return probe_error(result);
  std::string document = json::serialize(result_document(result));
  CO_TRY_DO(co_await save(tenant, setting, wanted, std::move(document), std::move(actor), options));
  forget(tenant);
  if (changed_) changed_(tenant);
  co_return co_await get(tenant, options);
}

Task<Result<void>> StorageConfigs::save(Uuid tenant, const StorageSetting& setting, const Checked& checked,
                                        std::string test_result, tenancy::Actor actor, CallOptions options) {
  const std::string purpose = storage_purpose(setting.provider);
  CO_TRY(const std::string sealed,
         co_await secrets_.seal(tenant, purpose, json::serialize(setting.config), options));
  const bool is_proved = checked.proof == Checked::Proof::given;
  CO_TRY(auto session, co_await platform_.acquire(options));
  CO_TRY_DO(co_await session.begin(nullptr, options));
  const auto lock = write(std::string(kLockSql), {to_hex(checked.store_hash)});
  CO_TRY_DO(co_await session.query(lock, options));
  const auto used =
      write(std::string(kTakenSql), {tenant.to_string(), secrets::bytea_text(checked.store_hash)});
  CO_TRY(const auto found, co_await session.query(used, options));
  if (found.text(0, 0) == "t" && !is_proved)
    co_return bucket_in_use("try again to learn how to prove that you control it");
  pg::Params params = {tenant.to_string(),           setting.provider,
                       secrets::bytea_text(sealed),  secrets::bytea_text(checked.store_hash),
                       is_proved ? "true" : "false", std::move(test_result)};
  append_record(params, change_of(tenant, "storage.set", setting.provider, actor));
  const auto insert = write(save_sql(), std::move(params));
  CO_TRY(const auto saved, co_await session.query(insert, options));
  if (saved.size() == 0) {
    co_return Error(ErrorCode::conflict,
                    "the tenant has provisioned storage, or is being moved to another one");
  }
  co_return co_await session.commit(options);
}

Task<Result<StorageView>> StorageConfigs::test(Uuid tenant, CallOptions options) {
  CO_TRY(const Stored stored, co_await read(tenant, kActive, options));
  CO_TRY(Store store, open_stored(stored));
  CO_TRY(const auto result, co_await probe(std::move(store), options));
  const auto update = write(std::string(kTestedSql), {tenant.to_string(), result.ok ? "working" : "failing",
                                                      json::serialize(result_document(result)),
                                                      stored.version, std::to_string(stored.number)});
  CO_TRY_DO(co_await platform_.run(nullptr, update, options));
  co_return co_await get(tenant, options);
}

Task<Result<void>> StorageConfigs::remove(Uuid tenant, tenancy::Actor actor, CallOptions options) {
  CO_TRY_DO(co_await check_not_moving(tenant, options));
  CO_TRY_DO(co_await check_unused(tenant, options));
  pg::Params params = {tenant.to_string()};
  append_record(params, change_of(tenant, "storage.removed", "", actor));
  const auto statement = write(remove_sql(), std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  if (rows.size() == 0) {
    const auto stored = co_await read(tenant, kActive, options);
    if (!stored.ok() && stored.error().code == ErrorCode::storage_not_configured) co_return stored.error();
    co_return Error(ErrorCode::conflict,
                    "the tenant has provisioned storage, which goes with the tenant alone");
  }
  forget(tenant);
  if (changed_) changed_(tenant);
  co_return Result<void>();
}

}  // namespace rowhouse::objects
