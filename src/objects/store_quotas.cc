#include "objects/store_quotas.h"

#include <utility>

#include "objects/storage_limit.h"

namespace rowhouse::objects {
namespace {

constexpr std::chrono::milliseconds kFirst{3'000};
constexpr std::chrono::milliseconds kSoon{500};  // several changes in a row are one
constexpr std::chrono::milliseconds kAgain{15'000};
constexpr std::chrono::milliseconds kLater = std::chrono::hours(1);
constexpr std::chrono::milliseconds kBetweenTenants{10};
constexpr std::chrono::milliseconds kTimeout{30'000};

constexpr std::string_view kAllSql = R"(
SELECT DISTINCT tenant_id FROM platform.tenant_storage_configs WHERE origin = 'provisioned')";
constexpr std::string_view kOneSql = R"(
SELECT FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid AND origin = 'provisioned')";

}  // namespace

void StoreQuotas::start() {
  if (admin_ == nullptr || stage_ != Stage::created) return;
  stage_ = Stage::waiting;
  arm(kFirst);
}

void StoreQuotas::changed(const Uuid* tenant) {
  if (admin_ == nullptr || stage_ == Stage::stopped) return;
  const bool is_first = changed_.empty() && scope_ == Scope::changed;
  if (tenant == nullptr) {
    scope_ = Scope::all;
  } else {
    changed_.insert(*tenant);
  }
  if (is_first && stage_ == Stage::waiting) arm(kSoon);
}

void StoreQuotas::arm(std::chrono::milliseconds delay) {
  timer_ = executor_.after(delay, [this] { tasks_.spawn(pass()); });
}

Task<void> StoreQuotas::pass() {
  stage_ = Stage::looking;
  const auto looked = co_await look();
  if (stage_ == Stage::stopped) co_return;
  stage_ = Stage::waiting;
  if (!looked.ok()) log_.write_error("storage_quota_not_set", looked.error());
  const bool has_more = !changed_.empty() || scope_ == Scope::all;
  if (!looked.ok()) {
    arm(kAgain);
  } else if (has_more) {
    arm(kSoon);
  } else {
    arm(kLater);
  }
}

Task<Result<void>> StoreQuotas::look() {
  if (admin_ == nullptr) co_return Result<void>();
  if (std::chrono::steady_clock::now() >= forget_at_) {
    set_before_.clear();
    scope_ = Scope::all;
    forget_at_ = deadline_in(kLater);
  }
  if (std::exchange(scope_, Scope::changed) == Scope::all) {
    auto added = co_await add_all();
    if (!added.ok()) {
      scope_ = Scope::all;
      co_return added;
    }
  }
  const std::unordered_set<Uuid> tenants = std::exchange(changed_, {});
  Result<void> outcome;
  for (const Uuid& tenant : tenants) {
    if (stage_ == Stage::stopped) break;
    auto done = co_await set(tenant);
    if (done.ok()) continue;
    changed_.insert(tenant);
    if (outcome.ok()) outcome = std::move(done);
  }
  co_return outcome;
}

Task<Result<void>> StoreQuotas::add_all() {
  const CallOptions options{deadline_in(kTimeout), &ending_};
  const pg::Statement list{std::string(kAllSql)};
  CO_TRY(const auto rows, co_await platform_.run(nullptr, list, options));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto tenant = Uuid::parse(rows.text(row, 0));
    if (tenant) changed_.insert(*tenant);
  }
  co_return Result<void>();
}

Task<Result<void>> StoreQuotas::set(Uuid tenant) {
  const CallOptions options{deadline_in(kTimeout), &ending_};
  const auto found = co_await find_tenant_(tenant, options);
  if (!found.ok() && found.error().code == ErrorCode::not_found) {
    set_before_.erase(tenant);
    co_return Result<void>();
  }
  if (!found.ok()) co_return found.error();
  const std::uint64_t quota = storage_quota_of(**found);
  const auto before = set_before_.find(tenant);
  if (before != set_before_.end() && before->second == quota) co_return Result<void>();
  pg::Params params;
  params.emplace_back(tenant.to_string());
  const pg::Statement look(std::string(kOneSql), std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, look, options));
  if (rows.size() == 0) co_return Result<void>();
  // One that is being removed: its storage may be gone already.
  if ((*found)->status == tenancy::TenantStatus::deleting) co_return Result<void>();
  CO_TRY_DO(co_await admin_->set_quota(tenant, quota, options));
  set_before_[tenant] = quota;
  co_await net::sleep_for(executor_, kBetweenTenants);
  co_return Result<void>();
}

Task<void> StoreQuotas::stop() {
  stage_ = Stage::stopped;
  ending_.cancel();
  timer_.reset();
  co_await tasks_.join();
}

}  // namespace rowhouse::objects
