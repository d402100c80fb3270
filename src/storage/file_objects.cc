#include "storage/file_objects.h"

#include <fmt/format.h>

#include <set>

#include "base/text.h"
#include "storage/blocking_store.h"
#include "storage/file_paths.h"

namespace rowhouse::storage {

namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr int kMaxPublishTries = 10;
constexpr std::size_t kSweepBatch = 1'000;
constexpr std::size_t kMaxMetadataBytes = 4'096;

std::string join(std::string_view folder, std::string_view name) {
  return folder.empty() ? std::string(name) : fmt::format("{}/{}", folder, name);
}

std::string to_text(const FileMetadata& metadata) {
  json::Value value;
  value.set("sha256", metadata.sha256);
  value.set("content_type", metadata.content_type);
  return json::serialize(value);
}

// What cannot be read is as good as nothing: the object itself is whole.
FileMetadata from_text(const std::string& text) {
  FileMetadata metadata;
  const auto value = json::parse(text);
  if (!value.ok()) return metadata;
  const auto member = [&](std::string_view name) {
    const json::Value* found = value.value().find(name);
    return found == nullptr || found->as_string() == nullptr ? std::string() : *found->as_string();
  };
  metadata.sha256 = member("sha256");
  metadata.content_type = member("content_type");
  return metadata;
}

template <class T>
bool is_missing(const Result<T>& result) {
  return !result.ok() && result.error().code == ErrorCode::not_found;
}

// Written before the object has its name: metadata that is not there is worse than some that is left over.
Result<void> keep_metadata(FileSystem& files, const FileLayout& layout, const FileWriting& writing,
                           const std::string& path, const FileInfo& info, const FileMetadata& metadata) {
  const std::string text = to_text(metadata);
  if (files.has_attributes()) return files.set_attribute(writing.temporary, text);
  const std::string beside = layout.metadata(path, info);
  auto written = write_file(files, beside, text);
  for (int i = 1; is_missing(written) && i < kMaxPublishTries; ++i) {
    TRY_DO(make_folders(files, layout, parent_of(beside)));
    written = write_file(files, beside, text);
  }
  if (!written.ok() && written.error().code == ErrorCode::conflict) {
    TRY_DO(files.remove(beside));  // of a try that ended in the middle
    written = write_file(files, beside, text);
  }
  return written;
}

Result<void> ignore_missing(Result<void> result) {
  if (is_missing(result)) return {};
  return result;
}

// A store that is empty leaves nothing behind. Whoever needs one of these folders makes it again.
void remove_own_folders(FileSystem& files, const FileLayout& layout) {
  for (const std::string_view name : {".rowhouse-meta", ".rowhouse-tmp", ".rowhouse-uploads"}) {
    static_cast<void>(files.remove_folder(layout.own_folder(name)).ok());
  }
}

// Folders of other puts may come and go in the meantime.
Result<void> publish_file(FileSystem& files, const FileLayout& layout, const std::string& from,
                          const std::string& to, FileSystem::Replace replace) {
  for (int i = 1;; ++i) {
    auto published = files.publish(from, to, replace);
    if (published.ok() || published.error().code != ErrorCode::not_found || i == kMaxPublishTries) {
      return published;
    }
    TRY_DO(files.stat(from));  // not the temporary itself
    TRY_DO(make_folders(files, layout, parent_of(to)));
  }
}

}  // namespace

FileLayout::FileLayout(std::string prefix) : prefix_(std::move(prefix)) {
  if (!prefix_.empty()) base_ = path_of_folder(std::string_view(prefix_).substr(0, prefix_.size() - 1));
}
std::string FileLayout::object(std::string_view key) const {
  return path_of_key(fmt::format("{}{}", prefix_, key));
}
std::string FileLayout::own_folder(std::string_view name) const { return join(base_, name); }
std::string FileLayout::temporary(std::string_view id) const { return join(own_folder(".rowhouse-tmp"), id); }
std::string FileLayout::upload(std::string_view id) const {
  return join(own_folder(".rowhouse-uploads"), id);
}
std::string FileLayout::metadata(const std::string& object_path, const FileInfo& info) const {
  const std::string hash = to_hex(crypto::sha256(object_path)).substr(0, 32);
  return fmt::format("{}/{}/{}-{:x}-{:x}", own_folder(".rowhouse-meta"), hash.substr(0, 2), hash,
                     info.modified_ns, info.bytes);
}

