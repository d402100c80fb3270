// ObjectService::put() and its ways: in one piece out of memory, in one piece as it streams, in parts.
#include <algorithm>
#include <utility>

#include "base/text.h"
#include "objects/content.h"
#include "objects/object_service.h"
#include "objects/write_lease.h"

namespace rowhouse::objects {
namespace {

// Up to here a body is read before anything is reserved: a slow client holds no reservation then, and the
// checksum is known before the store is asked.
constexpr std::uint64_t kInMemoryBytes = 256U << 10;
constexpr std::uint64_t kStepBytes = 8U << 20;  // a part that every store takes

storage::PutOptions put_options_of(const NewObject& object) {
  storage::PutOptions options;
  options.content_type = object.content_type;
  options.sha256 = object.sha256;
  return options;
}

NewWrite write_of(const NewObject& object, std::string id, std::uint64_t reserved) {
  NewWrite write;
  write.id = std::move(id);
  write.key = object.key;
  write.content_type = object.content_type;
  write.reserved = reserved;
  write.lease_s = kLeaseTime.count();
  return write;
}

}  // namespace

// What would be refused at the end is refused before the body is sent, where that can be known.
Task<Result<void>> ObjectService::check_early(const Context& context, const NewObject& object,
                                              CallOptions options) {
  CO_TRY_DO(check_new_object(object));
  using Kind = WriteCondition::Kind;
  if (object.condition.kind == Kind::none) co_return Result<void>();
  CO_TRY(const auto found, co_await rows_.find(context, object.key, options));
  const bool holds =
      object.condition.kind == Kind::absent ? !found : found && found->version == object.condition.version;
  if (holds) co_return Result<void>();
  co_return Error(ErrorCode::precondition_failed, "the object is not as the request says it must be");
}

Task<Result<StoredObject>> ObjectService::put(const Context& context, NewObject object,
                                              std::optional<std::uint64_t> bytes, net::BodyReader& body,
                                              CallOptions options) {
  CO_TRY_DO(co_await check_early(context, object, options));
  CO_TRY(auto store, co_await stores_.open(context, options));
  if (!bytes) co_return co_await put_unknown(context, std::move(store), std::move(object), body, options);
  if (*bytes > kInMemoryBytes) {
    co_return co_await put_stream(context, std::move(store), std::move(object), *bytes, body, options);
  }
  CheckedBody source(body, *bytes, object.sha256);
  std::string text;
  text.reserve(*bytes);
  while (true) {
    CO_TRY(const auto piece, co_await source.next());
    if (!piece) break;
    text += *piece;
  }
  std::string sha256 = source.sha256();
  co_return co_await put_text(context, std::move(store), std::move(object), std::move(text),
                              std::move(sha256), options);
}

Task<Result<StoredObject>> ObjectService::put_text(const Context& context, Store store, NewObject object,
                                                   std::string text, std::string sha256,
                                                   CallOptions options) {
  const std::string id = writes_.new_version();
  NewWrite write = write_of(object, id, text.size());
  CO_TRY_DO(co_await writes_.begin(context, store, std::move(write), options));
  WriteLease lease(executor_, options, [this, &context, &id](CallOptions renewal) {
    return rows_.renew(context, id, kLeaseTime.count(), renewal);
  });
  object.sha256 = sha256;
  TextSource source(text);
  storage::PutOptions put_options = put_options_of(object);
  std::string name = store_key(object.key, id);
  auto info = co_await store.store->put(std::move(name), text.size(), source, std::move(put_options),
                                        lease.options());
  co_await lease.stop();
  Content content;
  content.bytes = text.size();
  content.sha256 = std::move(sha256);
  content.content_type = object.content_type;
  Result<Content> done(std::move(content));
  if (!info.ok()) done = std::move(info).error();
  co_return co_await finish(context, std::move(store), id, std::move(object), std::move(done), options);
}

Task<Result<StoredObject>> ObjectService::put_stream(const Context& context, Store store, NewObject object,
                                                     std::uint64_t bytes, net::BodyReader& body,
                                                     CallOptions options) {
  const std::string id = writes_.new_version();
  NewWrite write = write_of(object, id, bytes);
  CO_TRY_DO(co_await writes_.begin(context, store, std::move(write), options));
  WriteLease lease(executor_, options, [this, &context, &id](CallOptions renewal) {
    return rows_.renew(context, id, kLeaseTime.count(), renewal);
  });
  Result<Content> done(Content{});
  if (bytes > kMaxOnePutBytes) {
    done = co_await send_parts(context, store, id, object, bytes, body, lease.options());
  } else {
    CheckedBody source(body, bytes, object.sha256);
    storage::PutOptions put_options = put_options_of(object);
    std::string name = store_key(object.key, id);
    auto info =
        co_await store.store->put(std::move(name), bytes, source, std::move(put_options), lease.options());
    if (info.ok()) {
      done->bytes = bytes;
      done->sha256 = source.sha256();
      done->content_type = object.content_type;
    } else {
      done = std::move(info).error();
    }
  }
  co_await lease.stop();
  co_return co_await finish(context, std::move(store), id, std::move(object), std::move(done), options);
}

Task<Result<Content>> ObjectService::send_parts(const Context& context, Store store, std::string id,
                                                NewObject object, std::uint64_t bytes, net::BodyReader& body,
                                                CallOptions options) {
  const std::string name = store_key(object.key, id);
  storage::PutOptions put_options = put_options_of(object);
  CO_TRY(const std::string upload, co_await store.store->begin_upload(name, std::move(put_options), options));
  CO_TRY_DO(co_await rows_.set_upload(context, id, upload, options));
  const std::uint64_t part_bytes = part_bytes_of(bytes, *store.store);
  CheckedBody whole(body, bytes, object.sha256);
  SlicedSource source(whole);
  std::vector<storage::Part> parts;
  for (std::uint64_t sent = 0; sent < bytes;) {
    const std::uint64_t size = std::min(part_bytes, bytes - sent);
    const int number = static_cast<int>(parts.size()) + 1;
    source.begin_part(size);
    CO_TRY(auto part, co_await store.store->put_part(name, upload, number, size, source, options));
    parts.push_back(std::move(part));
    sent += size;
  }
  CO_TRY_DO(co_await store.store->complete_upload(name, upload, std::move(parts), options));
  Content content;
  content.bytes = bytes;
  content.sha256 = whole.sha256();
  content.content_type = object.content_type;
  co_return content;
}

Task<Result<StoredObject>> ObjectService::put_unknown(const Context& context, Store store, NewObject object,
                                                      net::BodyReader& body, CallOptions options) {
  // The same for every store, for the tenant may have moved to another one when the first part is there.
  const auto part_bytes = static_cast<std::size_t>(kStepBytes);
  BodyParts parts(body);
  std::string first;
  CO_TRY_DO(co_await parts.fill(first, part_bytes));
  if (parts.at_end()) {
    std::string sha256 = parts.finish_sha256();
    CO_TRY_DO(check_sha256(object.sha256, sha256));
    co_return co_await put_text(context, std::move(store), std::move(object), std::move(first),
                                std::move(sha256), options);
  }
  const std::string id = writes_.new_version();
  NewWrite write = write_of(object, id, first.size());
  CO_TRY_DO(co_await writes_.begin(context, store, std::move(write), options));
  WriteLease lease(executor_, options, [this, &context, &id](CallOptions renewal) {
    return rows_.renew(context, id, kLeaseTime.count(), renewal);
  });
  auto done =
      co_await send_unknown(context, store, id, object, std::move(first), parts, part_bytes, lease.options());
  co_await lease.stop();
  co_return co_await finish(context, std::move(store), id, std::move(object), std::move(done), options);
}

Task<Result<Content>> ObjectService::send_unknown(const Context& context, Store store, std::string id,
                                                  NewObject object, std::string first, BodyParts& body,
                                                  std::size_t part_bytes, CallOptions options) {
  const std::string name = store_key(object.key, id);
  storage::PutOptions put_options = put_options_of(object);
  put_options.sha256.clear();  // compared here, before the upload is completed
  CO_TRY(const std::string upload, co_await store.store->begin_upload(name, std::move(put_options), options));
  CO_TRY_DO(co_await rows_.set_upload(context, id, upload, options));
  std::vector<storage::Part> parts;
  std::string text = std::move(first);  // reserved already
  std::uint64_t bytes = 0;
  while (!text.empty()) {
    const int number = static_cast<int>(parts.size()) + 1;
    if (number > storage::kMaxParts) {
      co_return Error(ErrorCode::body_too_large,
                      "a body of unknown length ends after 10,000 parts; send Content-Length");
    }
    if (number > 1) CO_TRY_DO(co_await writes_.grow(context, id, text.size(), options));
    TextSource source(text);
    CO_TRY(auto part, co_await store.store->put_part(name, upload, number, text.size(), source, options));
    parts.push_back(std::move(part));
    bytes += text.size();
    text.clear();
    if (!body.at_end()) CO_TRY_DO(co_await body.fill(text, part_bytes));
  }
  Content content;
  content.bytes = bytes;
  content.sha256 = body.finish_sha256();
  content.content_type = object.content_type;
  CO_TRY_DO(check_sha256(object.sha256, content.sha256));
  CO_TRY_DO(co_await store.store->complete_upload(name, upload, std::move(parts), options));
  co_return content;
}

Task<Result<StoredObject>> ObjectService::finish(const Context& context, Store store, std::string id,
                                                 NewObject object, Result<Content> content,
                                                 CallOptions options) {
  if (!content.ok()) {
    co_await writes_.abandon(context, std::move(id));
    co_return std::move(content).error();
  }
  ObjectWrites::Finished finished;
  finished.id = std::move(id);
  finished.store = store.number;
  finished.key = std::move(object.key);
  finished.content = std::move(*content);
  finished.condition = std::move(object.condition);
  co_return co_await writes_.commit(context, std::move(finished), options);
}

}  // namespace rowhouse::objects
