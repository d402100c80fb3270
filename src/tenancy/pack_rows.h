// Packs as rows of the platform database: what is installed, what a new version may change of it, and what
// was handed in to be installed. Private to this folder.
#pragma once

#include <optional>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"
#include "tenancy/bundle.h"

namespace rowhouse::tenancy {

struct StoredPack {
  std::string version, checksum;
  bool upgrade_pending = false;  // some tenant does not have its latest migrations
};

struct BundleText {
  std::string json, checksum;  // SHA-256 of it, hex
};
BundleText bundle_text(const Bundle& bundle);

Task<Result<std::optional<StoredPack>>> find_stored_pack(pg::Session& session, std::string pack,
                                                         CallOptions options);
// How many of its migrations are installed; 0: it is not.
Task<Result<std::size_t>> count_released(pg::Pool& platform, std::string pack, CallOptions options);
// A new version keeps every released migration as it was and may add some. What takes something away
// (breaking_changes.h) waits until no tenant has an older version. Error: pack_refused.
Task<Result<void>> compare_with_stored(pg::Session& session, StoredPack stored, const Bundle& bundle,
                                       std::string checksum, CallOptions options);
// In the transaction of `session`: an upgrade is pending, and what is made from now on has its migrations.
// The installed version stays what it is. Nothing for a pack that is not installed.
Task<Result<void>> announce_migrations(pg::Session& session, const Bundle& bundle, CallOptions options);
// In the transaction of `session`: makes it the installed version, with an upgrade pending.
Task<Result<void>> store_bundle(pg::Session& session, const Bundle& bundle, std::string checksum,
                                CallOptions options);
Task<Result<void>> finish_upgrade(pg::Session& session, std::string pack, std::string checksum,
                                  CallOptions options);

// ---- what was handed in; one upgrade of a pack at a time
struct ActiveUpgrade {
  Uuid operation;
  std::string checksum;
};
// In the transaction that starts `operation`: the upgrade that has not ended yet, or nullopt and its place is
// taken.
Task<Result<std::optional<ActiveUpgrade>>> take_upload_place(pg::Session& session, Uuid operation,
                                                             std::string pack, const BundleText& bundle,
                                                             CallOptions options);
// nullopt: it is stored by now. Error conflict: another upgrade of the pack was started since.
Task<Result<std::optional<Bundle>>> find_upload(pg::Pool& platform, Uuid operation, CallOptions options);
Task<Result<void>> drop_upload(pg::Session& session, Uuid operation, CallOptions options);

}  // namespace rowhouse::tenancy
