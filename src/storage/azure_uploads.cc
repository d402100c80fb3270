// Uploads in blocks of Azure Blob Storage.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/azure_store_impl.h"
#include "storage/store_xml.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kUploadIdBytes = 12;
constexpr std::size_t kMaxRemembered = 1'000;
constexpr std::string_view kUploadHeader = "x-ms-meta-rowhouseupload";

// All blocks of a blob must have names of one length.
std::string block_name(const std::string& upload_id, int number) {
  return fmt::format("{}-{:05}", upload_id, number);
}

std::string marker_key(const std::string& upload_id) { return std::string(kUploadsFolder) + upload_id; }

}  // namespace

Task<Result<std::string>> AzureStore::begin_upload(std::string key, PutOptions put_options,
                                                   CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_put_options(put_options));
  UploadName name;
  name.condition = put_options.condition;
  name.sha256 = put_options.sha256;
  name.id = to_hex(crypto::random_bytes(kUploadIdBytes));
  StoreRequest request("PUT", path_of(marker_key(name.id)));
  request.headers = {{"x-ms-blob-type", "BlockBlob"}, {"x-ms-blob-content-type", put_options.content_type}};
  CO_TRY_DO(co_await call(std::move(request), Repeat::when_it_failed, options));
  co_return name.text(key);
}

// Error not_found: it was aborted, or has ended.
Task<Result<void>> AzureStore::check_alive(std::string upload_id, CallOptions options) {
  if (alive_.contains(upload_id)) co_return Result<void>();
  CO_TRY_DO(co_await head_of(marker_key(upload_id), options));
  if (alive_.size() >= kMaxRemembered) alive_.clear();
  alive_.insert(upload_id);
  co_return Result<void>();
}

Task<Result<Part>> AzureStore::put_part(std::string key, std::string upload, int number, std::uint64_t bytes,
                                        ByteSource& source, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_part_number(number));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  CO_TRY_DO(co_await check_alive(name.id, options));
  Part part;
  part.number = number;
  part.bytes = bytes;
  part.etag = block_name(name.id, number);
  StoreRequest request("PUT", path_of(key));
  request.query = {{"comp", "block"}, {"blockid", to_base64(part.etag)}};
  CheckedSource checked(source, bytes, CheckedSource::md5_digest | CheckedSource::crc64_digest);
  request.source = &checked;
  request.source_bytes = bytes;
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::never, options));
  if (!received_whole(answer, checked).value_or(true)) {
    co_return provider_error(ErrorCode::checksum_mismatch, "Md5Mismatch", answer.status);
  }
  co_return part;
}

Task<Result<std::vector<Part>>> AzureStore::list_parts(std::string key, std::string upload,
                                                       CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  CO_TRY_DO(co_await head_of(marker_key(name.id), options));
  StoreRequest request("GET", path_of(key));
  request.query = {{"comp", "blocklist"}, {"blocklisttype", "uncommitted"}};
  std::vector<Part> parts;
  auto answer = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (!answer.ok()) {
    if (answer.error().code == ErrorCode::not_found) co_return parts;  // no block yet
    co_return std::move(answer).error();
  }
  CO_TRY(const auto blocks, parse_azure_blocks(answer->body));
  for (const auto& [block, bytes] : blocks) {
    const auto number = parse_int64(std::string_view(block).substr(block.find('-') + 1));
    if (!number.has_value() || block != block_name(name.id, static_cast<int>(*number))) continue;
    Part part;
    part.number = static_cast<int>(*number);
    part.etag = block;
    part.bytes = bytes;
    parts.push_back(std::move(part));
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.number < b.number; });
  co_return parts;
}

Task<Result<void>> AzureStore::commit(std::string key, const UploadName& upload,
                                      const std::vector<Part>& parts, std::string content_type,
                                      CallOptions options) {
  std::vector<std::string> ids;
  ids.reserve(ids.size() + parts.size());
  for (const Part& part : parts) ids.push_back(to_base64(block_name(upload.id, part.number)));
  StoreRequest request("PUT", path_of(key));
  request.query = {{"comp", "blocklist"}};
  request.headers = {{"Content-Type", "application/xml"},
                     {"x-ms-blob-content-type", content_type},
                     {std::string(kUploadHeader), upload.id}};
  if (!upload.sha256.empty()) request.headers.emplace_back("x-ms-meta-sha256", upload.sha256);
  if (upload.condition == PutCondition::absent) request.headers.emplace_back("If-None-Match", "*");
  request.body = block_list_xml(ids);
  request.headers.emplace_back("Content-MD5", to_base64(md5(request.body)));
  auto answer = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (answer.ok()) co_return Result<void>();
  // Blocks that are gone, or an object that is there, may be the work of a first try whose answer was lost.
  auto there = co_await head_of(key, options);
  if (there.ok() && there->header(kUploadHeader) == upload.id) co_return Result<void>();
  if (answer.error().detail("provider_code") == "InvalidBlockList") {
    co_return provider_error(ErrorCode::not_found, "InvalidBlockList", 400);
  }
  co_return std::move(answer).error();
}

Task<Result<ObjectInfo>> AzureStore::complete_upload(std::string key, std::string upload,
                                                     std::vector<Part> parts, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  CO_TRY_DO(check_parts(parts));
  CO_TRY(const Answer marker, co_await head_of(marker_key(name.id), options));
  CO_TRY_DO(co_await commit(key, name, parts, std::string(marker.header("Content-Type")), options));
  if (!name.sha256.empty()) CO_TRY_DO(co_await verify_by_reading(key, name.sha256, options));
  CO_TRY(ObjectInfo info, co_await stat(key, options));
  alive_.erase(name.id);
  CO_TRY_DO(co_await remove_one(marker_key(name.id), options));
  co_return info;
}

Task<Result<void>> AzureStore::abort_upload(std::string key, std::string upload, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  CO_TRY_DO(co_await check_alive(name.id, options));
  alive_.erase(name.id);
  co_return co_await remove_one(marker_key(name.id), options);
}

}  // namespace rowhouse::storage