std::string new_file_id() { return to_hex(crypto::random_bytes(16)); }
bool is_file_id(std::string_view text) { return text.size() == 32 && from_hex(text).has_value(); }

Result<void> make_folders(FileSystem& files, const FileLayout& layout, std::string_view path) {
  if (path.empty()) return {};
  const std::string folder(path);
  auto made = files.make_folder(folder);
  // The one above may be removed again at once, by somebody who finds it empty.
  for (int i = 1; is_missing(made) && i < kMaxPublishTries; ++i) {
    TRY_DO(make_folders(files, layout, parent_of(path)));
    made = files.make_folder(folder);
  }
  if (!made.ok() && made.error().code == ErrorCode::conflict) return {};
  return made;
}

Result<void> begin_file(FileSystem& files, const FileLayout& layout, FileWriting& writing) {
  writing.temporary = layout.temporary(new_file_id());
  auto file = files.create(writing.temporary);
  for (int i = 1; is_missing(file) && i < kMaxPublishTries; ++i) {
    TRY_DO(make_folders(files, layout, parent_of(writing.temporary)));
    file = files.create(writing.temporary);
  }
  TRY(writing.file, std::move(file));
  return {};
}

Result<void> write_piece(FileWriting& writing, std::string_view piece) {
  TRY_DO(writing.file->write(writing.bytes, piece));
  writing.bytes += piece.size();
  writing.hash.update(piece);
  return {};
}

Result<void> end_file(FileWriting& writing, const std::string& expected) {
  writing.sha256 = to_hex(writing.hash.finish());
  if (!expected.empty() && to_lower_ascii(expected) != writing.sha256) {
    return Error(ErrorCode::checksum_mismatch, "the content does not have the SHA-256 that was announced");
  }
  return writing.file->finish();
}

Result<void> write_file(FileSystem& files, const std::string& path, const std::string& text) {
  TRY(const auto file, files.create(path));
  TRY_DO(file->write(0, text));
  return file->finish();
}

Result<std::string> read_file(FileSystem& files, const std::string& path, std::size_t max_bytes) {
  TRY(const auto file, files.open(path));
  return file->read(0, max_bytes);
}

Error read_back_failed() {
  return Error(ErrorCode::checksum_mismatch, "the storage gave other bytes back than it had been sent");
}

Result<void> read_back(FileSystem& files, const FileWriting& writing) {
  TRY(const std::string text, read_file(files, writing.temporary, writing.bytes + 1));
  if (to_hex(crypto::sha256(text)) != writing.sha256) return read_back_failed();
  return {};
}

ObjectInfo object_info(std::string key, const FileInfo& info) {
  ObjectInfo object;
  object.key = std::move(key);
  object.bytes = info.bytes;
  object.etag = fmt::format("{:x}-{:x}-{:x}", info.id, info.modified_ns, info.bytes);
  object.modified_ms = info.modified_ns / kNsPerMs;
  return object;
}

Result<ObjectInfo> publish_object(FileSystem& files, const FileLayout& layout, const FileWriting& writing,
                                  const std::string& key, const PutOptions& put_options) {
  const std::string path = layout.object(key);
  FileMetadata metadata;
  metadata.sha256 = writing.sha256;
  metadata.content_type = put_options.content_type;
  TRY(const FileInfo info, files.stat(writing.temporary));
  TRY_DO(keep_metadata(files, layout, writing, path, info, metadata));
  const bool absent = put_options.condition == PutCondition::absent;
  auto replace = absent ? FileSystem::Replace::no : FileSystem::Replace::yes;
  std::string outdated;  // metadata of what is replaced
  if (!files.has_attributes()) {
    const auto before = files.stat(path);
    if (before.ok()) outdated = layout.metadata(path, before.value());
    if (is_missing(before) && !absent) replace = FileSystem::Replace::unneeded;
  }
  const auto published = publish_file(files, layout, writing.temporary, path, replace);
  if (!published.ok()) {
    if (!files.has_attributes()) static_cast<void>(files.remove(layout.metadata(path, info)).ok());
    if (absent && published.error().code == ErrorCode::conflict) {
      return Error(ErrorCode::precondition_failed, "there is an object of that key already");
    }
    if (published.error().code == ErrorCode::not_found) {
      return Error(ErrorCode::storage_failed, "the object's file disappeared before it had its name");
    }
    return published.error();
  }
  if (!outdated.empty() && outdated != layout.metadata(path, info)) {
    static_cast<void>(files.remove(outdated).ok());
  }
  ObjectInfo object = object_info(key, info);
  object.sha256 = metadata.sha256;
  object.content_type = metadata.content_type;
  return object;
}

