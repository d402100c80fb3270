#include "storage/admin.h"

#include <utility>

#include "base/effects.h"

namespace rowhouse::storage {

Result<StoreConfig> read_provisioned_config(std::string_view provider, const json::Value& config) {
  if (provider != "directory") return read_config(provider, config, ConfigLimits());
  const json::Value* root = config.find("root");
  if (root == nullptr || root->as_string() == nullptr || !root->as_string()->starts_with('/')) {
    return Error(ErrorCode::internal, "the configuration of a provisioned directory has no root");
  }
  DirectoryConfig directory;
  directory.root = *root->as_string();
  return StoreConfig(std::move(directory));
}

Task<Result<void>> as_effect(std::string name, std::function<Task<Result<void>>()> work,
                             CallOptions options) {
  if (options.effects == nullptr) co_return co_await work();
  CO_TRY_DO(co_await options.effects->around(EffectGuard::Moment::before, name));
  // Whoever woke up after a long sleep finds out here that another goes on with its work.
  CO_TRY_DO(co_await options.effects->admit());
  Result<void> outcome = co_await work();
  CO_TRY_DO(co_await options.effects->around(EffectGuard::Moment::after, name));
  co_return outcome;
}

}  // namespace rowhouse::storage
