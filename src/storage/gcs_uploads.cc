// Resumable uploads of Google Cloud Storage.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/gcs_store_impl.h"

namespace rowhouse::storage {
namespace {

constexpr std::uint64_t kAlignment = 256 * 1024;
constexpr int kResumeIncomplete = 308;
constexpr int kSessionCancelled = 499;
constexpr std::size_t kStateNameBytes = 16;
constexpr std::size_t kMaxRemembered = 256;  // uploads under way whose checksums are kept

// The upload's id would be too long for a key, and whoever sees it could send bytes.
std::string state_key(const std::string& upload_id) {
  return std::string(kUploadsFolder) + to_hex(crypto::sha256(upload_id).substr(0, kStateNameBytes));
}

// "bytes=0-524287" → 524,288; no header: nothing has arrived.
std::uint64_t persisted_of(std::string_view range) {
  const std::size_t dash = range.rfind('-');
  return dash == std::string_view::npos ? 0 : number_or_zero(range.substr(dash + 1)) + 1;
}

std::string part_etag(std::uint64_t first, std::uint64_t end) { return fmt::format("{}-{}", first, end); }

Error out_of_order() {
  return Error(ErrorCode::validation_failed, "this object storage takes parts in order and of one size");
}

}  // namespace

StoreRequest GcsStore::session_request(const UploadName& upload) const {
  StoreRequest request("PUT", upload_path());
  request.query = {{"uploadType", "resumable"}, {"upload_id", upload.id}};
  return request;
}

Task<Result<std::string>> GcsStore::begin_upload(std::string key, PutOptions put_options,
                                                 CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_put_options(put_options));
  json::Value metadata;
  metadata.set("name", full_key(key));
  metadata.set("contentType", put_options.content_type);
  if (!put_options.sha256.empty()) {
    json::Value own;
    own.set("sha256", put_options.sha256);
    metadata.set("metadata", std::move(own));
  }
  StoreRequest request("POST", upload_path());
  request.query = {{"uploadType", "resumable"}, {"name", full_key(key)}};
  if (put_options.condition == PutCondition::absent) request.query.emplace_back("ifGenerationMatch", "0");
  request.headers.emplace_back("Content-Type", "application/json; charset=UTF-8");
  request.headers.emplace_back("X-Upload-Content-Type", put_options.content_type);
  request.body = json::serialize(metadata);
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
  // Only the id is taken of the address: where requests go is not the answer's to say.
  const std::string_view location = answer.header("Location");
  UploadName name;
  name.condition = put_options.condition;
  name.sha256 = put_options.sha256;
  const std::size_t question = std::min(location.find('?'), location.size());
  for (const std::string_view parameter : split(location.substr(question), '&')) {
    const std::size_t at = parameter.find("upload_id=");
    if (at <= 1) name.id = percent_decode(parameter.substr(at + 10)).value_or("");
  }
  if (name.id.empty()) co_return provider_error(ErrorCode::storage_failed, "NoUploadId", answer.status);
  co_return name.text(key);
}

Task<Result<GcsStore::Session>> GcsStore::session_of(UploadName upload, CallOptions options) {
  StoreRequest request = session_request(upload);
  request.headers.emplace_back("Content-Range", "bytes */*");
  request.accept = {kResumeIncomplete};
  auto answer = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (!answer.ok()) {
    if (answer.error().detail("provider_status") == std::to_string(kSessionCancelled)) {
      co_return provider_error(ErrorCode::not_found, "", kSessionCancelled);
    }
    co_return std::move(answer).error();
  }
  Session session;
  if (answer->status == kResumeIncomplete) {
    session.persisted = persisted_of(answer->header("Range"));
  } else {
    CO_TRY(session.finished, json::parse(answer->body));
  }
  co_return session;
}

