#include "objects/object_service.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "objects/store_transfer.h"
#include "objects/write_lease.h"

namespace rowhouse::objects {
namespace {

constexpr std::size_t kSha256Digits = 64;

Error no_object() { return Error(ErrorCode::not_found, "there is no object with this key"); }

Error condition_failed() {
  return Error(ErrorCode::precondition_failed, "the object is not as the request says it must be");
}

Error fault_of(const char* path, std::string what) {
  return Error(ErrorCode::validation_failed, "the object is not valid").with_field(path, std::move(what));
}

}  // namespace

Result<void> check_object_key(std::string_view key) {
  if (key.size() > kMaxObjectKeyBytes) {
    return fault_of("/key", "must be at most " + std::to_string(kMaxObjectKeyBytes) + " bytes");
  }
  return storage::check_key(key);
}

Result<void> check_new_object(const NewObject& object) {
  TRY_DO(check_object_key(object.key));
  const std::string& type = object.content_type;
  const bool printable = std::all_of(type.begin(), type.end(), [](char c) { return c >= ' ' && c < '\x7f'; });
  if (type.empty() || type.size() > kMaxContentTypeBytes || !printable) {
    return fault_of("/content_type",
                    "must be 1 to " + std::to_string(kMaxContentTypeBytes) + " printable ASCII characters");
  }
  const bool checksum =
      object.sha256.empty() || (object.sha256.size() == kSha256Digits && from_hex(object.sha256).has_value());
  if (!checksum) return fault_of("/sha256", "must be 64 hexadecimal digits");
  return {};
}

ObjectService::ObjectService(net::Executor& executor, session::TenantDatabase& database, StoreSource& stores,
                             observe::Log& log, const Clock& clock)
    : executor_(executor),
      stores_(stores),
      rows_(database),
      writes_(executor, rows_, stores, log, clock),
      uploads_(rows_, writes_, stores) {}

Task<Result<Object>> ObjectService::stat(const Context& context, std::string key, CallOptions options) {
  CO_TRY_DO(check_object_key(key));
  CO_TRY(auto found, co_await rows_.find(context, std::move(key), options));
  if (!found) co_return no_object();
  co_return std::move(*found);
}

Task<Result<OpenObject>> ObjectService::open(const Context& context, Object object,
                                             std::optional<storage::ByteRange> range, CallOptions options) {
  OpenObject opened;
  CO_TRY(auto found, co_await stores_.open_number(context, object.store, options));
  opened.store = std::move(found.store);
  std::string name = store_key(object.key, object.version);
  CO_TRY(opened.download, co_await opened.store->get(std::move(name), range, options));
  opened.object = std::move(object);
  co_return opened;
}

Task<Result<ObjectPage>> ObjectService::list(const Context& context, ListObjects request,
                                             CallOptions options) {
  const bool usable = request.prefix.size() <= kMaxObjectKeyBytes && is_valid_utf8(request.prefix) &&
                      request.prefix.find('\0') == std::string::npos;
  if (!usable) {
    co_return Error(ErrorCode::invalid_parameter,
                    "prefix must be at most " + std::to_string(kMaxObjectKeyBytes) + " bytes of UTF-8");
  }
  request.limit = std::clamp(request.limit, 1, storage::kMaxListLimit);
  co_return co_await rows_.list(context, std::move(request), options);
}

Task<Result<Usage>> ObjectService::usage(const Context& context, CallOptions options) {
  CO_TRY(Usage usage, co_await rows_.usage(context, options));
  usage.limit = storage_limit(context.plan());
  co_return usage;
}

Task<Result<void>> ObjectService::remove(const Context& context, std::string key, std::string version,
                                         CallOptions options) {
  CO_TRY_DO(check_object_key(key));
  const bool conditional = !version.empty();
  std::vector<std::string> keys;
  keys.push_back(key);
  CO_TRY_DO(co_await stores_.open(context, options));  // says so where there is none
  CO_TRY(auto garbage, co_await rows_.remove(context, std::move(keys), std::move(version), options));
  if (garbage.empty() && conditional) {
    CO_TRY(const auto found, co_await rows_.find(context, std::move(key), options));
    if (found) co_return condition_failed();
  }
  if (garbage.empty()) co_return no_object();
  writes_.remove_soon(context, std::move(garbage));
  co_return Result<void>();
}

Task<Result<std::size_t>> ObjectService::remove_many(const Context& context, std::vector<std::string> keys,
                                                     CallOptions options) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto checked = check_object_key(keys[i]);
    if (checked.ok()) continue;
    Error error = fault_of(("/keys/" + std::to_string(i)).c_str(), "is no key of an object");
    co_return error;
  }
  CO_TRY_DO(co_await stores_.open(context, options));
  CO_TRY(auto garbage, co_await rows_.remove(context, std::move(keys), std::string(), options));
  const std::size_t count = garbage.size();
  if (count > 0) writes_.remove_soon(context, std::move(garbage));
  co_return count;
}

