#include "objects/object_uploads.h"

#include <utility>

#include "base/text.h"
#include "objects/object_service.h"

namespace rowhouse::objects {
namespace {

constexpr int kMaxListedUploads = 1'000;

Error no_upload() { return Error(ErrorCode::not_found, "there is no such upload"); }

constexpr std::int64_t upload_life_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(kUploadLife).count();
}

PartRules rules_of(const storage::ObjectStore& store) {
  PartRules rules;
  rules.min_bytes = store.min_part_bytes();
  rules.alignment = store.part_alignment();
  rules.parallel = store.parallel_parts();
  return rules;
}

// What would make the store refuse, in words that say what to do.
Result<std::uint64_t> check_parts(const std::vector<PartRow>& rows, const WriteRow& write,
                                  const PartRules& rules) {
  Error error(ErrorCode::validation_failed, "the upload is not complete");
  if (rows.empty()) return std::move(error).with_field("/parts", "there are none yet");
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const UploadPart& part = rows[i].part;
    const int number = static_cast<int>(i) + 1;
    const std::string path = "/parts/" + std::to_string(number);
    if (part.number != number) return std::move(error).with_field(path, "has not arrived");
    const bool last = i + 1 == rows.size();
    bytes += part.bytes;
    if (last) break;
    if (part.bytes != rows[0].part.bytes) {
      return std::move(error).with_field(path, "all parts but the last must have one size");
    }
    if (part.bytes < rules.min_bytes || part.bytes % rules.alignment != 0) {
      return std::move(error).with_field(path, "must have at least " + std::to_string(rules.min_bytes) +
                                                   " bytes, a multiple of " +
                                                   std::to_string(rules.alignment));
    }
  }
  if (write.upload.declared && *write.upload.declared != bytes) {
    return std::move(error).with_field("/parts", "they have " + std::to_string(bytes) + " bytes; " +
                                                     std::to_string(*write.upload.declared) +
                                                     " were announced");
  }
  return bytes;
}

// Reads an object once through. For stores that cannot tell the checksum of what came in parts.
Task<Result<std::string>> read_sha256(storage::ObjectStore& store, std::string name, CallOptions options) {
  CO_TRY(const auto download, co_await store.get(std::move(name), std::nullopt, options));
  crypto::Sha256 hash;
  while (true) {
    CO_TRY(const auto piece, co_await download->next(options));
    if (!piece) break;
    hash.update(*piece);
  }
  co_return to_hex(hash.finish());
}

}  // namespace

Task<Result<WriteRow>> ObjectUploads::row_of(const Context& context, std::string id, CallOptions options) {
  if (id.size() != kVersionCharacters) co_return no_upload();
  CO_TRY(auto row, co_await rows_.find_upload(context, std::move(id), options));
  if (!row) co_return no_upload();
  co_return std::move(*row);
}

Task<Result<BegunUpload>> ObjectUploads::begin(const Context& context, NewObject object,
                                               std::optional<std::uint64_t> declared, CallOptions options) {
  CO_TRY_DO(check_new_object(object));
  CO_TRY(TenantStore store, co_await stores_.open(context, options));
  NewWrite write;
  write.id = writes_.new_version();
  write.key = object.key;
  write.content_type = object.content_type;
  write.reserved = declared.value_or(0);
  write.declared = declared;
  write.sha256 = object.sha256;
  write.kind = NewWrite::Kind::resumable;
  write.lease_s = upload_life_s();
  const std::string id = write.id;
  CO_TRY_DO(co_await writes_.begin(context, store, std::move(write), options));
  storage::PutOptions put_options;
  put_options.content_type = object.content_type;
  std::string name = store_key(object.key, id);
  auto upload = co_await store.store->begin_upload(std::move(name), std::move(put_options), options);
  Result<void> kept;
  if (upload.ok()) {
    kept = co_await rows_.set_upload(context, id, *upload, options);
  } else {
    kept = std::move(upload).error();
  }
  if (!kept.ok()) {
    co_await writes_.abandon(context, id);
    co_return std::move(kept).error();
  }
  co_return co_await find(context, id, options);
}

Task<Result<BegunUpload>> ObjectUploads::find(const Context& context, std::string id, CallOptions options) {
  CO_TRY(auto row, co_await row_of(context, id, options));
  CO_TRY(const TenantStore store, co_await stores_.open_number(context, row.store, options));
  CO_TRY(auto parts, co_await rows_.parts(context, std::move(id), options));
  BegunUpload found;
  found.rules = rules_of(*store.store);
  found.upload = std::move(row.upload);
  for (PartRow& part : parts) found.upload.parts.push_back(std::move(part.part));
  co_return found;
}

