#include "platform/bundled_packs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "cli/suggest.h"

namespace rowhouse::platform {
namespace {

// What is to be done about the pack in the binary. Installing is quick when there is nothing to do, and goes
// on with an upgrade that was cut off.
enum class Need { nothing, install };

Task<Result<Need>> need_of(tenancy::PackStore& packs, const tenancy::Bundle& bundle, const observe::Log& log,
                           CallOptions options) {
  const auto stored = co_await packs.stored_bundle(bundle.manifest.name, options);
  if (!stored.ok()) {
    if (stored.error().code == ErrorCode::not_found) co_return Need::install;
    co_return Error(stored.error());
  }
  const int order = compare_versions(stored->manifest.version, bundle.manifest.version);
  if (order < 0) co_return Need::install;
  const bool same = order == 0 && tenancy::bundle_to_json(*stored) == tenancy::bundle_to_json(bundle);
  if (same) co_return Need::install;
  // A pack of one's own under this name, or a newer binary was here before: what is installed stays.
  log.write(observe::Level::warning, "bundled_pack_differs",
            {{"pack", bundle.manifest.name},
             {"installed", stored->manifest.version},
             {"bundled", bundle.manifest.version}});
  co_return Need::nothing;
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

int compare_versions(std::string_view a, std::string_view b) {
  const auto left = split(a, '.');
  const auto right = split(b, '.');
  for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
    const std::string_view x = i < left.size() ? left[i] : "0";
    const std::string_view y = i < right.size() ? right[i] : "0";
    const auto x_number = parse_int64(x);
    const auto y_number = parse_int64(y);
    if (x_number.has_value() && y_number.has_value()) {
      if (*x_number != *y_number) return *x_number < *y_number ? -1 : 1;
    } else if (const int order = x.compare(y); order != 0) {
      return order;
    }
  }
  return 0;
}

Task<Result<void>> install_bundled_packs(tenancy::PackStore& packs, std::vector<std::string> names,
                                         std::function<void(std::string_view pack)> progress,
                                         const observe::Log& log, CallOptions options) {
  for (const std::string& name : names) {
    CO_TRY(const auto bundle, tenancy::bundle_from_embedded(name));
    CO_TRY(const Need need, co_await need_of(packs, bundle, log, options));
    if (need == Need::nothing) continue;
    bool told = false;
    const std::function<void(std::string_view)> on_target = [&](std::string_view) {
      if (!std::exchange(told, true)) progress(name);
    };
    const auto report = co_await packs.install(bundle, on_target, options);
    if (!report.ok() && !report.error().detail(tenancy::kLintRefused).empty()) {
      // The installed version serves on, and `rowhouse lint` can say what is to be mended.
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
