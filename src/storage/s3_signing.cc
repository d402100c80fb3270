#include "storage/s3_signing.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::storage {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kDayBytes = 8;
constexpr std::size_t kChunkBytes = 64 * 1024;  // of the published example
constexpr std::size_t kChunksAtOnce = 8;        // pieces of a source have an upper limit
constexpr std::size_t kSignatureBytes = 64;

std::string hex_sha256(std::string_view text) { return to_hex(crypto::sha256(text)); }

// Runs of spaces become one, as the specification says ("Trim").
std::string canonical_value(std::string_view value) {
  std::string canonical;
  for (const char c : trim(value)) {
    if (c != ' ' || !canonical.ends_with(' ')) canonical.push_back(c);
  }
  return canonical;
}

// Sorted by escaped name, then by escaped value.
std::string canonical_query(const Query& query) {
  std::vector<std::pair<std::string, std::string>> escaped;
  for (const auto& [name, value] : query) escaped.emplace_back(percent_encode(name), percent_encode(value));
  std::sort(escaped.begin(), escaped.end());
  std::string text;
  for (const auto& [name, value] : escaped) {
    if (!text.empty()) text.push_back('&');
    text += name + "=" + value;
  }
  return text;
}

struct Canonical {
  std::string text;
  std::string signed_headers;
};

Canonical canonical_request(const S3Request& request, const std::vector<net::Header>& headers,
                            std::string_view query, std::string_view payload) {
  std::map<std::string, std::string> sorted;
  sorted.emplace("host", request.host);
  for (const auto& [name, value] : headers)
    sorted.insert_or_assign(to_lower_ascii(name), canonical_value(value));
  Canonical canonical;
  std::string lines;
  for (const auto& [name, value] : sorted) {
    lines += name + ":" + value + "\n";
    if (!canonical.signed_headers.empty()) canonical.signed_headers.push_back(';');
    canonical.signed_headers += name;
  }
  canonical.text = request.method + "\n" + (request.path.empty() ? "/" : request.path) + "\n" +
                   std::string(query) + "\n" + lines + "\n" + canonical.signed_headers + "\n" +
                   std::string(payload);
  return canonical;
}

std::size_t hex_digits(std::uint64_t value) {
  std::size_t digits = 1;
  while (value >>= 4) ++digits;
  return digits;
}

std::string hex_number(std::uint64_t value) {
  std::string text;
  do {
    text.insert(text.begin(), "0123456789abcdef"[value & 15]);
  } while (value >>= 4);
  return text;
}

constexpr std::string_view kChunkExtension = ";chunk-signature=";

std::uint64_t encoded_chunk_bytes(std::uint64_t bytes) {
  return hex_digits(bytes) + kChunkExtension.size() + kSignatureBytes + 2 + bytes + 2;
}

}  // namespace

S3Signer::S3Signer(std::string access_key, std::string secret_key, std::string region, std::string service)
    : access_key_(std::move(access_key)),
      secret_key_(std::move(secret_key)),
      region_(std::move(region)),
      service_(std::move(service)) {}

std::string S3Signer::scope(std::string_view date) const {
  return std::string(date.substr(0, kDayBytes)) + "/" + region_ + "/" + service_ + "/aws4_request";
}

std::string S3Signer::signing_key(std::string_view day) const {
  std::string key = crypto::hmac_sha256("AWS4" + secret_key_, day);
  key = crypto::hmac_sha256(key, region_);
  key = crypto::hmac_sha256(key, service_);
  return crypto::hmac_sha256(key, "aws4_request");
}

std::string S3Signer::signature_of(std::string_view canonical_request, const std::string& date) const {
  const std::string text =
      std::string(kAlgorithm) + "\n" + date + "\n" + scope(date) + "\n" + hex_sha256(canonical_request);
  return to_hex(crypto::hmac_sha256(signing_key(std::string_view(date).substr(0, kDayBytes)), text));
}

