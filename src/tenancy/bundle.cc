#include "tenancy/bundle.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/embedded.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/pack_names.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxMigrationBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxMigrations = 1'000;
constexpr std::size_t kMaxSampleBytes = std::size_t{64} << 20;  // of all files together

constexpr std::string_view kManifestFile = "pack.json";
constexpr std::string_view kMigrationFolder = "migrations/";
constexpr std::string_view kMigrationEnding = ".sql";

Error refused(const std::string& path, std::string what) {
  return Error(ErrorCode::pack_refused, "The pack's files are not right").with_field(path, std::move(what));
}

// A place that files of one pack can be read from; paths are relative to the pack.
class FileSource {
 public:
  virtual ~FileSource() = default;
  virtual Result<std::string> read(const std::string& path, std::size_t max_bytes) const = 0;
  virtual Result<std::vector<std::string>> migration_files()
      const = 0;  // names without the folder, any order
};

class DirectorySource final : public FileSource {
 public:
  explicit DirectorySource(std::filesystem::path root) : root_(std::move(root)) {}

  Result<std::string> read(const std::string& path, std::size_t max_bytes) const override {
    std::error_code failure;
    const auto size = std::filesystem::file_size(root_ / path, failure);
    if (failure) return refused(path, "cannot be read: " + failure.message());
    if (size > max_bytes) return refused(path, "is larger than " + std::to_string(max_bytes) + " bytes");
    std::ifstream file(root_ / path, std::ios::binary);
    std::string content(size, '\0');
    if (!file.read(content.data(), static_cast<std::streamsize>(size)))
      return refused(path, "cannot be read");
    return content;
  }

  Result<std::vector<std::string>> migration_files() const override {
    std::vector<std::string> names;
    std::error_code failure;
    std::filesystem::directory_iterator entry(root_ / kMigrationFolder, failure);
    if (failure) return refused(std::string(kMigrationFolder), "cannot be read: " + failure.message());
    for (; entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
      const std::string name = entry->path().filename().string();
      if (!name.starts_with('.')) names.push_back(name);  // editors' files
      if (names.size() > kMaxMigrations) break;
    }
    if (failure) return refused(std::string(kMigrationFolder), "cannot be read: " + failure.message());
    return names;
  }

 private:
  std::filesystem::path root_;
};

class EmbeddedSource final : public FileSource {
 public:
  explicit EmbeddedSource(std::string_view pack) : prefix_("packs/" + std::string(pack) + "/") {}

  Result<std::string> read(const std::string& path, std::size_t max_bytes) const override {
    for (const EmbeddedFile& file : embedded_files()) {
      if (file.path != prefix_ + path) continue;
      if (file.content.size() > max_bytes)
        return refused(path, "is larger than " + std::to_string(max_bytes) + " bytes");
      return std::string(file.content);
    }
    return refused(path, "is missing");
  }

  Result<std::vector<std::string>> migration_files() const override {
    const std::string folder = prefix_ + std::string(kMigrationFolder);
    std::vector<std::string> names;
    for (const EmbeddedFile& file : embedded_files()) {
      if (file.path.starts_with(folder)) names.emplace_back(file.path.substr(folder.size()));
    }
    return names;
  }

 private:
  std::string prefix_;
};

// Text that PostgreSQL can hold.
std::optional<std::string> fault_of_text(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return "must not contain NUL";
  if (!is_valid_utf8(text)) return "must be UTF-8";
  return std::nullopt;
}

