#include "crypto/jws.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "crypto/ed25519.h"

namespace rowhouse::crypto {

namespace {

constexpr std::size_t kParts = 3;
constexpr std::size_t kMaxHeaderDepth = 4;
constexpr std::size_t kMaxKeyIdBytes = 256;
constexpr std::size_t kMaxTypeBytes = 64;
// More would only cost time; fewer are broken.
constexpr int kMinRsaBits = 2'048;
constexpr int kMaxRsaBits = 8'192;
constexpr std::size_t kMaxRsaExponentBytes = 8;

enum class KeyKind { rsa, p256, p384, ed25519 };

struct Rule {
  std::string_view name;
  JwsAlgorithm algorithm;
  KeyKind kind;
  const EVP_MD* (*digest)();
  enum class Padding { none, pkcs1, pss } padding;
};

constexpr std::array<Rule, 9> kRules = {{
    {"RS256", JwsAlgorithm::rs256, KeyKind::rsa, EVP_sha256, Rule::Padding::pkcs1},
    {"RS384", JwsAlgorithm::rs384, KeyKind::rsa, EVP_sha384, Rule::Padding::pkcs1},
    {"RS512", JwsAlgorithm::rs512, KeyKind::rsa, EVP_sha512, Rule::Padding::pkcs1},
    {"PS256", JwsAlgorithm::ps256, KeyKind::rsa, EVP_sha256, Rule::Padding::pss},
    {"PS384", JwsAlgorithm::ps384, KeyKind::rsa, EVP_sha384, Rule::Padding::pss},
    {"PS512", JwsAlgorithm::ps512, KeyKind::rsa, EVP_sha512, Rule::Padding::pss},
    {"ES256", JwsAlgorithm::es256, KeyKind::p256, EVP_sha256, Rule::Padding::none},
    {"ES384", JwsAlgorithm::es384, KeyKind::p384, EVP_sha384, Rule::Padding::none},
    {"EdDSA", JwsAlgorithm::eddsa, KeyKind::ed25519, nullptr, Rule::Padding::none},
}};

const Rule& rule_of(JwsAlgorithm algorithm) {
  return *std::find_if(kRules.begin(), kRules.end(),
                       [algorithm](const Rule& rule) { return rule.algorithm == algorithm; });
}

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using PublicKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Freer<BIGNUM, BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM, OSSL_PARAM_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX, EVP_MD_CTX_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG, ECDSA_SIG_free>>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Number number(std::string_view big_endian) {
  return Number(BN_bin2bn(bytes(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

// nullopt: no such member, or no text. Empty is as good as none.
std::optional<std::string> text_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  if (text == nullptr || text->empty()) return std::nullopt;
  return *text;
}

std::optional<std::string> bytes_of(const json::Value& object, std::string_view name) {
  const auto text = text_of(object, name);
  return text ? from_base64url(*text) : std::nullopt;
}

PublicKey built(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (parameters == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return nullptr;
  }
  return PublicKey(key);
}

// Is the point on its curve? Of EC keys alone: for an RSA key OpenSSL would look for primes, which takes
// long.
bool is_on_curve(EVP_PKEY* key) {
  const KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return check != nullptr && EVP_PKEY_public_check(check.get()) == 1;
}

PublicKey rsa_key(const json::Value& jwk) {
  const auto modulus = bytes_of(jwk, "n");
  const auto exponent = bytes_of(jwk, "e");
  if (!modulus || !exponent || exponent->size() > kMaxRsaExponentBytes || modulus->size() > kMaxRsaBits / 8) {
    return nullptr;
  }
  const Number n = number(*modulus);
  const Number e = number(*exponent);
  const bool is_sound = n != nullptr && e != nullptr && BN_num_bits(n.get()) >= kMinRsaBits &&
                        BN_is_odd(n.get()) == 1 && BN_is_odd(e.get()) == 1 && BN_is_one(e.get()) == 0;
  if (!is_sound) return nullptr;
  const Builder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  return built("RSA", builder.get());
}

PublicKey ec_key(const json::Value& jwk, const char* group, std::size_t coordinate_bytes) {
  const auto x = bytes_of(jwk, "x");
  const auto y = bytes_of(jwk, "y");
  if (!x || !y || x->size() != coordinate_bytes || y->size() != coordinate_bytes) return nullptr;
  const std::string point = "\x04" + *x + *y;
  const Builder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1) {
    return nullptr;
  }
  PublicKey key = built("EC", builder.get());
  return key != nullptr && is_on_curve(key.get()) ? std::move(key) : nullptr;
}

constexpr std::size_t coordinate_bytes_of(KeyKind kind) { return kind == KeyKind::p384 ? 48 : 32; }

// JWS has the two numbers side by side, OpenSSL wants them in DER. "" if they are no signature.
std::string der_signature(std::string_view signature, KeyKind kind) {
  const std::size_t size = coordinate_bytes_of(kind);
  if (signature.size() != 2 * size) return "";
  const EcSignature pair(ECDSA_SIG_new());
  Number r = number(signature.substr(0, size));
  Number s = number(signature.substr(size));
  if (pair == nullptr || r == nullptr || s == nullptr) return "";
  if (ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return "";
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  unsigned char* encoded = nullptr;
  const int length = i2d_ECDSA_SIG(pair.get(), &encoded);
  if (length <= 0) return "";
  std::string der(reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(length));
  OPENSSL_free(encoded);
  return der;
}

bool openssl_verifies(EVP_PKEY* key, const Rule& rule, std::string_view text, std::string_view signature) {
  const std::string der =
      rule.padding == Rule::Padding::none ? der_signature(signature, rule.kind) : std::string(signature);
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  if (der.empty() || context == nullptr ||
      EVP_DigestVerifyInit(context.get(), &parameters, rule.digest(), nullptr, key) != 1) {
    return false;
  }
  if (rule.padding == Rule::Padding::pss &&
      (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), bytes(der), der.size(), bytes(text), text.size()) == 1;
}

bool may_verify(const json::Value& jwk) {
  const json::Value* use = jwk.find("use");
  if (use != nullptr && (use->as_string() == nullptr || *use->as_string() != "sig")) return false;
  const json::Value* operations = jwk.find("key_ops");
  if (operations == nullptr) return true;
  return operations->as_array() != nullptr &&
         std::any_of(operations->as_array()->begin(), operations->as_array()->end(),
                     [](const json::Value& word) { return word == json::Value("verify"); });
}

// A header that brings its own key or that must not be taken at its face value.
bool has_forbidden_member(const json::Value& header) {
  constexpr std::array<std::string_view, 8> kForbidden = {"jwk",  "jku", "x5c", "x5u",
                                                          "crit", "b64", "zip", "enc"};
  return std::any_of(kForbidden.begin(), kForbidden.end(),
                     [&header](std::string_view name) { return header.find(name) != nullptr; });
}

// Absent is fine; there, it must be a text of at most this size. Sets `text`.
bool read_optional(const json::Value& header, std::string_view name, std::size_t max_bytes,
                   std::string& text) {
  const json::Value* member = header.find(name);
  if (member == nullptr) return true;
  if (member->as_string() == nullptr || member->as_string()->size() > max_bytes) return false;
  text = *member->as_string();
  return true;
}

}  // namespace

struct JwkSet::Key {
  std::string kid;
  std::optional<JwsAlgorithm> algorithm;  // the only one it is for
  KeyKind kind = KeyKind::rsa;
  PublicKey openssl;    // of every kind but Ed25519
  std::string ed25519;  // kEd25519KeyBytes
  bool fits(const Jws& jws) const {
    return kind == rule_of(jws.algorithm).kind && (!algorithm || *algorithm == jws.algorithm) &&
           (jws.kid.empty() || jws.kid == kid);
  }
};

std::optional<JwsAlgorithm> parse_jws_algorithm(std::string_view name) {
  for (const Rule& rule : kRules) {
    if (rule.name == name) return rule.algorithm;
  }
  return std::nullopt;
}

std::string_view jws_algorithm_name(JwsAlgorithm algorithm) { return rule_of(algorithm).name; }

std::optional<Jws> parse_jws(std::string_view compact) {
  if (compact.size() > kMaxJwsBytes) return std::nullopt;
  const auto parts = split(compact, '.');
  if (parts.size() != kParts) return std::nullopt;
  const auto header_text = from_base64url(parts[0]);
  auto payload = from_base64url(parts[1]);
  auto signature = from_base64url(parts[2]);
  if (!header_text || !payload || !signature || signature->empty()) return std::nullopt;
  const auto header = json::parse(*header_text, kMaxHeaderDepth);
  if (!header.ok() || header->as_object() == nullptr || has_forbidden_member(*header)) return std::nullopt;
  const auto algorithm = parse_jws_algorithm(text_of(*header, "alg").value_or(""));
  Jws jws;
  if (!algorithm || !read_optional(*header, "kid", kMaxKeyIdBytes, jws.kid) ||
      !read_optional(*header, "typ", kMaxTypeBytes, jws.type)) {
    return std::nullopt;
  }
  jws.algorithm = *algorithm;
  jws.payload = std::move(*payload);
  jws.signature = std::move(*signature);
  jws.signed_text = compact.substr(0, parts[0].size() + 1 + parts[1].size());
  return jws;
}

std::optional<JwkSet> JwkSet::parse(const json::Value& document) {
  const json::Value* list = document.find("keys");
  const json::Array* keys = list != nullptr ? list->as_array() : nullptr;
  if (keys == nullptr || keys->size() > kMaxJwkSetKeys) return std::nullopt;
  JwkSet set;
  for (const json::Value& jwk : *keys) {
    if (!may_verify(jwk)) continue;
    auto key = std::make_shared<Key>();
    key->kid = text_of(jwk, "kid").value_or("");
    const std::string type = text_of(jwk, "kty").value_or("");
    const std::string curve = text_of(jwk, "crv").value_or("");
    if (const auto name = text_of(jwk, "alg")) {
      key->algorithm = parse_jws_algorithm(*name);
      if (!key->algorithm) continue;
    }
    if (type == "RSA") {
      key->kind = KeyKind::rsa;
      key->openssl = rsa_key(jwk);
    } else if (type == "EC" && (curve == "P-256" || curve == "P-384")) {
      key->kind = curve == "P-256" ? KeyKind::p256 : KeyKind::p384;
      key->openssl = ec_key(jwk, curve.c_str(), coordinate_bytes_of(key->kind));
    } else if (type == "OKP" && curve == "Ed25519") {
      key->kind = KeyKind::ed25519;
      key->ed25519 = bytes_of(jwk, "x").value_or("");
    }
    const bool is_usable = key->openssl != nullptr || key->ed25519.size() == kEd25519KeyBytes;
    if (is_usable) set.keys_.push_back(std::move(key));
  }
  return set;
}

std::vector<const JwkSet::Key*> JwkSet::keys_for(const Jws& jws) const {
  std::vector<const Key*> found;
  for (const auto& key : keys_) {
    if (key->fits(jws)) found.push_back(key.get());
  }
  if (jws.kid.empty() && found.size() > 1) found.clear();
  return found;
}

bool JwkSet::has_key_for(const Jws& jws) const { return !keys_for(jws).empty(); }

bool JwkSet::verifies(const Jws& jws) const {
  const Rule& rule = rule_of(jws.algorithm);
  const auto keys = keys_for(jws);
  return std::any_of(keys.begin(), keys.end(), [&](const Key* key) {
    if (rule.kind == KeyKind::ed25519) return ed25519_verify(key->ed25519, jws.signed_text, jws.signature);
    return openssl_verifies(key->openssl.get(), rule, jws.signed_text, jws.signature);
  });
}

}  // namespace rowhouse::crypto
