// AWS Signature Version 4 for S3: requests with headers, signed URLs, and bodies in signed chunks.
//
// Source: "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API Reference; the test has
// the vectors printed there and compares with @aws-sdk/client-s3. In S3 the path is escaped once and not
// normalised. Also for other services of that kind (the admin API of Ceph). Immutable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/http_message.h"
#include "net/http_transfer.h"
#include "storage/url.h"

namespace rowhouse::storage {

inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";
inline constexpr std::string_view kStreamingPayload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
inline constexpr std::int64_t kMaxS3LinkSeconds = 604'800;

struct S3Request {
  std::string method;
  std::string host;                  // as the Host header has it: with a port unless it is the scheme's own
  std::string path;                  // escaped: escape_path()
  Query query;                       // not escaped
  std::vector<net::Header> headers;  // all are signed; names in any case, each once
};

struct S3Signature {
  std::vector<net::Header>
      headers;            // those of the request, X-Amz-Date, X-Amz-Content-Sha256, Authorization; no Host
  std::string signature;  // hexadecimal: where chunks go on from
  std::string date;       // "20130524T000000Z"
};

class S3Signer {
 public:
  S3Signer(std::string access_key, std::string secret_key, std::string region, std::string service = "s3");

  // `payload`: the SHA-256 of the body in hexadecimal, kUnsignedPayload or kStreamingPayload.
  S3Signature sign(const S3Request& request, std::string_view payload, WallTime now) const;
  // The query string of a signed URL, without "?": what the request's query has, and the signature.
  std::string presign(const S3Request& request, std::int64_t expires_in_s, WallTime now) const;
  // Of the next chunk of a body, after the signature before it.
  std::string chunk_signature(const std::string& before, std::string_view chunk,
                              const std::string& date) const;

 private:
  std::string scope(std::string_view date) const;
  std::string signing_key(std::string_view day) const;
  std::string signature_of(std::string_view canonical_request, const std::string& date) const;

  std::string access_key_, secret_key_, region_, service_;
};

// A body in signed chunks of 64 KiB.
class S3ChunkedSource final : public net::TransferSource {
 public:
  S3ChunkedSource(net::TransferSource& source, const S3Signer& signer) : source_(source), signer_(signer) {}
  // Before the first next(): what the head of the request was signed with.
  void begin(const S3Signature& seed) {
    before_ = seed.signature;
    date_ = seed.date;
  }
  Task<Result<std::optional<std::string>>> next() override;

  static std::uint64_t encoded_bytes(std::uint64_t bytes);

 private:
  void append_chunk(std::string& out, std::string_view data);

  net::TransferSource& source_;
  const S3Signer& signer_;
  std::string before_, date_;
  std::string rest_;
  bool source_ended_ = false, ended_ = false;
};

}  // namespace rowhouse::storage