Result<ObjectInfo> stat_object(FileSystem& files, const FileLayout& layout, const std::string& key) {
  const std::string path = layout.object(key);
  TRY(const FileInfo info, files.stat(path));
  if (info.kind != FileInfo::Kind::file) return Error(ErrorCode::not_found, "there is no object of that key");
  ObjectInfo object = object_info(key, info);
  const auto text = files.has_attributes() ? files.attribute(path)
                                           : read_file(files, layout.metadata(path, info), kMaxMetadataBytes);
  if (text.ok()) {
    FileMetadata metadata = from_text(text.value());
    object.sha256 = std::move(metadata.sha256);
    object.content_type = std::move(metadata.content_type);
  }
  return object;
}

Result<void> remove_objects(FileSystem& files, const FileLayout& layout,
                            const std::vector<std::string>& keys) {
  std::set<std::string, std::greater<>> folders;  // the deeper ones of a branch first
  bool may_be_empty = false;                      // nothing is left where one of the keys began
  for (const std::string& key : keys) {
    const std::string path = layout.object(key);
    std::string beside;
    if (!files.has_attributes()) {
      const auto info = files.stat(path);
      if (info.ok()) beside = layout.metadata(path, info.value());
    }
    TRY_DO(ignore_missing(files.remove(path)));
    if (!beside.empty()) {
      static_cast<void>(files.remove(beside).ok());
      folders.emplace(parent_of(beside));
    }
    if (parent_of(path) == layout.base()) may_be_empty = true;
    for (std::string_view folder = parent_of(path); folder.size() > layout.base().size();
         folder = parent_of(folder)) {
      folders.emplace(folder);
    }
  }
  // Most are not empty; each attempt says so by itself.
  for (const std::string& folder : folders) {
    const auto removed = ignore_missing(files.remove_folder(folder));
    if (removed.ok() && parent_of(folder) == layout.base()) may_be_empty = true;
  }
  if (may_be_empty) remove_own_folders(files, layout);
  return {};
}

Result<void> remove_flat_folder(FileSystem& files, const std::string& path) {
  for (;;) {
    TRY(const auto entries, files.read_folder(path, "", kSweepBatch));
    for (const FolderEntry& entry : entries) TRY_DO(ignore_missing(files.remove(join(path, entry.name))));
    if (entries.empty()) break;
  }
  return ignore_missing(files.remove_folder(path));
}

void sweep(FileSystem& files, const FileLayout& layout, std::int64_t now_ms) {
  const std::string temporaries = layout.own_folder(".rowhouse-tmp");
  if (const auto entries = files.read_folder(temporaries, "", kSweepBatch); entries.ok()) {
    for (const FolderEntry& entry : entries.value()) {
      if (entry.info.modified_ns / kNsPerMs + kTemporaryLifetimeMs >= now_ms) continue;
      static_cast<void>(files.remove(join(temporaries, entry.name)).ok());
    }
  }
  const std::string uploads = layout.own_folder(".rowhouse-uploads");
  if (const auto entries = files.read_folder(uploads, "", kSweepBatch); entries.ok()) {
    for (const FolderEntry& entry : entries.value()) {
      if (entry.info.modified_ns / kNsPerMs + 7 * kTemporaryLifetimeMs >= now_ms) continue;
      static_cast<void>(remove_flat_folder(files, join(uploads, entry.name)).ok());
    }
  }
}

}  // namespace rowhouse::storage
