// Uploads in parts: each part is a file of its own, named by its number and its SHA-256.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "storage/blocking_store_impl.h"

namespace rowhouse::storage {

namespace {

constexpr std::size_t kMaxInfoBytes = 16'384;
constexpr std::size_t kListBatch = 1'000;

Error no_upload() { return Error(ErrorCode::not_found, "there is no upload of that name for this key"); }

std::string part_name(int number, std::string_view sha256) { return fmt::format("{:05}.{}", number, sha256); }

struct FoundPart {
  Part part;
  std::int64_t modified_ns = 0;
};

// nullopt: another file ("info").
std::optional<FoundPart> read_part(const FolderEntry& entry) {
  const std::string& name = entry.name;
  if (name.size() != 5 + 1 + 64 || name[5] != '.') return std::nullopt;
  const auto number = parse_int64(std::string_view(name).substr(0, 5));
  if (!number || *number < 1 || *number > kMaxParts) return std::nullopt;
  FoundPart found;
  found.part.number = static_cast<int>(*number);
  found.part.etag = name.substr(6);
  found.part.bytes = entry.info.bytes;
  found.modified_ns = entry.info.modified_ns;
  return found;
}

std::string to_text(const std::string& key, const PutOptions& put_options) {
  json::Value value;
  value.set("key", key);
  value.set("content_type", put_options.content_type);
  value.set("sha256", put_options.sha256);
  value.set("absent", put_options.condition == PutCondition::absent);
  return json::serialize(value);
}

Result<PutOptions> from_text(const std::string& key, const std::string& text) {
  const auto value = json::parse(text);
  const auto member = [&](std::string_view name) {
    const json::Value* found = value.ok() ? value.value().find(name) : nullptr;
    return found == nullptr || found->as_string() == nullptr ? std::string() : *found->as_string();
  };
  if (!value.ok() || member("key") != key) return no_upload();
  PutOptions put_options;
  put_options.content_type = member("content_type");
  put_options.sha256 = member("sha256");
  const json::Value* absent = value.value().find("absent");
  const bool is_absent = absent != nullptr && absent->as_bool() != nullptr && *absent->as_bool();
  put_options.condition = is_absent ? PutCondition::absent : PutCondition::none;
  return put_options;
}

// Of a part that was sent several times, the last.
Result<std::map<int, FoundPart>> read_parts(FileSystem& files, const std::string& folder) {
  std::map<int, FoundPart> parts;
  std::string cookie;
  for (;;) {
    TRY(const auto entries, files.read_folder(folder, cookie, kListBatch));
    for (const FolderEntry& entry : entries) {
      const auto found = read_part(entry);
      if (!found) continue;
      FoundPart& part = parts[found->part.number];
      if (part.part.number == 0 || part.modified_ns < found->modified_ns) part = *found;
    }
    if (entries.size() < kListBatch) return parts;
    cookie = entries.back().cookie;
  }
}

Result<void> check_parts(const std::vector<Part>& parts) {
  int last = 0;
  for (const Part& part : parts) {
    if (part.number <= last || part.number > kMaxParts || part.etag.size() != 64 || !from_hex(part.etag)) {
      return Error(ErrorCode::validation_failed, "the parts must be named in the order of their numbers")
          .with_field("/parts", "are not in the order of their numbers");
    }
    last = part.number;
  }
  if (parts.empty()) return Error(ErrorCode::validation_failed, "an upload has at least one part");
  return {};
}

}  // namespace

Task<Result<std::string>> BlockingStore::begin_upload(std::string key, PutOptions put_options,
                                                      CallOptions options) {
  CO_TRY_DO(check_key(key));
  const LaneUse use = lanes_.choose();
  std::string id = new_file_id();
  std::function<Result<void>(FileSystem&)> work = [this, &id, &key,
                                                   &put_options](FileSystem& files) -> Result<void> {
    TRY_DO(make_folders(files, layout_, layout_.upload(id)));
    return write_file(files, layout_.upload(id) + "/info", to_text(key, put_options));
  };
  CO_TRY_DO(co_await lanes_.call<void>(use.lane(), work, options));
  co_await sweep_sometimes(use.lane(), options);
  co_return id;
}

Task<Result<PutOptions>> BlockingStore::upload_info(Lane& lane, std::string key, std::string upload,
                                                    CallOptions options) {
  CO_TRY_DO(check_key(key));
  if (!is_file_id(upload)) co_return no_upload();
  std::function<Result<std::string>(FileSystem&)> work = [this, &upload](FileSystem& files) {
    return read_file(files, layout_.upload(upload) + "/info", kMaxInfoBytes);
  };
  const Result<std::string> text = co_await lanes_.call_again<std::string>(lane, work, options);
  if (!text.ok() && text.error().code == ErrorCode::not_found) co_return no_upload();
  if (!text.ok()) co_return text.error();
  co_return from_text(key, text.value());
}

Task<Result<Part>> BlockingStore::put_part(std::string key, std::string upload, int number,
                                           std::uint64_t bytes, ByteSource& source, CallOptions options) {
  if (number < 1 || number > kMaxParts) {
    co_return Error(ErrorCode::validation_failed, fmt::format("parts have numbers from 1 to {}", kMaxParts));
  }
  const LaneUse use = lanes_.choose();
  CO_TRY_DO(co_await upload_info(use.lane(), key, upload, options));
  FileWriting writing;
  Publish publish = [this, &writing, &upload, number](FileSystem& files) -> Result<ObjectInfo> {
    const std::string path = layout_.upload(upload) + "/" + part_name(number, writing.sha256);
    auto published = files.publish(writing.temporary, path, FileSystem::Replace::yes);
    if (!published.ok() && published.error().code == ErrorCode::not_found) return no_upload();
    if (!published.ok()) return published.error();
    return ObjectInfo();
  };
  const Result<ObjectInfo> put =
      co_await write_object(use.lane(), writing, bytes, source, std::string(), publish, options);
  if (!put.ok()) {
    co_await discard(use.lane(), writing);
    co_return put.error();
  }
  Part part;
  part.number = number;
  part.etag = writing.sha256;
  part.bytes = bytes;
  co_return part;
}

Task<Result<std::vector<Part>>> BlockingStore::list_parts(std::string key, std::string upload,
                                                          CallOptions options) {
  const LaneUse use = lanes_.choose();
  CO_TRY_DO(co_await upload_info(use.lane(), key, upload, options));
  using Found = std::map<int, FoundPart>;
  std::function<Result<Found>(FileSystem&)> work = [this, &upload](FileSystem& files) {
    return read_parts(files, layout_.upload(upload));
  };
  CO_TRY(const Found found, co_await lanes_.call_again<Found>(use.lane(), work, options));
  std::vector<Part> parts;
  for (const auto& [number, part] : found) parts.push_back(part.part);
  co_return parts;
}

Task<Result<void>> BlockingStore::append_part(Lane& lane, FileWriting& writing, std::string path, Part part,
                                              CallOptions options) {
  std::unique_ptr<OpenFile> file;
  std::uint64_t at = 0;
  crypto::Sha256 hash;
  bool at_end = false;
  std::function<Result<void>(FileSystem&)> step = [&](FileSystem& files) -> Result<void> {
    if (file == nullptr) {
      TRY(file, files.open(path));
    }
    TRY(const std::string piece, file->read(at, kStepBytes));
    if (writing.file == nullptr) TRY_DO(begin_file(files, layout_, writing));
    hash.update(piece);
    TRY_DO(write_piece(writing, piece));
    at += piece.size();
    at_end = piece.size() < kStepBytes;
    if (at_end) return file->finish();
    return {};
  };
  while (!at_end) {
    const Result<void> done = co_await lanes_.call<void>(lane, step, options);
    if (!done.ok() && done.error().code == ErrorCode::not_found) {
      co_return Error(ErrorCode::validation_failed, fmt::format("part {} has not arrived", part.number));
    }
    if (!done.ok()) co_return done.error();
  }
  if (to_hex(hash.finish()) != part.etag) {
    co_return Error(ErrorCode::checksum_mismatch, fmt::format("part {} is damaged", part.number));
  }
  co_return Result<void>();
}

Task<Result<void>> BlockingStore::join_parts(Lane& lane, FileWriting& writing, std::string folder,
                                             std::vector<Part> parts, CallOptions options) {
  for (const Part& part : parts) {
    const std::string path = folder + "/" + part_name(part.number, part.etag);
    CO_TRY_DO(co_await append_part(lane, writing, path, part, options));
  }
  co_return Result<void>();
}

Task<Result<ObjectInfo>> BlockingStore::complete_upload(std::string key, std::string upload,
                                                        std::vector<Part> parts, CallOptions options) {
  CO_TRY_DO(check_parts(parts));
  const LaneUse use = lanes_.choose();
  CO_TRY(const PutOptions put_options, co_await upload_info(use.lane(), key, upload, options));
  FileWriting writing;
  std::function<Result<void>(FileSystem&)> end = [&writing, &put_options](FileSystem&) {
    return end_file(writing, put_options.sha256);
  };
  std::function<Result<ObjectInfo>(FileSystem&)> publish = [&](FileSystem& files) {
    return publish_object(files, layout_, writing, key, put_options);
  };
  Result<void> written = co_await join_parts(use.lane(), writing, layout_.upload(upload), parts, options);
  if (written.ok()) written = co_await lanes_.call<void>(use.lane(), end, options);
  if (written.ok() && reads_back()) written = co_await verify(use.lane(), writing, options);
  Result<ObjectInfo> object = Error(ErrorCode::internal, "");
  if (written.ok()) {
    object = co_await lanes_.call_patiently<ObjectInfo>(use.lane(), publish, options);
  } else {
    object = written.error();
  }
  if (!object.ok()) {
    co_await discard(use.lane(), writing);
    co_return object;
  }
  // The object is there; parts that are left are swept.
  std::function<Result<void>(FileSystem&)> clear = [this, &upload](FileSystem& files) {
    return remove_flat_folder(files, layout_.upload(upload));
  };
  const Result<void> cleared = co_await lanes_.call_again<void>(use.lane(), clear, options);
  static_cast<void>(cleared.ok());
  co_return object;
}

Task<Result<void>> BlockingStore::abort_upload(std::string key, std::string upload, CallOptions options) {
  const LaneUse use = lanes_.choose();
  CO_TRY_DO(co_await upload_info(use.lane(), key, upload, options));
  std::function<Result<void>(FileSystem&)> work = [this, &upload](FileSystem& files) {
    return remove_flat_folder(files, layout_.upload(upload));
  };
  co_return co_await lanes_.call_again<void>(use.lane(), work, options);
}

}  // namespace rowhouse::storage