Task<Result<StoredObject>> ObjectService::copy(const Context& context, std::string from, std::string to,
                                               WriteCondition condition, CallOptions options) {
  CO_TRY(const Object source, co_await stat(context, std::move(from), options));
  NewObject object;
  object.key = std::move(to);
  object.content_type = source.content_type;
  object.condition = std::move(condition);
  CO_TRY_DO(co_await check_early(context, object, options));
  CO_TRY(TenantStore store, co_await stores_.open(context, options));
  NewWrite write;
  write.id = writes_.new_version();
  write.key = object.key;
  write.content_type = object.content_type;
  write.reserved = source.bytes;
  write.lease_s = kLeaseTime.count();
  const std::string id = write.id;
  CO_TRY_DO(co_await writes_.begin(context, store, std::move(write), options));
  WriteLease lease(executor_, options, [this, &context, &id](CallOptions renewal) {
    return rows_.renew(context, id, kLeaseTime.count(), renewal);
  });
  std::string name = store_key(object.key, id);
  auto copied = co_await copy_bytes(context, source, store, std::move(name), id, lease.options());
  co_await lease.stop();
  Content content;
  content.bytes = source.bytes;
  content.sha256 = source.sha256;
  content.content_type = source.content_type;
  Result<Content> done(std::move(content));
  if (!copied.ok()) done = std::move(copied).error();
  co_return co_await finish(context, store, id, std::move(object), std::move(done), options);
}

// Within one store by the provider; from the store that the tenant is leaving, through here.
Task<Result<void>> ObjectService::copy_bytes(const Context& context, Object source, Store target,
                                             std::string name, std::string id, CallOptions options) {
  std::string old_name = store_key(source.key, source.version);
  if (source.store == target.number) {
    CO_TRY_DO(co_await target.store->copy(std::move(old_name), std::move(name), options));
    co_return Result<void>();
  }
  CO_TRY(auto former, co_await stores_.open_number(context, source.store, options));
  StoreTransfer transfer;
  transfer.from = std::move(former.store);
  transfer.from_key = std::move(old_name);
  transfer.to = std::move(target.store);
  transfer.to_key = std::move(name);
  transfer.bytes = source.bytes;
  transfer.sha256 = source.sha256;
  transfer.content_type = source.content_type;
  transfer.note_upload = [this, &context, &id, options](std::string upload) {
    return rows_.set_upload(context, id, std::move(upload), options);
  };
  CO_TRY_DO(co_await run_transfer(std::move(transfer), options));
  co_return Result<void>();
}

Task<Result<std::optional<std::string>>> ObjectService::provider_link(const Context& context, std::string key,
                                                                      std::int64_t expires_in_s,
                                                                      std::string download_name,
                                                                      CallOptions options) {
  CO_TRY(const Object object, co_await stat(context, std::move(key), options));
  CO_TRY(const TenantStore opened, co_await stores_.open_number(context, object.store, options));
  storage::LinkRequest request;
  request.key = store_key(object.key, object.version);
  request.expires_in_s = expires_in_s;
  // The provider's name of it ends in a version; people get the one that they know.
  const std::size_t slash = object.key.rfind('/');
  request.download_name = object.key.substr(slash == std::string::npos ? 0 : slash + 1);
  if (!download_name.empty()) request.download_name = std::move(download_name);
  co_return opened.store->sign_link(request);
}

}  // namespace rowhouse::objects