Task<Result<GcsStore::UploadState>> GcsStore::read_state(std::string upload_id, CallOptions options) {
  UploadState state;
  StoreRequest request("GET", object_path(state_key(upload_id)));
  request.query = {{"alt", "media"}};
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
  const auto parsed = json::parse(answer.body);
  const json::Value* part_bytes = parsed.ok() ? parsed->find("part_bytes") : nullptr;
  const json::Value* tail_part = parsed.ok() ? parsed->find("tail_part") : nullptr;
  const json::Value* tail = parsed.ok() ? parsed->find("tail") : nullptr;
  if (part_bytes == nullptr || tail_part == nullptr || tail == nullptr || tail->as_string() == nullptr) {
    co_return Error(ErrorCode::storage_failed, "the state of the upload in the object storage was changed");
  }
  state.part_bytes = static_cast<std::uint64_t>(part_bytes->as_int64().value_or(0));
  state.tail_part = static_cast<int>(tail_part->as_int64().value_or(0));
  state.tail = from_base64(*tail->as_string()).value_or("");
  co_return state;
}

Task<Result<void>> GcsStore::write_state(std::string upload_id, UploadState state, CallOptions options) {
  json::Value text;
  text.set("part_bytes", static_cast<std::int64_t>(state.part_bytes));
  text.set("tail_part", state.tail_part);
  text.set("tail", to_base64(state.tail));
  std::string body = json::serialize(text);
  const std::uint64_t bytes = body.size();
  TextSource source(std::move(body));
  PutOptions put_options;
  put_options.content_type = "application/json";
  CO_TRY_DO(co_await put(state_key(upload_id), bytes, source, put_options, options));
  co_return Result<void>();
}

Task<Result<void>> GcsStore::send_chunk(const UploadName& upload, std::uint64_t first, std::uint64_t end,
                                        net::TransferSource& source, CallOptions options) {
  StoreRequest request = session_request(upload);
  request.headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/*", first, end - 1));
  request.accept = {kResumeIncomplete};
  request.source = &source;
  request.source_bytes = end - first;
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::never, options));
  if (answer.status == kResumeIncomplete && persisted_of(answer.header("Range")) == end)
    co_return Result<void>();
  co_return provider_error(ErrorCode::storage_failed, "ChunkIncomplete", answer.status);
}

Task<Result<Part>> GcsStore::put_part(std::string key, std::string upload, int number, std::uint64_t bytes,
                                      ByteSource& source, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_part_number(number));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  UploadState state;
  state.part_bytes = bytes;
  if (number == 1) {
    CO_TRY_DO(co_await write_state(name.id, state, options));
  } else {
    CO_TRY(state, co_await read_state(name.id, options));
  }
  const std::uint64_t first = static_cast<std::uint64_t>(number - 1) * state.part_bytes;
  const std::uint64_t end = first + bytes;
  if (bytes > state.part_bytes || first % kAlignment != 0) co_return out_of_order();
  if (state.tail_part != 0 && state.tail_part != number) co_return out_of_order();
  CO_TRY(const Session session, co_await session_of(name, options));
  if (session.finished.has_value()) co_return provider_error(ErrorCode::not_found, "", kSessionCancelled);
  if (session.persisted < first) co_return out_of_order();

  CheckedSource checked(source, bytes, CheckedSource::crc32c_digest);
  std::string rest;
  const std::uint64_t aligned_end = end - end % kAlignment;
  const std::uint64_t from = std::min(std::max(session.persisted, first), std::max(aligned_end, first));
  // What has arrived already is read all the same: its checksum is part of the whole.
  SliceSource arrived(checked, rest, from - first);
  while (true) {
    CO_TRY(const auto piece, co_await arrived.next());
    if (!piece.has_value()) break;
  }
  if (from < aligned_end) {
    SliceSource chunk(checked, rest, aligned_end - from);
    CO_TRY_DO(co_await send_chunk(name, from, aligned_end, chunk, options));
  }
  SliceSource last(checked, rest, end - std::max(from, aligned_end));
  CO_TRY(state.tail, co_await read_source(last, kAlignment));
  if (!state.tail.empty()) {
    state.tail_part = number;
    CO_TRY_DO(co_await write_state(name.id, state, options));
  }
  if (!checked.at_end()) CO_TRY_DO(co_await checked.next());
  Part part;
  part.number = number;
  part.bytes = bytes;
  part.etag = part_etag(first, end);
  if (sums_.size() >= kMaxRemembered && !sums_.contains(name.id)) sums_.erase(sums_.begin());
  sums_[name.id][number] = checked.crc32c();
  co_return part;
}

Task<Result<std::vector<Part>>> GcsStore::list_parts(std::string key, std::string upload,
                                                     CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  CO_TRY(const Session session, co_await session_of(name, options));
  if (session.finished.has_value()) co_return provider_error(ErrorCode::not_found, "", kSessionCancelled);
  std::vector<Part> parts;
  auto state = co_await read_state(name.id, options);
  if (!state.ok()) {
    if (state.error().code == ErrorCode::not_found) co_return parts;  // no part yet
    co_return std::move(state).error();
  }
  // A shorter last part without a tail looks like a longer one that broke off: it is not listed, and sent
  // again.
  const std::uint64_t size = std::max<std::uint64_t>(state->part_bytes, 1);
  std::uint64_t end = session.persisted;
  if (state->tail_part != 0) {
    end += state->tail.size();
  } else {
    end -= end % size;
  }
  for (std::uint64_t first = 0; first < end; first += size) {
    Part part;
    part.number = static_cast<int>(parts.size()) + 1;
    part.bytes = std::min(size, end - first);
    part.etag = part_etag(first, first + part.bytes);
    parts.push_back(std::move(part));
  }
  co_return parts;
}

// nullopt: another process (or this one, long ago) sent some of them.
std::optional<std::uint32_t> GcsStore::sum_of_parts(const std::string& upload_id,
                                                    const std::vector<Part>& parts) const {
  const auto known = sums_.find(upload_id);
  if (known == sums_.end()) return std::nullopt;
  std::uint32_t whole = 0;
  for (const Part& part : parts) {
    const auto own = known->second.find(part.number);
    if (own == known->second.end()) return std::nullopt;
    whole = crc32c_combine(whole, own->second, part.bytes);
  }
  return whole;
}

// Sends the tail and with it the end.
Task<Result<json::Value>> GcsStore::finish_session(UploadName upload, std::uint64_t total,
                                                   CallOptions options) {
  CO_TRY(const Session session, co_await session_of(upload, options));
  if (session.finished.has_value()) co_return *session.finished;
  std::string tail;
  auto state = co_await read_state(upload.id, options);
  if (state.ok()) {
    tail = state->tail;
  } else if (state.error().code != ErrorCode::not_found) {
    co_return std::move(state).error();
  }
  if (session.persisted + tail.size() != total) {
    co_return Error(ErrorCode::validation_failed, "the parts are not those that have arrived");
  }
  StoreRequest request = session_request(upload);
  const std::string range = tail.empty() ? fmt::format("bytes */{}", total)
                                         : fmt::format("bytes {}-{}/{}", session.persisted, total - 1, total);
  request.headers.emplace_back("Content-Range", range);
  request.body = tail;
  auto answer = co_await call(std::move(request), Repeat::never, options);
  if (answer.ok()) co_return json::parse(answer->body);
  // The end may have arrived, and its answer not.
  if (answer.error().code == ErrorCode::server_unreachable) {
    auto again = co_await session_of(upload, options);
    if (again.ok() && again->finished.has_value()) co_return *again->finished;
  }
  co_return std::move(answer).error();
}

