// What a service account of Google signs: assertions that are exchanged for access tokens, and V4 signed
// URLs.
//
// Sources: "Using OAuth 2.0 for Server to Server Applications" (RFC 7523), "V4 signing process with your own
// program" of Cloud Storage; the test compares with @google-cloud/storage. Immutable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "storage/digests.h"
#include "storage/url.h"

namespace rowhouse::storage {

inline constexpr std::string_view kGcsScope = "https://www.googleapis.com/auth/devstorage.read_write";
inline constexpr std::int64_t kAssertionSeconds = 3'600;

struct GcsLink {
  std::string method;
  std::string host;          // as the Host header has it
  std::string path;          // escaped: "/bucket/object"
  Query query;               // further parameters
  std::string content_type;  // signed when not ""
  std::int64_t expires_in_s = 900;
};

class GcsSigner {
 public:
  // Error: validation_failed (no RSA key).
  static Result<GcsSigner> create(std::string client_email, std::string key_id,
                                  const std::string& private_key_pem);

  // A JWT for the token endpoint `audience`.
  std::string assertion(const std::string& audience, WallTime now) const;
  // The query string of a signed URL, without "?".
  std::string sign_url(const GcsLink& link, WallTime now) const;

 private:
  GcsSigner(std::string client_email, std::string key_id, RsaSigner key)
      : client_email_(std::move(client_email)), key_id_(std::move(key_id)), key_(std::move(key)) {}
  std::string client_email_, key_id_;
  RsaSigner key_;
};

}  // namespace rowhouse::storage
