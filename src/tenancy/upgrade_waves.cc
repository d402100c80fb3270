#include "tenancy/upgrade_waves.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tenancy/pack_migrator.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;

// Of one target, while somebody holds a lock, or while its database does not answer.
constexpr int kLockRounds = 5;
constexpr int kOutageRounds = 3;
constexpr auto kFirstPause = 250ms;
constexpr auto kLook = 50ms;
// A database that does not answer must not hold up the others for long.
constexpr auto kConnectPatience = 10s;
constexpr std::size_t kMaxShownFailures = 50;

std::string name_of(const Wave& wave) {
  if (wave.number == kCanaryWave) return "canary";
  std::string name = "wave " + std::to_string(wave.number) + ": plan " + wave.plan;
  if (wave.tier) name += ", " + std::string(tier_name(*wave.tier)) + " tier";
  return name;
}

BatchTarget batch_target_of(const UpgradeTarget& target) {
  BatchTarget batch;
  batch.slug = target.slug;
  batch.schema = target.schema;
  batch.role = target.role;
  return batch;
}

}  // namespace

std::string words_of(const Error& error) {
  std::string words = error.message;
  if (const auto detail = error.detail(pg::kServerMessage);
      !detail.empty() && words.find(detail) == std::string::npos) {
    words += ": " + std::string(detail);
  }
  for (const FieldError& field : error.fields) words += "; " + field.path + ": " + field.message;
  return words;
}

// Targets with a database of their own, taken by several at once.
struct UpgradeWaves::Queue {
  std::vector<const UpgradeTarget*> targets;
  std::size_t next = 0;
};

Task<Result<void>> UpgradeWaves::run(Part part) {
  // The first attempt after an operator said retry, too: then what failed gets another chance.
  const auto again = run_.attempt() == 1 ? UpgradeTargets::Again::all : UpgradeTargets::Again::interrupted;
  CO_TRY_DO(co_await targets_.reset(run_.id(), again, run_.options()));
  CO_TRY_DO(co_await skip_unchanged());
  CO_TRY_DO(co_await count());
  failure_limit_ = part == Part::canary ? 1 : settings_.max_failures;
  CO_TRY(const auto waves, co_await targets_.waves(run_.id(), run_.options()));
  WaveEnd end = WaveEnd::settled;
  for (const Wave& wave : waves) {
    if (part == Part::canary && wave.number != kCanaryWave) break;
    CO_TRY(end, co_await run_wave(wave));
    if (end == WaveEnd::too_many_failed) break;
  }
  co_return co_await conclude(part, end);
}

Task<Result<void>> UpgradeWaves::count() {
  CO_TRY(counts_, co_await targets_.counts(run_.id(), run_.options()));
  failures_ = counts_.failed;
  settled_ = counts_.settled();
  total_ = counts_.total();
  co_return Result<void>();
}

// One query for each shared database: thousands of tenants that have everything cost next to nothing.
Task<Result<void>> UpgradeWaves::skip_unchanged() {
  CO_TRY(const auto waiting, co_await targets_.waiting_schemas(run_.id(), run_.options()));
  std::size_t first = 0;
  while (first < waiting.size()) {
    const std::string database = waiting[first].database;
    std::vector<BatchTarget> batch;
    std::size_t end = first;
    for (; end < waiting.size() && waiting[end].database == database; ++end) {
      batch.push_back(batch_target_of(waiting[end]));
    }
    first = end;
    const auto applied = co_await find_applied(cluster_, database, batch, bundle_, run_.options());
    if (!applied.ok()) {
      if (status_of(applied.error()) == TargetStatus::outage) continue;  // its wave will tell
      co_return Error(applied.error());
    }
    std::vector<std::string> unchanged;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if ((*applied)[i].is_whole(bundle_)) unchanged.push_back(batch[i].schema);
    }
    if (unchanged.empty()) continue;
    CO_TRY_DO(co_await targets_.record_unchanged(run_.id(), database, std::move(unchanged), run_.options()));
  }
  co_return Result<void>();
}

