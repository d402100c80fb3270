// Byte equality with the providers' own clients: tests/storage/signatures.json has what they sign.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/azure_signing.h"
#include "storage/gcs_signing.h"
#include "storage/s3_signing.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kFewestCases = 200;

std::string file_text(const std::string& path) {
  std::ifstream stream(path);
  return std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

const std::string& text_of(const json::Value& object, std::string_view name) {
  static const std::string none = "(no such member)";
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : none;
}

std::vector<std::string> sorted_pairs(std::string_view query) {
  std::vector<std::string> pairs;
  for (const std::string_view pair : split(query, '&'))
    pairs.emplace_back(percent_decode(pair, Plus::is_plus).value());
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

class StorageSignatures : public ::testing::Test {
 protected:
  void SetUp() override {
    auto parsed = json::parse(file_text("tests/storage/signatures.json"));
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    file_ = std::move(parsed).value();
    now_ = WallTime(std::chrono::seconds(file_.find("time")->as_int64().value()));
    ASSERT_GE(cases().size(), kFewestCases);
  }
  const json::Array& cases() const { return *file_.find("cases")->as_array(); }

  json::Value file_;
  WallTime now_;
};

// The headers that the client signed, and the signature that it came to.
void expect_same_s3(const S3Signer& signer, const json::Value& told, const std::string& path, WallTime now) {
  EXPECT_EQ(path, text_of(told, "path"));
  const json::Value& headers = *told.find("headers");
  const std::string& authorization = text_of(headers, "authorization");
  const std::size_t names_at = authorization.find("SignedHeaders=") + 14;
  const std::string names = authorization.substr(names_at, authorization.find(',', names_at) - names_at);
  S3Request request;
  request.method = text_of(told, "method");
  request.path = path;
  request.host = text_of(headers, "host");
  for (const auto& [name, value] : *told.find("query")->as_object())
    request.query.emplace_back(name, *value.as_string());
  for (const std::string_view name : split(names, ';')) {
    if (name == "host" || name == "x-amz-date" || name == "x-amz-content-sha256") continue;
    request.headers.emplace_back(name, text_of(headers, name));
  }
  const S3Signature ours = signer.sign(request, text_of(headers, "x-amz-content-sha256"), now);
  EXPECT_EQ(ours.headers.back().second, authorization);
}

TEST_F(StorageSignatures, S3) {
  const S3Signer signer(text_of(file_, "access_key"), text_of(file_, "secret_key"), "eu-central-1");
  for (const json::Value& one : cases()) {
    const std::string& key = text_of(one, "key");
    SCOPED_TRACE(key);
    const json::Value& s3 = *one.find("s3");
    const std::string path = "/bucket/" + escape_path(key);
    expect_same_s3(signer, *s3.find("put"), path, now_);
    expect_same_s3(signer, *s3.find("list"), "/bucket/", now_);
    S3Request link;
    link.method = "GET";
    link.host = "s3.example.com:9000";
    link.path = path;
    link.query = {{"x-id", "GetObject"},
                  {"response-content-disposition", "attachment"},
                  {"X-Amz-Content-Sha256", std::string(kUnsignedPayload)}};
    const std::string& theirs = text_of(s3, "link");
    const std::size_t question = theirs.find('?');
    EXPECT_EQ(theirs.substr(0, question), "https://s3.example.com:9000" + path);
    EXPECT_EQ(sorted_pairs(signer.presign(link, 900, now_)), sorted_pairs(theirs.substr(question + 1)));
  }
}

TEST_F(StorageSignatures, Azure) {
  const auto signer = AzureSigner::create(text_of(file_, "account"), text_of(file_, "account_key"));
  ASSERT_TRUE(signer.ok());
  for (const json::Value& one : cases()) {
    const std::string& key = text_of(one, "key");
    SCOPED_TRACE(key);
    const json::Value& put = *one.find("azure")->find("put");
    AzureRequest request;
    request.method = text_of(put, "method");
    request.path = text_of(put, "path");
    request.content_bytes = 8;
    for (const auto& [name, value] : *put.find("headers")->as_object()) {
      if (name != "Authorization") request.headers.emplace_back(name, *value.as_string());
    }
    EXPECT_EQ(signer->authorization(request), text_of(*put.find("headers"), "Authorization"));
    AzureSas sas;
    sas.container = "container";
    sas.blob = key;
    sas.permissions = "r";
    sas.protocol = "https";
    sas.expiry = seconds_time(now_ + std::chrono::seconds(900));
    sas.content_disposition = "attachment";
    EXPECT_EQ(signer->sas(sas), text_of(*one.find("azure"), "sas"));
  }
}

TEST_F(StorageSignatures, Google) {
  const auto signer =
      GcsSigner::create(text_of(file_, "client_email"), "", file_text("tests/node/signing_key.pem"));
  ASSERT_TRUE(signer.ok());
  for (const json::Value& one : cases()) {
    const std::string& key = text_of(one, "key");
    SCOPED_TRACE(key);
    GcsLink link;
    link.method = "GET";
    link.host = "storage.googleapis.com";
    link.path = "/bucket/" + escape_path(key);
    link.query = {{"response-content-disposition", "attachment"}};
    link.expires_in_s = 900;
    EXPECT_EQ("https://" + link.host + link.path + "?" + signer->sign_url(link, now_), text_of(one, "gcs"));
  }
}

// The examples of "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
class S3Examples : public ::testing::Test {
 protected:
  const S3Signer signer_{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"};
  const WallTime now_{std::chrono::seconds(1'369'353'600)};  // 2013-05-24T00:00:00Z
  const std::string empty_ = to_hex(crypto::sha256(""));
  S3Request request(std::string method, std::string path) const {
    S3Request made;
    made.method = std::move(method);
    made.host = "examplebucket.s3.amazonaws.com";
    made.path = std::move(path);
    return made;
  }
};

TEST_F(S3Examples, Headers) {
  S3Request get = request("GET", "/test.txt");
  get.headers = {{"Range", "bytes=0-9"}};
  EXPECT_EQ(signer_.sign(get, empty_, now_).signature,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  S3Request put = request("PUT", "/test%24file.text");
  put.headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  EXPECT_EQ(signer_.sign(put, to_hex(crypto::sha256("Welcome to Amazon S3.")), now_).signature,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  S3Request lifecycle = request("GET", "/");
  lifecycle.query = {{"lifecycle", ""}};
  EXPECT_EQ(signer_.sign(lifecycle, empty_, now_).signature,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  S3Request list = request("GET", "/");
  list.query = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_EQ(signer_.sign(list, empty_, now_).signature,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_F(S3Examples, Link) {
  EXPECT_TRUE(
      signer_.presign(request("GET", "/test.txt"), 86'400, now_)
          .ends_with("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"));
}

TEST_F(S3Examples, Chunks) {
  S3Request put = request("PUT", "/examplebucket/chunkObject.txt");
  put.host = "s3.amazonaws.com";
  put.headers = {{"Content-Encoding", "aws-chunked"},
                 {"Content-Length", "66824"},
                 {"x-amz-decoded-content-length", "66560"},
                 {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  const S3Signature seed = signer_.sign(put, kStreamingPayload, now_);
  EXPECT_EQ(seed.signature, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
  const std::string first = signer_.chunk_signature(seed.signature, std::string(65'536, 'a'), seed.date);
  EXPECT_EQ(first, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
  const std::string second = signer_.chunk_signature(first, std::string(1'024, 'a'), seed.date);
  EXPECT_EQ(second, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
  EXPECT_EQ(signer_.chunk_signature(second, "", seed.date),
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
  EXPECT_EQ(S3ChunkedSource::encoded_bytes(66'560), 66'824U);
}

TEST(GcsSigning, AssertionIsAJwt) {
  const auto signer = GcsSigner::create("a@b", "kid1", file_text("tests/node/signing_key.pem"));
  ASSERT_TRUE(signer.ok());
  const std::string jwt =
      signer->assertion("https://oauth2.googleapis.com/token", WallTime(std::chrono::seconds(1'000)));
  const auto parts = split(jwt, '.');
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(from_base64url(parts[0]).value(), R"({"alg":"RS256","typ":"JWT","kid":"kid1"})");
  EXPECT_EQ(from_base64url(parts[1]).value(),
            R"({"iss":"a@b","scope":"https://www.googleapis.com/auth/devstorage.read_write",)"
            R"("aud":"https://oauth2.googleapis.com/token","iat":1000,"exp":4600})");
  EXPECT_EQ(from_base64url(parts[2]).value().size(), 256U);
  EXPECT_FALSE(GcsSigner::create("a@b", "", "no key").ok());
}

}  // namespace
}  // namespace rowhouse::storage
