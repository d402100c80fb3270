#include "objects/storage_limit.h"

#include <limits>

namespace rowhouse::objects {
namespace {

constexpr std::int64_t kMegabyte = 1'000'000;

}  // namespace

std::int64_t storage_limit(const tenancy::Plan& plan) {
  const auto bytes = plan.limits.find("storage_bytes");
  if (bytes != plan.limits.end()) return bytes->second;
  const auto megabytes = plan.limits.find("storage_mb");
  if (megabytes == plan.limits.end() || megabytes->second < 0) return tenancy::kUnlimited;
  if (megabytes->second > std::numeric_limits<std::int64_t>::max() / kMegabyte) return tenancy::kUnlimited;
  return megabytes->second * kMegabyte;
}

std::uint64_t storage_quota_of(const tenancy::Tenant& tenant) {
  const tenancy::Plan* plan = tenant.plan();
  const std::int64_t limit = plan == nullptr ? tenancy::kUnlimited : storage_limit(*plan);
  return limit > 0 ? static_cast<std::uint64_t>(limit) : 0;
}

}  // namespace rowhouse::objects