Task<Result<ObjectInfo>> GcsStore::complete_upload(std::string key, std::string upload,
                                                   std::vector<Part> parts, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  CO_TRY_DO(check_parts(parts));
  std::uint64_t total = 0;
  for (const Part& part : parts) total += part.bytes;
  CO_TRY(const json::Value object, co_await finish_session(name, total, options));
  const auto crc = sum_of_parts(name.id, parts);
  sums_.erase(name.id);
  if (crc.has_value()) CO_TRY_DO(co_await verify(object, total, *crc, options));
  if (!name.sha256.empty()) CO_TRY_DO(co_await verify_by_reading(key, name.sha256, options));
  CO_TRY_DO(co_await remove_one(state_key(name.id), options));
  co_return info_of(object);
}

Task<Result<void>> GcsStore::abort_upload(std::string key, std::string upload, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  sums_.erase(name.id);
  StoreRequest request = session_request(name);
  request.method = "DELETE";
  request.accept = {kSessionCancelled};
  auto aborted = co_await call(std::move(request), Repeat::when_it_failed, options);
  // One that was cancelled before is gone as well.
  CO_TRY_DO(co_await remove_one(state_key(name.id), options));
  if (!aborted.ok()) co_return std::move(aborted).error();
  co_return Result<void>();
}

}  // namespace rowhouse::storage
