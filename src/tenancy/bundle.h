// A pack as files: what an author writes and what an installation stores, before anything was checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tenancy/pack.h"

namespace rowhouse::tenancy {

struct PackMigration {
  PackMigration(int migration_number, std::string migration_name, std::string text)
      : number(migration_number), name(std::move(migration_name)), sql(std::move(text)) {}
  int number;
  std::string name;  // "0001_leads"
  std::string sql;
  std::string checksum() const;  // SHA-256, hex
};

struct SampleData {
  SampleData(std::string sample_resource, std::string text)
      : resource(std::move(sample_resource)), csv(std::move(text)) {}
  std::string resource;
  std::string csv;
};

struct Bundle {
  json::Value manifest_document;
  Manifest manifest;
  std::vector<PackMigration> migrations;  // 1, 2, 3, …
  std::vector<SampleData> samples;        // in loading order
  // Row rules, as rowhouse.row_rules holds them, of a version whose upgrade is under way: they hold for
  // tenants that are made meanwhile, in place of the manifest's.
  std::optional<std::string> announced_row_rules;
};

// Limits: 1 MiB of manifest, 1,000 migrations of 1 MiB, 64 MiB of sample data.
Result<Bundle> bundle_from_directory(const std::string& directory);
Result<Bundle> bundle_from_embedded(std::string_view pack_name);  // one of those in the binary
std::vector<std::string> embedded_pack_names();
// The form in which a pack travels: {"manifest": {…}, "migrations": [{"name", "sql"}], "samples":
// [{"resource", "csv"}]}
Result<Bundle> bundle_from_json(const json::Value& document);
json::Value bundle_to_json(const Bundle& bundle);

}  // namespace rowhouse::tenancy
