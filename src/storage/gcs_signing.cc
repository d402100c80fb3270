#include "storage/gcs_signing.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kDayBytes = 8;

}  // namespace

Result<GcsSigner> GcsSigner::create(std::string client_email, std::string key_id,
                                    const std::string& private_key_pem) {
  TRY(RsaSigner key, RsaSigner::create(private_key_pem));
  return GcsSigner(std::move(client_email), std::move(key_id), std::move(key));
}

std::string GcsSigner::assertion(const std::string& audience, WallTime now) const {
  const std::int64_t issued =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  json::Value header;
  header.set("alg", "RS256");
  header.set("typ", "JWT");
  if (!key_id_.empty()) header.set("kid", key_id_);
  json::Value claims;
  claims.set("iss", client_email_);
  claims.set("scope", std::string(kGcsScope));
  claims.set("aud", audience);
  claims.set("iat", issued);
  claims.set("exp", issued + kAssertionSeconds);
  const std::string text =
      to_base64url(json::serialize(header)) + "." + to_base64url(json::serialize(claims));
  return text + "." + to_base64url(key_.sign(text));
}

std::string GcsSigner::sign_url(const GcsLink& link, WallTime now) const {
  const std::string date = compact_time(now);
  const std::string scope = date.substr(0, kDayBytes) + "/auto/storage/goog4_request";
  std::string headers, signed_headers;
  if (!link.content_type.empty()) {
    headers = "content-type:" + link.content_type + "\n";
    signed_headers = "content-type;";
  }
  headers += "host:" + link.host + "\n";
  signed_headers += "host";
  Query query = link.query;
  query.emplace_back("X-Goog-Algorithm", "GOOG4-RSA-SHA256");
  query.emplace_back("X-Goog-Credential", client_email_ + "/" + scope);
  query.emplace_back("X-Goog-Date", date);
  query.emplace_back("X-Goog-Expires", std::to_string(link.expires_in_s));
  query.emplace_back("X-Goog-SignedHeaders", signed_headers);
  std::sort(query.begin(), query.end());
  const std::string canonical_query = escape_query(query);
  const std::string canonical = link.method + "\n" + link.path + "\n" + canonical_query + "\n" + headers +
                                "\n" + signed_headers + "\nUNSIGNED-PAYLOAD";
  const std::string text =
      "GOOG4-RSA-SHA256\n" + date + "\n" + scope + "\n" + to_hex(crypto::sha256(canonical));
  return canonical_query + "&X-Goog-Signature=" + to_hex(key_.sign(text));
}

}  // namespace rowhouse::storage