Task<Result<UpgradeWaves::WaveEnd>> UpgradeWaves::run_wave(Wave wave) {
  wave_name_ = name_of(wave);
  for (round_ = 1; round_ <= kLockRounds; ++round_) {
    CO_TRY(const auto targets, co_await targets_.begin_wave(run_.id(), wave.number, run_.options()));
    if (targets.empty()) break;
    if (round_ > 1) CO_TRY_DO(co_await wait_between_rounds());
    CO_TRY_DO(co_await run_round(targets));
    CO_TRY_DO(co_await targets_.forget_departed(run_.id(), run_.options()));
    CO_TRY_DO(co_await count());
    if (failures_ >= failure_limit_) co_return WaveEnd::too_many_failed;
  }
  co_return WaveEnd::settled;
}

Task<Result<void>> UpgradeWaves::run_round(const std::vector<UpgradeTarget>& targets) {
  std::map<std::string, std::vector<const UpgradeTarget*>> shared;
  Queue queue;
  for (const UpgradeTarget& target : targets) {
    if (target.tier == Tier::schema) {
      shared[target.database].push_back(&target);
    } else {
      queue.targets.push_back(&target);
    }
  }
  for (const auto& [database, schemas] : shared) {
    if (should_stop()) break;
    auto migrated = co_await migrate_shared_database(schemas);
    if (!migrated.ok() && !trouble_) trouble_ = std::move(migrated).error();
  }
  net::TaskGroup lanes;
  const std::size_t lane_count = std::min(settings_.parallel, queue.targets.size());
  for (std::size_t i = 0; i < lane_count; ++i) lanes.spawn(migrate_own_databases(queue));
  co_await lanes.join();
  co_await tasks_.join();
  co_return co_await interruption();
}

// What a round was ended for before its targets were, other than failures.
Task<Result<void>> UpgradeWaves::interruption() {
  if (trouble_) co_return *std::exchange(trouble_, std::nullopt);
  const CancelSource* cancel = run_.options().cancel;
  if (cancel != nullptr && cancel->cancelled()) {
    co_return Error(ErrorCode::cancelled, "the upgrade is not to go on here");
  }
  if (!run_.pause_requested()) co_return Result<void>();
  CO_TRY_DO(co_await targets_.reset(run_.id(), UpgradeTargets::Again::interrupted, run_.options()));
  co_return operations::paused();
}

Task<Result<void>> UpgradeWaves::migrate_shared_database(const std::vector<const UpgradeTarget*>& targets) {
  std::vector<BatchTarget> batch;
  batch.reserve(targets.size());
  for (const UpgradeTarget* target : targets) batch.push_back(batch_target_of(*target));
  BatchOptions options;
  options.sessions = settings_.parallel;
  options.lock_timeout = settings_.lock_timeout;
  options.on_finished = [&](const TargetOutcome& outcome) {
    settle(*targets[outcome.target], outcome.status, outcome.migrations_run, outcome.duration,
           outcome.error ? &*outcome.error : nullptr);
  };
  options.should_stop = [this] { return should_stop(); };
  const std::string database = targets.front()->database;
  CO_TRY_DO(co_await migrate_schemas(cluster_, database, batch, bundle_, std::move(options), run_.options()));
  co_return Result<void>();
}

Task<void> UpgradeWaves::migrate_own_databases(Queue& queue) {
  while (queue.next < queue.targets.size() && !should_stop()) {
    const UpgradeTarget& target = *queue.targets[queue.next++];
    const auto begin = std::chrono::steady_clock::now();
    const auto migrated = co_await migrate_own_database(target);
    const auto time =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    if (migrated.ok()) {
      const bool is_changed = migrated->migrations_run > 0 || migrated->row_rules_changed;
      settle(target, is_changed ? TargetStatus::done : TargetStatus::unchanged, migrated->migrations_run,
             time, nullptr);
      continue;
    }
    const CancelSource* cancel = run_.options().cancel;
    const bool is_over = (cancel != nullptr && cancel->cancelled()) ||
                         run_.options().deadline <= std::chrono::steady_clock::now();
    if (is_over) {
      if (!trouble_) trouble_ = migrated.error();
      co_return;
    }
    settle(target, status_of(migrated.error()), 0, time, &migrated.error());
  }
}

