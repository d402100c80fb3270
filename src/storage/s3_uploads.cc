// Multipart uploads of S3.
#include <algorithm>
#include <utility>

#include "base/text.h"
#include "storage/s3_store_impl.h"
#include "storage/store_xml.h"

namespace rowhouse::storage {
namespace {

constexpr int kPartsOfAPage = 1'000;

// What S3 makes of the parts' MD5s; "" where one is none.
std::string etag_of_parts(const std::vector<Part>& parts) {
  std::string digests;
  for (const Part& part : parts) {
    if (!is_md5_etag(part.etag)) return {};
    digests += *from_hex(part.etag);
  }
  return to_hex(md5(digests)) + "-" + std::to_string(parts.size());
}

}  // namespace

Task<Result<std::string>> S3Store::begin_upload(std::string key, PutOptions put_options,
                                                CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_put_options(put_options));
  StoreRequest request("POST", path_of(key));
  request.query = {{"uploads", ""}};
  if (!put_options.content_type.empty())
    request.headers.emplace_back("Content-Type", put_options.content_type);
  if (!put_options.sha256.empty()) request.headers.emplace_back("X-Amz-Meta-Sha256", put_options.sha256);
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
  UploadName name;
  name.condition = put_options.condition;
  name.sha256 = put_options.sha256;
  CO_TRY(name.id, text_of_xml(answer.body, "InitiateMultipartUploadResult/UploadId"));
  if (name.id.empty()) co_return provider_error(ErrorCode::storage_failed, "NoUploadId", answer.status);
  co_return name.text(key);
}

Task<Result<Part>> S3Store::put_part(std::string key, std::string upload, int number, std::uint64_t bytes,
                                     ByteSource& source, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_part_number(number));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  StoreRequest request("PUT", path_of(key));
  request.query = {{"partNumber", std::to_string(number)}, {"uploadId", name.id}};
  // A part needs no digest of its own where the server checks every chunk.
  CheckedSource checked(source, bytes,
                        digests_of_stream() & ~static_cast<unsigned>(CheckedSource::sha256_digest));
  CO_TRY(const Answer answer, co_await send_stream(std::move(request), checked, bytes, options));
  Part part;
  part.number = number;
  part.bytes = bytes;
  part.etag = without_quotes(answer.header("ETag"));
  const bool comparable = !checked.md5().empty() && is_md5_etag(part.etag) &&
                          !answer.header("X-Amz-Server-Side-Encryption").starts_with("aws:kms");
  if (comparable && part.etag != to_hex(checked.md5())) {
    co_return provider_error(ErrorCode::checksum_mismatch, "ETag", answer.status);
  }
  co_return part;
}

Task<Result<std::vector<Part>>> S3Store::list_parts(std::string key, std::string upload,
                                                    CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  std::vector<Part> parts;
  for (int marker = 0;;) {
    StoreRequest request("GET", path_of(key));
    request.query = {{"max-parts", std::to_string(kPartsOfAPage)}, {"uploadId", name.id}};
    if (marker > 0) request.query.emplace_back("part-number-marker", std::to_string(marker));
    CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
    CO_TRY(S3Parts page, parse_s3_parts(answer.body));
    for (Part& part : page.parts) parts.push_back(std::move(part));
    if (page.next_marker <= marker) break;
    marker = page.next_marker;
  }
  co_return parts;
}

// The new object's ETag.
Task<Result<std::string>> S3Store::finish_upload(std::string key, UploadName upload, std::vector<Part> parts,
                                                 CallOptions options) {
  StoreRequest request("POST", path_of(key));
  request.query = {{"uploadId", upload.id}};
  request.headers.emplace_back("Content-Type", "application/xml");
  if (upload.condition == PutCondition::absent) request.headers.emplace_back("If-None-Match", "*");
  request.body = complete_xml(parts);
  auto answer = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (!answer.ok()) {
    // Ceph 16 answers 500 to an upload that is gone. One may be gone because it ended well, and that answer
    // was lost.
    const bool gone = answer.error().code == ErrorCode::not_found;
    if (!gone && answer.error().code != ErrorCode::storage_failed) co_return std::move(answer).error();
    auto listed = co_await list_parts(key, upload.text(key), options);
    if (listed.ok() || listed.error().code != ErrorCode::not_found) co_return std::move(answer).error();
    auto there = co_await stat(key, options);
    const std::string expected = etag_of_parts(parts);
    if (there.ok() && !expected.empty() && there->etag == expected) co_return expected;
    co_return std::move(listed).error();
  }
  // It may fail after its "200 OK" was sent.
  const std::string code = error_code_of_xml(answer->body);
  if (!code.empty()) co_return provider_error(ErrorCode::storage_failed, code, answer->status);
  CO_TRY(const std::string etag, text_of_xml(answer->body, "CompleteMultipartUploadResult/ETag"));
  co_return without_quotes(etag);
}

