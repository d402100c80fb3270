// The pure parts of the stores behind HTTP: URLs, names, XML, sources.
#include "storage/remote_store.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "net/executor.h"
#include "storage/azure_store_impl.h"
#include "storage/store_xml.h"

namespace rowhouse::storage {
namespace {

TEST(StorageUrl, Endpoints) {
  const auto plain = parse_endpoint("HTTP://Minio.Example:9000/");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->origin(), "http://minio.example:9000");
  EXPECT_EQ(plain->path, "");
  const auto six = parse_endpoint("https://[2001:DB8::1]:443/base");
  ASSERT_TRUE(six.ok());
  EXPECT_EQ(six->host, "2001:db8::1");
  EXPECT_EQ(six->authority, "[2001:db8::1]");
  EXPECT_EQ(six->path, "/base");
  for (const char* bad :
       {"", "s3.example.com", "ftp://x", "https://", "https://a@b", "https://x?y", "https://x#y",
        "https://x:0", "https://x:65536", "https://x:y", "https://x y", "https://x\r\ny"}) {
    EXPECT_FALSE(parse_endpoint(bad).ok()) << bad;
  }
}

TEST(StorageUrl, Times) {
  const WallTime time{std::chrono::seconds(1'369'353'600)};
  EXPECT_EQ(compact_time(time), "20130524T000000Z");
  EXPECT_EQ(seconds_time(time), "2013-05-24T00:00:00Z");
  EXPECT_EQ(http_date(time), "Fri, 24 May 2013 00:00:00 GMT");
  EXPECT_EQ(parse_http_date("Fri, 24 May 2013 00:00:00 GMT"), 1'369'353'600'000);
  EXPECT_EQ(parse_rfc3339("2013-05-24T00:00:00.25Z"), 1'369'353'600'250);
  EXPECT_EQ(parse_rfc3339("2013-05-24"), 0);
}

TEST(StorageNames, UploadsBelongToAKey) {
  UploadName name;
  name.condition = PutCondition::absent;
  name.sha256 = std::string(64, 'a');
  name.id = "2~id.with.dots";
  const auto read = UploadName::parse(name.text("key"), "key");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->id, name.id);
  EXPECT_EQ(read->sha256, name.sha256);
  EXPECT_EQ(read->condition, PutCondition::absent);
  EXPECT_FALSE(UploadName::parse(name.text("key"), "other").ok());
  for (const char* bad : {"", ".", "..", "n..", "x.y.z"})
    EXPECT_FALSE(UploadName::parse(bad, "key").ok()) << bad;
}

TEST(StorageNames, AzureOneToOne) {
  EXPECT_EQ(azure_name("a/b.c"), "a/b.c");
  EXPECT_EQ(azure_name("a\\b./c."),
            "a\xef\x81\x9c"
            "b\xef\x80\xae/c\xef\x80\xae");
  for (const std::string key : {"a\\b", "x.", "...", "a./b", "\xef\x81\x9c", "\xef\x83\xb0", "\xef\x83\xb0\\",
                                "\xef\x83\xb0\xef\x81\x9c", "\xef\x80\xae.", "plain"}) {
    EXPECT_EQ(key_of_azure_name(azure_name(key)), key) << key;
  }
}

TEST(StorageXml, Lists) {
  const auto list = parse_s3_list(
      "<?xml version=\"1.0\"?><ListBucketResult "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>"
      "<IsTruncated>true</IsTruncated><NextContinuationToken>t</"
      "NextContinuationToken><Contents><Key>a%2Bb+c</Key><Size>7</Size>"
      "<ETag>&quot;e&quot;</ETag><LastModified>2013-05-24T00:00:00.000Z</LastModified></Contents></"
      "ListBucketResult>");
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->objects.size(), 1U);
  EXPECT_EQ(list->objects[0].key, "a+b c");
  EXPECT_EQ(list->objects[0].bytes, 7U);
  EXPECT_EQ(list->objects[0].etag, "e");
  EXPECT_EQ(list->next_token, "t");
  EXPECT_FALSE(parse_s3_list("<html>").ok());
  EXPECT_FALSE(parse_s3_list("").ok());
  EXPECT_EQ(error_code_of_xml("<Error><Code>NoSuchKey</Code></Error>"), "NoSuchKey");
  EXPECT_EQ(error_code_of_xml(
                "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><Error><Code>&e;</Code></Error>"),
            "&e;");
  EXPECT_EQ(delete_xml({"a<b>&\"c"}).find("a<b>"), std::string::npos);
}

TEST(StorageErrors, ProvidersTextIsNotPassedOn) {
  EXPECT_EQ(provider_error(ErrorCode::storage_failed, "AccessDenied", 403).detail("provider_code"),
            "AccessDenied");
  const Error hostile = provider_error(ErrorCode::storage_failed, "<script> secret", 403);
  EXPECT_EQ(hostile.detail("provider_code"), "http403");
  EXPECT_EQ(hostile.message.find("secret"), std::string::npos);
}

Result<std::string> read(net::TransferSource& source) {
  net::Executor executor;
  return net::run_until_done(executor, read_source(source, 1'000));
}

TEST(CheckedSources, HoldTheEndBack) {
  const std::string right = to_hex(crypto::sha256("hello"));
  TextSource good("hello");
  CheckedSource fine(good, 5, CheckedSource::sha256_digest, right);
  EXPECT_EQ(read(fine).value(), "hello");
  EXPECT_EQ(fine.sha256(), right);
  struct {
    std::string text, sha256;
    ErrorCode code;
  } const bad[] = {{"hellO", right, ErrorCode::checksum_mismatch},
                   {"hell", "", ErrorCode::internal},
                   {"hello!", "", ErrorCode::internal}};
  for (const auto& one : bad) {
    TextSource text(one.text);
    CheckedSource checked(text, 5, CheckedSource::sha256_digest, one.sha256);
    net::Executor executor;
    std::optional<ErrorCode> code;
    while (!code.has_value()) {
      auto piece = net::run_until_done(executor, checked.next());
      if (!piece.ok()) {
        code = piece.error().code;
      } else {
        ASSERT_TRUE(piece->has_value()) << one.text;
        EXPECT_LT((*piece)->size(), 5U) << one.text;  // never the whole
      }
    }
    EXPECT_EQ(code, one.code) << one.text;
  }
}

}  // namespace
}  // namespace rowhouse::storage