Task<Result<MigratedSchema>> UpgradeWaves::migrate_own_database(const UpgradeTarget& target) {
  CallOptions connecting = run_.options();
  connecting.deadline = std::min(connecting.deadline, deadline_in(kConnectPatience));
  CO_TRY(auto session, co_await cluster_.migrator(target.database, connecting));
  MigrationSettings settings;
  settings.missing_schema = MissingSchema::refuse;
  settings.lock_timeout = settings_.lock_timeout;
  CO_TRY(auto migrated,
         co_await migrate_schema(session, target.schema, target.role, bundle_, settings, run_.options()));
  if (!migrated.findings.empty()) co_return refusal(bundle_.manifest.name, migrated.findings);
  co_return std::move(migrated);
}

void UpgradeWaves::settle(const UpgradeTarget& target, TargetStatus status, int migrations_run,
                          std::chrono::microseconds duration, const Error* error) {
  UpgradeResult result;
  result.database = target.database;
  result.schema = target.schema;
  result.migrations_run = migrations_run;
  result.duration = duration;
  if (error != nullptr) result.error = words_of(*error);
  switch (status) {
    case TargetStatus::done:
      result.status = UpgradeStatus::done;
      break;
    case TargetStatus::unchanged:
      result.status = UpgradeStatus::unchanged;
      break;
    case TargetStatus::lock_timeout:
      result.status = round_ < kLockRounds ? UpgradeStatus::waiting : UpgradeStatus::failed;
      break;
    case TargetStatus::outage:
      result.status = round_ < kOutageRounds ? UpgradeStatus::waiting : UpgradeStatus::behind;
      break;
    case TargetStatus::failed:
      result.status = UpgradeStatus::failed;
      break;
    case TargetStatus::not_begun:
      return;
  }
  if (result.status == UpgradeStatus::failed) ++failures_;
  pending_.push_back(std::move(result));
  if (recording_ == Recording::under_way) return;
  recording_ = Recording::under_way;
  tasks_.spawn(record_pending());
}

// While one statement is under way, the next results gather.
Task<void> UpgradeWaves::record_pending() {
  while (!pending_.empty() && !trouble_) {
    std::vector<UpgradeResult> results = std::exchange(pending_, {});
    for (const UpgradeResult& result : results) {
      if (result.status != UpgradeStatus::waiting) ++settled_;
    }
    auto recorded = co_await targets_.record(run_.id(), std::move(results), run_.options());
    if (recorded.ok()) {
      std::string what = wave_name_;
      recorded = co_await run_.progress(settled_, total_, std::move(what));
    }
    if (!recorded.ok() && !trouble_) trouble_ = std::move(recorded).error();
  }
  recording_ = Recording::idle;
}

bool UpgradeWaves::should_stop() const {
  const CancelSource* cancel = run_.options().cancel;
  return trouble_ || failures_ >= failure_limit_ || run_.pause_requested() ||
         (cancel != nullptr && cancel->cancelled());
}

Task<Result<void>> UpgradeWaves::wait_between_rounds() {
  const Deadline end = deadline_in(kFirstPause * (1 << (round_ - 2)));
  while (std::chrono::steady_clock::now() < end) {
    if (should_stop()) co_return co_await interruption();
    co_await net::sleep_for(cluster_.executor(), kLook);
  }
  co_return Result<void>();
}

Task<Result<void>> UpgradeWaves::conclude(Part part, WaveEnd end) {
  CO_TRY_DO(co_await targets_.reset(run_.id(), UpgradeTargets::Again::interrupted, run_.options()));
  CO_TRY_DO(co_await count());
  if (counts_.failed == 0) co_return Result<void>();
  CO_TRY(const auto summary, co_await targets_.summary(run_.id(), run_.options()));
  std::string message = std::to_string(counts_.failed) + " of " + std::to_string(counts_.total()) +
                        (counts_.failed == 1 ? " tenants was" : " tenants were") + " not migrated";
  if (part == Part::canary) message = "The canary failed, and nothing else was touched: " + message;
  if (end == WaveEnd::too_many_failed && counts_.waiting > 0) {
    message += "; " + std::to_string(counts_.waiting) + " still wait";
  }
  Error error(ErrorCode::migration_failed, std::move(message));
  for (const auto& [slug, why] : summary.failed) {
    if (error.fields.size() >= kMaxShownFailures) break;
    error.fields.emplace_back(slug, why);
  }
  co_return error;
}

}  // namespace rowhouse::tenancy
