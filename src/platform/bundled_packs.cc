#include "platform/bundled_packs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "cli/suggest.h"

namespace rowhouse::platform {
namespace {

constexpr const char* kActor = "rowhouse";

// An upgrade that was cut off when a node ended, and goes on by now. However it ends, it makes room; unless
// an operator has paused it.
Task<Result<void>> wait_for_other(tenancy::PackUpgrades& upgrades, const Error& conflict,
                                  CallOptions options) {
  tenancy::StartedUpgrade other;
  other.operation = Uuid::parse(conflict.detail(tenancy::kUnderWay));
  if (!other.operation) co_return Result<void>();
  const auto ended = co_await upgrades.finish(std::move(other), options);
  const bool is_over = options.deadline <= std::chrono::steady_clock::now() ||
                       (options.cancel != nullptr && options.cancel->cancelled());
  if (!ended.ok() && is_over) co_return ended.error();
  co_return Result<void>();
}

}  // namespace

Result<std::vector<std::string>> selected_packs(std::string_view option) {
  const auto known = tenancy::embedded_pack_names();
  if (trim(option) == "all") return known;
  std::vector<std::string> names;
  if (trim(option) == "none") return names;
  for (const std::string_view part : split(option, ',')) {
    const std::string name(trim(part));
    if (name.empty()) continue;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Error(ErrorCode::config_invalid,
                   fmt::format("packs: there is no bundled pack {}{} (bundled: {})", name,
                               cli::did_you_mean(name, known), fmt::join(known, ", ")));
    }
    names.push_back(name);
  }
  return names;
}

Task<Result<void>> install_bundled_packs(tenancy::PackUpgrades& upgrades, std::vector<std::string> names,
                                         std::function<void(std::string_view pack)> progress,
                                         const observe::Log& log, CallOptions options) {
  for (const std::string& name : names) {
    CO_TRY(const auto bundle, tenancy::bundle_from_embedded(name));
    const tenancy::UpgradeOptions upgrade;
    auto started = co_await upgrades.start(bundle, upgrade, kActor, "", options);
    if (!started.ok() && started.error().code == ErrorCode::conflict) {
      CO_TRY_DO(co_await wait_for_other(upgrades, started.error(), options));
      started = co_await upgrades.start(bundle, upgrade, kActor, "", options);
    }
    const bool is_other = !started.ok() && (started.error().code == ErrorCode::pack_refused ||
                                            started.error().code == ErrorCode::conflict);
    if (is_other) {
      // A pack of one's own under this name, a newer binary was here before, or somebody upgrades it right
      // now.
      log.write(observe::Level::warning, "bundled_pack_not_installed",
                {{"pack", name}, {"bundled", bundle.manifest.version}, {"why", started.error().message}});
      continue;
    }
    if (!started.ok()) co_return std::move(started).error();
    if (!started->operation) continue;
    progress(name);
    const auto report = co_await upgrades.finish(std::move(*started), options);
    const bool was_stopped = !report.ok() && (!report.error().detail(tenancy::kLintRefused).empty() ||
                                              report.error().code == ErrorCode::conflict);
    if (was_stopped) {
      // The installed version serves on, and `rowhouse lint` or the operation says what is to be mended.
      log.write_error("bundled_pack_not_upgraded", report.error());
      continue;
    }
    if (!report.ok()) co_return Error(report.error());
    // One tenant that cannot be migrated must not keep the others from being served.
    for (const auto& [target, why] : report->failed) {
      log.write(observe::Level::error, "pack_upgrade_failed",
                {{"pack", name}, {"target", target}, {"why", why}});
    }
  }
  co_return Result<void>();
}

}  // namespace rowhouse::platform
