#include "base/json.h"

#include <gtest/gtest.h>

namespace rowhouse::json {
namespace {

std::string again(std::string_view text) {
  const auto value = parse(text);
  return value.ok() ? serialize(*value) : "error: " + value.error().message;
}

void expect_refused(std::string_view text) {
  const auto value = parse(text);
  ASSERT_FALSE(value.ok()) << text << " became " << serialize(*value);
  EXPECT_EQ(value.error().code, ErrorCode::malformed_json) << text;
  EXPECT_FALSE(value.error().message.empty()) << text;
}

TEST(JsonParseTest, EveryKindOfValue) {
  for (const char* text : {"null", "true", "false", "0", "-1", "\"\"", "[]", "{}", "[1,[2,{\"a\":[]}]]",
                           "{\"a\":null,\"b\":{\"c\":\"d\"}}"}) {
    EXPECT_EQ(again(text), text);
  }
  EXPECT_EQ(again(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"), "{\"a\":[1,2]}");
}

TEST(JsonParseTest, NumbersKeepTheirText) {
  for (const char* text : {"12345678901234567890123456789", "0.10", "1e400", "-0", "1E+2",
                           "1.000000000000000000001", "-9223372036854775809", "18446744073709551616"}) {
    EXPECT_EQ(again(text), text);
    EXPECT_EQ(parse(text)->as_number()->text, text);
  }
}

TEST(JsonParseTest, MembersKeepTheirOrder) {
  EXPECT_EQ(again("{\"z\":1,\"a\":2,\"m\":{\"y\":3,\"b\":4}}"), "{\"z\":1,\"a\":2,\"m\":{\"y\":3,\"b\":4}}");
}

TEST(JsonParseTest, StringsAreUnescaped) {
  const auto value = parse(R"("\"\\\/\b\f\n\r\tA\u00e9\ud83e\udd8a\u0000")");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value->as_string(), std::string("\"\\/\b\f\n\r\tAé🦊\0", 16));
}

TEST(JsonParseTest, LongStringsAndKeysArriveWhole) {
  const std::string body(100'000, 'x');
  const std::string key(2'000, 'k');
  const auto value = parse("{\"" + key + "\":\"" + body + "\\n" + body + "\"}");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value->find(key)->as_string(), body + "\n" + body);
}

TEST(JsonParseTest, RefusesWhatIsNotJson) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "{]",
                           "nope",
                           "tru",
                           "'x'",
                           "{\"a\":1,}",
                           "[1,]",
                           "{a:1}",
                           "1.",
                           ".5",
                           "01",
                           "+1",
                           "0x1",
                           "NaN",
                           "Infinity",
                           "1 2",
                           "{} {}",
                           "{}x",
                           "/*c*/1",
                           "1//c",
                           "\"a",
                           "\"\t\"",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\\udc00\\ud800\"",
                           "\xef\xbb\xbf{}",
                           "[1}",
                           "{\"a\"}"}) {
    expect_refused(text);
  }
}

TEST(JsonParseTest, RefusesInvalidUtf8) {
  for (const char* text : {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xe2\x82\"", "{\"\xfe\":1}",
                           "\"\xf4\x90\x80\x80\""}) {
    expect_refused(text);
  }
}

TEST(JsonParseTest, RefusesARawNul) { expect_refused(std::string_view("\"a\0b\"", 5)); }

TEST(JsonParseTest, RefusesAMemberThatComesTwice) {
  expect_refused(R"({"a":1,"a":2})");
  expect_refused(R"([{"x":{"b":1,"c":2,"b":3}}])");
  expect_refused(R"({"a":1,"\u0061":2})");
  EXPECT_NE(parse(R"({"a":1,"a":2})").error().message.find("\"a\""), std::string::npos);
  EXPECT_EQ(again(R"({"a":{"a":{"a":1}}})"), R"({"a":{"a":{"a":1}}})");
}

TEST(JsonParseTest, DepthIsBounded) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse(nested(kMaxDepth)).ok());
  expect_refused(nested(kMaxDepth + 1));
  expect_refused(std::string(100'000, '['));
  EXPECT_TRUE(parse(nested(3), 3).ok());
  EXPECT_FALSE(parse(nested(4), 3).ok());
  EXPECT_NE(parse(nested(40)).error().message.find("32"), std::string::npos);
}

TEST(JsonParseTest, TheMessageSaysWhere) {
  EXPECT_NE(parse("[1,2,x]").error().message.find("byte 5"), std::string::npos);
}

TEST(JsonValueTest, FindAndSet) {
  Value value;
  value.set("a", 1);
  value.set("b", "text");
  value.set("a", true);
  EXPECT_EQ(serialize(value), "{\"a\":true,\"b\":\"text\"}");
  EXPECT_EQ(*value.find("b")->as_string(), "text");
  EXPECT_EQ(value.find("c"), nullptr);
  EXPECT_EQ(Value(5).find("a"), nullptr);
}

TEST(JsonValueTest, Int64OnlyOfIntegersThatFit) {
  EXPECT_EQ(parse("-12")->as_int64(), -12);
  EXPECT_EQ(parse("9223372036854775807")->as_int64(), 9223372036854775807);
  for (const char* text : {"9223372036854775808", "1.0", "1e2", "\"1\"", "true", "null"}) {
    EXPECT_FALSE(parse(text)->as_int64()) << text;
  }
}

TEST(JsonValueTest, TypeNames) {
  EXPECT_EQ(Value().type_name(), "null");
  EXPECT_EQ(Value(true).type_name(), "boolean");
  EXPECT_EQ(Value(1).type_name(), "number");
  EXPECT_EQ(Value("x").type_name(), "string");
  EXPECT_EQ(Value(Array()).type_name(), "array");
  EXPECT_EQ(Value(Object()).type_name(), "object");
}

TEST(JsonSerializeTest, EscapesWhatMustBe) {
  std::string out;
  append_string(out, std::string("a\"\\\n\r\t\b\x01\x1f\x7f/é", 13));
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\r\\t\\u0008\\u0001\\u001f\x7f/é\"");
  EXPECT_EQ(serialize(*parse(out)), out);
}

TEST(JsonSerializeTest, PrettyReadsBackEqual) {
  const auto value = parse(R"({"a":[1,{"b":[]},{}],"c":"x\ny","d":{"e":null}})");
  ASSERT_TRUE(value.ok());
  const std::string pretty = serialize_pretty(*value);
  EXPECT_NE(pretty.find("\n  \"a\": [\n    1,"), std::string::npos) << pretty;
  EXPECT_EQ(*parse(pretty), *value);
}

}  // namespace
}  // namespace rowhouse::json