Task<Result<ObjectInfo>> S3Store::complete_upload(std::string key, std::string upload,
                                                  std::vector<Part> parts, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  CO_TRY_DO(check_parts(parts));
  if (name.condition == PutCondition::absent) {
    // Asked here as well, for servers that do not know the condition on this request.
    auto there = co_await stat(key, options);
    if (there.ok()) co_return provider_error(ErrorCode::precondition_failed, "PreconditionFailed", 412);
    if (there.error().code != ErrorCode::not_found) co_return std::move(there).error();
  }
  CO_TRY(const std::string etag, co_await finish_upload(key, name, parts, options));
  if (!name.sha256.empty()) CO_TRY_DO(co_await verify_by_reading(key, name.sha256, options));
  CO_TRY(ObjectInfo info, co_await stat(key, options));
  std::uint64_t bytes = 0;
  for (const Part& part : parts) bytes += part.bytes;
  if (info.etag == etag && info.bytes != bytes) {
    co_return provider_error(ErrorCode::checksum_mismatch, "Size", 200);
  }
  co_return info;
}

Task<Result<void>> S3Store::abort_upload(std::string key, std::string upload, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const UploadName name, UploadName::parse(upload, key));
  StoreRequest request("DELETE", path_of(key));
  request.query = {{"uploadId", name.id}};
  CO_TRY_DO(co_await call(std::move(request), Repeat::when_it_failed, options));
  co_return Result<void>();
}

Task<Result<ObjectInfo>> S3Store::copy_in_parts(std::string from, std::string to, ObjectInfo source,
                                                CallOptions options) {
  PutOptions put_options;
  put_options.content_type = source.content_type;
  CO_TRY(const std::string upload, co_await begin_upload(to, put_options, options));
  CO_TRY(const UploadName name, UploadName::parse(upload, to));
  const std::uint64_t fewest = (source.bytes + kMaxParts - 1) / kMaxParts;
  const std::uint64_t part_bytes = std::max(limits_.part_bytes, fewest);
  std::vector<Part> parts;
  std::optional<Error> error;
  for (std::uint64_t first = 0; first < source.bytes && !error.has_value(); first += part_bytes) {
    Part part;
    part.number = static_cast<int>(parts.size()) + 1;
    part.bytes = std::min(part_bytes, source.bytes - first);
    StoreRequest request("PUT", path_of(to));
    request.query = {{"partNumber", std::to_string(part.number)}, {"uploadId", name.id}};
    request.headers.emplace_back("X-Amz-Copy-Source", "/" + bucket_ + "/" + escape_path(full_key(from)));
    request.headers.emplace_back("X-Amz-Copy-Source-If-Match", "\"" + source.etag + "\"");
    const ByteRange range{first, first + part.bytes - 1};
    request.headers.emplace_back("X-Amz-Copy-Source-Range", range_header(range));
    auto answer = co_await call(std::move(request), Repeat::when_it_failed, options);
    if (!answer.ok()) {
      error = std::move(answer).error();
      break;
    }
    auto etag = text_of_xml(answer->body, "CopyPartResult/ETag");
    if (!etag.ok() || etag->empty())
      error = provider_error(ErrorCode::storage_failed, "NoETag", answer->status);
    if (etag.ok()) part.etag = without_quotes(*etag);
    parts.push_back(std::move(part));
  }
  if (!error.has_value()) co_return co_await complete_upload(to, upload, parts, options);
  auto aborted = co_await abort_upload(to, upload, options);
  static_cast<void>(aborted.ok());
  co_return std::move(*error);
}

}  // namespace rowhouse::storage