Task<Result<std::vector<Upload>>> ObjectUploads::list(const Context& context, CallOptions options) {
  co_return co_await rows_.list_uploads(context, kMaxListedUploads, options);
}

Task<Result<UploadPart>> ObjectUploads::put_part(const Context& context, std::string id, UploadPart part,
                                                 net::BodyReader& body, CallOptions options) {
  if (part.number < 1 || part.number > storage::kMaxParts) {
    co_return Error(ErrorCode::invalid_parameter,
                    "the number of a part is 1 to " + std::to_string(storage::kMaxParts));
  }
  if (part.bytes == 0) co_return Error(ErrorCode::invalid_parameter, "a part has at least one byte");
  CO_TRY(const auto row, co_await row_of(context, id, options));
  CO_TRY(const TenantStore store, co_await stores_.open_number(context, row.store, options));
  const std::int64_t limit = storage_limit(context.plan());
  CO_TRY(const auto place, co_await rows_.reserve_part(context, id, part, limit, upload_life_s(), options));
  using Place = ObjectRows::PartPlace;
  if (place == Place::gone) co_return no_upload();
  if (place == Place::over_limit) co_return co_await writes_.over_quota(context, part.bytes, options);
  if (place == Place::over_declared) {
    co_return Error(ErrorCode::validation_failed, "the upload is longer than was announced when it began");
  }
  CheckedBody source(body, part.bytes, part.sha256);
  std::string name = store_key(row.upload.key, id);
  CO_TRY(auto stored, co_await store.store->put_part(std::move(name), row.store_upload, part.number,
                                                     part.bytes, source, options));
  part.sha256 = source.sha256();
  PartRow arrived;
  arrived.part = part;
  arrived.etag = std::move(stored.etag);
  CO_TRY_DO(co_await rows_.record_part(context, std::move(id), std::move(arrived), options));
  co_return part;
}

// An answer that was lost in between: then the upload is gone, and the object is there.
Task<Result<storage::ObjectInfo>> ObjectUploads::complete_in_store(storage::ObjectStore& store,
                                                                   const WriteRow& row,
                                                                   std::vector<storage::Part> parts,
                                                                   std::uint64_t bytes, CallOptions options) {
  const std::string name = store_key(row.upload.key, row.upload.id);
  auto completed = co_await store.complete_upload(name, row.store_upload, std::move(parts), options);
  if (completed.ok() || completed.error().code != ErrorCode::not_found) co_return completed;
  auto there = co_await store.stat(name, options);
  if (there.ok() && there->bytes == bytes) co_return there;
  co_return completed;
}

Task<Result<StoredObject>> ObjectUploads::complete(const Context& context, std::string id, std::string sha256,
                                                   WriteCondition condition, CallOptions options) {
  CO_TRY(const auto row, co_await row_of(context, id, options));
  CO_TRY(const TenantStore store, co_await stores_.open_number(context, row.store, options));
  CO_TRY(const auto arrived, co_await rows_.parts(context, id, options));
  const PartRules rules = rules_of(*store.store);
  CO_TRY(const std::uint64_t bytes, check_parts(arrived, row, rules));
  std::vector<storage::Part> parts;
  for (const PartRow& part : arrived) {
    storage::Part known;
    known.number = part.part.number;
    known.etag = part.etag;
    known.bytes = part.part.bytes;
    parts.push_back(std::move(known));
  }
  CO_TRY(const auto info, co_await complete_in_store(*store.store, row, std::move(parts), bytes, options));
  ObjectWrites::Finished finished;
  finished.content.sha256 = info.sha256;
  if (sha256.empty()) sha256 = row.sha256;
  if (!sha256.empty()) {
    if (finished.content.sha256.empty()) {
      std::string name = store_key(row.upload.key, id);
      CO_TRY(finished.content.sha256, co_await read_sha256(*store.store, std::move(name), options));
    }
    auto same = check_sha256(sha256, finished.content.sha256);
    if (!same.ok()) {
      co_await writes_.abandon(context, std::move(id));
      co_return std::move(same).error();
    }
  }
  finished.id = id;
  finished.store = row.store;
  finished.key = row.upload.key;
  finished.content.bytes = bytes;
  finished.content.content_type = row.upload.content_type;
  finished.condition = std::move(condition);
  co_return co_await writes_.commit(context, std::move(finished), options);
}

Task<Result<void>> ObjectUploads::abort(const Context& context, std::string id, CallOptions options) {
  CO_TRY_DO(co_await row_of(context, id, options));
  co_await writes_.abandon(context, std::move(id));
  co_return Result<void>();
}

}  // namespace rowhouse::objects