// The number of a migration, or what is wrong with its name or place.
Result<PackMigration> make_migration(const std::string& name, std::string sql, std::size_t expected_number) {
  const std::string path = std::string(kMigrationFolder) + name + std::string(kMigrationEnding);
  if (!is_migration_name(name)) return refused(path, "must be named like 0001_leads.sql, in lower case");
  const auto number = parse_int64(name.substr(0, 4));
  if (static_cast<std::size_t>(*number) != expected_number) {
    const std::string expected = std::to_string(expected_number);
    return refused(path, "should have the number " +
                             std::string(4 - std::min<std::size_t>(expected.size(), 4), '0') + expected +
                             ": migrations are numbered from 0001 without gaps");
  }
  if (sql.size() > kMaxMigrationBytes) {
    return refused(path, "is larger than " + std::to_string(kMaxMigrationBytes) + " bytes");
  }
  if (auto fault = fault_of_text(sql)) return refused(path, std::move(*fault));
  return PackMigration(static_cast<int>(*number), name, std::move(sql));
}

Result<void> check_sample(const std::string& path, std::string_view csv, std::size_t& total_bytes) {
  total_bytes += csv.size();
  if (total_bytes > kMaxSampleBytes) {
    return refused(path, "makes the sample data larger than " + std::to_string(kMaxSampleBytes) + " bytes");
  }
  if (auto fault = fault_of_text(csv)) return refused(path, std::move(*fault));
  return {};
}

Result<json::Value> parse_manifest_text(const std::string& text) {
  auto document = json::parse(text);
  if (!document.ok()) return refused(std::string(kManifestFile), document.error().message);
  return document;
}

Result<Bundle> read_bundle(const FileSource& source) {
  Bundle bundle;
  TRY(const std::string manifest, source.read(std::string(kManifestFile), kMaxManifestBytes));
  TRY(bundle.manifest_document, parse_manifest_text(manifest));
  TRY(bundle.manifest, parse_manifest(bundle.manifest_document));

  TRY(auto files, source.migration_files());
  if (files.empty()) return refused(std::string(kMigrationFolder), "holds no migration");
  if (files.size() > kMaxMigrations) {
    return refused(std::string(kMigrationFolder),
                   "holds more than " + std::to_string(kMaxMigrations) + " files");
  }
  std::ranges::sort(files);
  for (const std::string& file : files) {
    const std::string path = std::string(kMigrationFolder) + file;
    if (!file.ends_with(kMigrationEnding))
      return refused(path, "is no migration: only NNNN_name.sql belongs here");
    TRY(std::string sql, source.read(path, kMaxMigrationBytes));
    const std::string name = file.substr(0, file.size() - kMigrationEnding.size());
    TRY(auto migration, make_migration(name, std::move(sql), bundle.migrations.size() + 1));
    bundle.migrations.push_back(std::move(migration));
  }

  std::size_t sample_bytes = 0;
  for (const SampleFile& sample : bundle.manifest.sample_data) {
    auto content = source.read(sample.file, kMaxSampleBytes);
    if (!content.ok()) {
      for (FieldError& field : content.error().fields)
        field.message = "sample-file-missing: " + field.message;
      return std::move(content).error();
    }
    std::string csv = std::move(content).value();
    TRY_DO(check_sample(sample.file, csv, sample_bytes));
    bundle.samples.emplace_back(sample.resource, std::move(csv));
  }
  return bundle;
}

// The string members `names` of an object that has no others.
Result<std::vector<std::string>> string_members(const json::Value& value, const std::string& path,
                                                std::initializer_list<std::string_view> names) {
  const json::Object* members = value.as_object();
  if (members == nullptr) return refused(path, "must be an object");
  std::vector<std::string> texts;
  for (const std::string_view name : names) {
    const json::Value* member = value.find(name);
    const std::string* text = member != nullptr ? member->as_string() : nullptr;
    if (text == nullptr) return refused(path + "/" + std::string(name), "must be a string");
    texts.push_back(*text);
  }
  if (members->size() != names.size()) return refused(path, "has unknown members");
  return texts;
}

