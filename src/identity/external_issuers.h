// Identity providers as the network shows them: their metadata (OpenID Connect Discovery 1.0) and signing
// keys, remembered in one worker for some minutes.
//
// What is remembered is looked up by the issuer's URL and comes from nowhere else: a token cannot say where
// its key is. A key that is not known is looked for again at most once a minute, and an issuer that does not
// answer is left alone for some seconds, so that bad tokens cost others nothing. Belongs to the executor's
// thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/jws.h"
#include "net/http_fetch.h"

namespace rowhouse::identity {

struct IssuerMetadata {
  std::string issuer, authorization_endpoint, token_endpoint, jwks_uri;
  std::string userinfo_endpoint;  // "" = none
  enum class ClientSecret { in_header, in_body } client_secret = ClientSecret::in_header;
  // Does every answer name its issuer (RFC 9207)?
  enum class NamesItself { no, yes } names_itself = NamesItself::no;
  enum class Pkce { unknown, s256 } pkce = Pkce::unknown;
};

// `issuer` must be what the document says it is. Pure. The message says what is wrong with the document.
Result<IssuerMetadata> parse_issuer_metadata(const json::Value& document, const std::string& issuer,
                                             net::Reach reach);

struct IssuerOptions {
  std::chrono::milliseconds keys_life{600'000};
  // A token that names a key which the issuer did not have has its keys read again, but not more often.
  std::chrono::milliseconds keys_again_after{60'000};
};

class ExternalIssuers {
 public:
  explicit ExternalIssuers(net::HttpFetch& fetch, IssuerOptions options = {});
  ~ExternalIssuers();

  // Errors: identity_provider_failed (with the reason), overloaded.
  Task<Result<IssuerMetadata>> metadata(std::string issuer, CallOptions options);
  // The claims of a token that the issuer has signed. Errors: as metadata(); credential_unknown.
  Task<Result<json::Value>> claims(std::string issuer, crypto::Jws jws, CallOptions options);
  // Asks anew, whatever is remembered: metadata and the number of usable keys.
  struct Report {
    IssuerMetadata metadata;
    std::size_t keys = 0;
  };
  Task<Result<Report>> probe(std::string issuer, CallOptions options);

  // A JSON object that is there with status 200. Errors: identity_provider_failed.
  Task<Result<json::Value>> get(std::string url, std::string bearer_token, CallOptions options);
  // The same for the answer to a form. `authorization`: a header's value, or "".
  Task<Result<json::Value>> post_form(std::string url, std::string form, std::string authorization,
                                      CallOptions options);
  net::Reach reach() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