S3Signature S3Signer::sign(const S3Request& request, std::string_view payload, WallTime now) const {
  S3Signature signature;
  signature.date = compact_time(now);
  signature.headers = request.headers;
  signature.headers.emplace_back("X-Amz-Content-Sha256", payload);
  signature.headers.emplace_back("X-Amz-Date", signature.date);
  const Canonical canonical =
      canonical_request(request, signature.headers, canonical_query(request.query), payload);
  signature.signature = signature_of(canonical.text, signature.date);
  signature.headers.emplace_back("Authorization", std::string(kAlgorithm) + " Credential=" + access_key_ +
                                                      "/" + scope(signature.date) +
                                                      ", SignedHeaders=" + canonical.signed_headers +
                                                      ", Signature=" + signature.signature);
  return signature;
}

std::string S3Signer::presign(const S3Request& request, std::int64_t expires_in_s, WallTime now) const {
  const std::string date = compact_time(now);
  std::vector<std::string> names = {"host"};
  for (const auto& [name, value] : request.headers) names.push_back(to_lower_ascii(name));
  std::sort(names.begin(), names.end());
  std::string signed_headers;
  for (const std::string& name : names) signed_headers += (signed_headers.empty() ? "" : ";") + name;
  Query query = request.query;
  query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  query.emplace_back("X-Amz-Credential", access_key_ + "/" + scope(date));
  query.emplace_back("X-Amz-Date", date);
  query.emplace_back("X-Amz-Expires", std::to_string(expires_in_s));
  query.emplace_back("X-Amz-SignedHeaders", signed_headers);
  const std::string sorted = canonical_query(query);
  const Canonical canonical = canonical_request(request, request.headers, sorted, kUnsignedPayload);
  return sorted + "&X-Amz-Signature=" + signature_of(canonical.text, date);
}

std::string S3Signer::chunk_signature(const std::string& before, std::string_view chunk,
                                      const std::string& date) const {
  const std::string text = std::string(kAlgorithm) + "-PAYLOAD\n" + date + "\n" + scope(date) + "\n" +
                           before + "\n" + hex_sha256("") + "\n" + hex_sha256(chunk);
  return to_hex(crypto::hmac_sha256(signing_key(std::string_view(date).substr(0, kDayBytes)), text));
}

std::uint64_t S3ChunkedSource::encoded_bytes(std::uint64_t bytes) {
  const std::uint64_t rest = bytes % kChunkBytes;
  return bytes / kChunkBytes * encoded_chunk_bytes(kChunkBytes) + (rest > 0 ? encoded_chunk_bytes(rest) : 0) +
         encoded_chunk_bytes(0);
}

void S3ChunkedSource::append_chunk(std::string& out, std::string_view data) {
  before_ = signer_.chunk_signature(before_, data, date_);
  out += hex_number(data.size());
  out += kChunkExtension;
  out += before_;
  out += "\r\n";
  out += data;
  out += "\r\n";
}

Task<Result<std::optional<std::string>>> S3ChunkedSource::next() {
  if (ended_) co_return std::optional<std::string>();
  while (!source_ended_ && rest_.size() < kChunkBytes) {
    CO_TRY(auto piece, co_await source_.next());
    source_ended_ = !piece.has_value();
    if (piece.has_value()) rest_ += *piece;
  }
  std::string out;
  std::string_view left = rest_;
  for (std::size_t chunks = 0; chunks < kChunksAtOnce && (left.size() >= kChunkBytes || source_ended_);
       ++chunks) {
    const std::string_view chunk = left.substr(0, kChunkBytes);
    append_chunk(out, chunk);
    left.remove_prefix(chunk.size());
    ended_ = chunk.empty();
    if (ended_) break;
  }
  rest_.erase(0, rest_.size() - left.size());
  co_return std::optional<std::string>(std::move(out));
}

}  // namespace rowhouse::storage