Result<void> read_json_migrations(Bundle& bundle, const json::Value& document) {
  const json::Value* member = document.find("migrations");
  const json::Array* items = member != nullptr ? member->as_array() : nullptr;
  if (items == nullptr || items->empty() || items->size() > kMaxMigrations) {
    return refused("/migrations",
                   "must be an array of 1 to " + std::to_string(kMaxMigrations) + " migrations");
  }
  for (std::size_t i = 0; i < items->size(); ++i) {
    TRY(auto texts, string_members((*items)[i], "/migrations/" + std::to_string(i), {"name", "sql"}));
    TRY(auto migration, make_migration(texts[0], std::move(texts[1]), i + 1));
    bundle.migrations.push_back(std::move(migration));
  }
  return {};
}

Result<void> read_json_samples(Bundle& bundle, const json::Value& document) {
  static const json::Array kNone;
  const json::Value* member = document.find("samples");
  const json::Array* items = member != nullptr ? member->as_array() : &kNone;
  const auto& declared = bundle.manifest.sample_data;
  if (items == nullptr || items->size() != declared.size()) {
    return refused("/samples", "sample-file-missing: must hold the " + std::to_string(declared.size()) +
                                   " files of /manifest/sample_data");
  }
  std::size_t sample_bytes = 0;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string path = "/samples/" + std::to_string(i);
    TRY(auto texts, string_members((*items)[i], path, {"resource", "csv"}));
    if (texts[0] != declared[i].resource) {
      return refused(path + "/resource",
                     "should be " + declared[i].resource + ", as in /manifest/sample_data");
    }
    TRY_DO(check_sample(path + "/csv", texts[1], sample_bytes));
    bundle.samples.emplace_back(std::move(texts[0]), std::move(texts[1]));
  }
  return {};
}

}  // namespace

std::string PackMigration::checksum() const { return to_hex(crypto::sha256(sql)); }

Result<Bundle> bundle_from_directory(const std::string& directory) {
  return read_bundle(DirectorySource(directory));
}

Result<Bundle> bundle_from_embedded(std::string_view pack_name) {
  return read_bundle(EmbeddedSource(pack_name));
}

std::vector<std::string> embedded_pack_names() {
  constexpr std::string_view kFolder = "packs/";
  std::vector<std::string> names;
  for (const EmbeddedFile& file : embedded_files()) {
    const auto parts = split(file.path, '/');
    if (file.path.starts_with(kFolder) && parts.size() == 3 && parts[2] == kManifestFile) {
      names.emplace_back(parts[1]);
    }
  }
  return names;
}

Result<Bundle> bundle_from_json(const json::Value& document) {
  const json::Object* members = document.as_object();
  if (members == nullptr) return refused("/", "must be an object");
  for (const auto& [name, value] : *members) {
    if (name != "manifest" && name != "migrations" && name != "samples") {
      return refused("/" + name, "is not known here; known are manifest, migrations, samples");
    }
  }
  Bundle bundle;
  const json::Value* manifest = document.find("manifest");
  if (manifest == nullptr) return refused("/manifest", "is missing");
  bundle.manifest_document = *manifest;
  // Faults keep their paths within pack.json, as everywhere else.
  TRY(bundle.manifest, parse_manifest(*manifest));
  TRY_DO(read_json_migrations(bundle, document));
  TRY_DO(read_json_samples(bundle, document));
  return bundle;
}

json::Value bundle_to_json(const Bundle& bundle) {
  json::Array migrations;
  for (const PackMigration& migration : bundle.migrations) {
    json::Value item;
    item.set("name", migration.name);
    item.set("sql", migration.sql);
    migrations.push_back(std::move(item));
  }
  json::Array samples;
  for (const SampleData& sample : bundle.samples) {
    json::Value item;
    item.set("resource", sample.resource);
    item.set("csv", sample.csv);
    samples.push_back(std::move(item));
  }
  json::Value document;
  document.set("manifest", bundle.manifest_document);
  document.set("migrations", std::move(migrations));
  document.set("samples", std::move(samples));
  return document;
}

}  // namespace rowhouse::tenancy
