#include "http/object_conditions.h"

#include <gtest/gtest.h>

namespace rowhouse::http {
namespace {

// "FIRST-LAST", "all", or the error's code.
std::string range(std::string_view header, std::uint64_t bytes) {
  const auto read = read_range(header, bytes);
  if (!read.ok()) return std::string(error_code_name(read.error().code));
  if (!*read) return "all";
  return std::to_string((*read)->first) + "-" + std::to_string((*read)->last.value());
}

TEST(ObjectConditions, ReadsRanges) {
  EXPECT_EQ(range("bytes=0-0", 10), "0-0");
  EXPECT_EQ(range("bytes=2-5", 10), "2-5");
  EXPECT_EQ(range("bytes=2-", 10), "2-9");
  EXPECT_EQ(range("bytes=2-99", 10), "2-9");
  EXPECT_EQ(range("bytes=-3", 10), "7-9");
  EXPECT_EQ(range("bytes=-30", 10), "0-9");
  EXPECT_EQ(range(" bytes=9-9 ", 10), "9-9");
}

TEST(ObjectConditions, IgnoresWhatIsNoOneRange) {
  for (const char* header :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=--1",
        "bytes=1-2-3", "bytes=+1-2", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(range(header, 10), "all") << header;
  }
}

TEST(ObjectConditions, RefusesRangesBeyondTheEnd) {
  for (const char* header : {"bytes=10-", "bytes=10-12", "bytes=-0"}) {
    EXPECT_EQ(range(header, 10), "range_not_satisfiable") << header;
  }
  EXPECT_EQ(range("bytes=0-", 0), "range_not_satisfiable");
  EXPECT_EQ(range("bytes=-5", 0), "range_not_satisfiable");
}

TEST(ObjectConditions, ComparesETags) {
  EXPECT_TRUE(etag_listed("\"a\", \"b\"", "\"b\"", WeakEtags::differ));
  EXPECT_TRUE(etag_listed(" * ", "\"b\"", WeakEtags::differ));
  EXPECT_FALSE(etag_listed("\"ab\"", "\"b\"", WeakEtags::differ));
  EXPECT_FALSE(etag_listed("W/\"b\"", "\"b\"", WeakEtags::differ));
  EXPECT_TRUE(etag_listed("W/\"b\"", "\"b\"", WeakEtags::count));
}

std::string condition(std::vector<net::Header> headers) {
  net::HttpRequest request;
  request.headers = std::move(headers);
  const auto read = write_condition(request);
  if (!read.ok()) return std::string(error_code_name(read.error().code));
  using Kind = objects::WriteCondition::Kind;
  if (read->kind == Kind::none) return "none";
  return read->kind == Kind::absent ? "absent" : "version " + read->version;
}

TEST(ObjectConditions, ReadsConditionsOfWrites) {
  EXPECT_EQ(condition({}), "none");
  EXPECT_EQ(condition({{"If-None-Match", "*"}}), "absent");
  EXPECT_EQ(condition({{"If-Match", "\"v1\""}}), "version v1");
  EXPECT_EQ(condition({{"If-Match", "*"}}), "version ");
  for (const char* wrong : {"v1", "\"\"", "\"a\", \"b\"", "W/\"a\"", ""}) {
    EXPECT_EQ(condition({{"If-Match", wrong}}), "invalid_parameter") << wrong;
  }
  EXPECT_EQ(condition({{"If-None-Match", "\"v1\""}}), "invalid_parameter");
  EXPECT_EQ(condition({{"If-None-Match", "*"}, {"If-Match", "*"}}), "invalid_parameter");
}

TEST(ObjectConditions, NamesAreSafeAndOnlyPicturesAreShown) {
  EXPECT_EQ(content_disposition("image/png", "cat.png"), "inline; filename=\"cat.png\"");
  EXPECT_EQ(content_disposition("Image/PNG; x=y", "cat.png"), "inline; filename=\"cat.png\"");
  for (const char* type :
       {"text/html", "image/svg+xml", "application/pdf", "application/xhtml+xml", "", "text/xml"}) {
    EXPECT_TRUE(content_disposition(type, "x").starts_with("attachment;")) << type;
  }
  EXPECT_EQ(content_disposition("text/plain", "a\"b\r\n\u00fc%.txt"),
            "inline; filename=\"a_b____"
            "_.txt\"; filename*=UTF-8''a%22b%0D%0A%C3%BC%25.txt");
  EXPECT_EQ(file_name_of("a/b/c.txt"), "c.txt");
  EXPECT_EQ(file_name_of("c.txt"), "c.txt");
  EXPECT_EQ(http_date(784'111'777'000), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace rowhouse::http
