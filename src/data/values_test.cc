#include "data/values.h"

#include <gtest/gtest.h>

#include "data/body.h"
#include "testing/sample_resource.h"

namespace rowhouse::data {
namespace {

using testing::sample_resource;

class ValuesTest : public ::testing::Test {
 protected:
  // "VALUE", "NULL" or "! FAULT" after both checks.
  std::string from_json(std::string_view column, std::string_view text) {
    return shown(column, convert_json(*resource_.find_column(column), json::parse(text).value()));
  }
  std::string from_text(std::string_view column, std::string_view text) {
    return shown(column, convert_text(*resource_.find_column(column), text));
  }
  const tenancy::Resource resource_ = sample_resource();

 private:
  std::string shown(std::string_view name, Converted converted) {
    if (converted.ok() && converted.value)
      converted.fault = storage_fault(*resource_.find_column(name), *converted.value);
    if (!converted.ok()) return "! " + converted.fault;
    return converted.value.value_or("NULL");
  }
};

TEST_F(ValuesTest, JsonOfTheRightTypeIsTaken) {
  EXPECT_EQ(from_json("name", "\"Žofie 🦊123\""), "Žofie 🦊123") << "ten characters, more bytes";
  EXPECT_EQ(from_json("note", "\"\""), "");
  EXPECT_EQ(from_json("note", "null"), "NULL");
  EXPECT_EQ(from_json("extra", "null"), "NULL");
  EXPECT_EQ(from_json("stock", "-2147483648"), "-2147483648");
  EXPECT_EQ(from_json("small", "32767"), "32767");
  EXPECT_EQ(from_json("price", "9999.99"), "9999.99");
  EXPECT_EQ(from_json("price", "1e3"), "1e3");
  EXPECT_EQ(from_json("ratio", "\"-Infinity\""), "-Infinity");
  EXPECT_EQ(from_json("done", "false"), "false");
  EXPECT_EQ(from_json("id", "\"0197F3A2-89ab-7cde-8f01-23456789abcd\""),
            "0197F3A2-89ab-7cde-8f01-23456789abcd");
  EXPECT_EQ(from_json("extra", "[1,{\"a\":2.50}]"), "[1,{\"a\":2.50}]");
  EXPECT_EQ(from_json("tags", R"(["a","b,c","","NULL","q\"\\",null,1,true])"),
            R"({"a","b,c","","NULL","q\"\\",NULL,"1","true"})");
  EXPECT_EQ(from_json("tags", R"([["a"],["b"]])"), R"({{"a"},{"b"}})");
  EXPECT_EQ(from_json("raw", "\"\\\\x00fF\""), "\\x00fF");
  EXPECT_EQ(from_json("address", "\"anything\""), "anything") << "PostgreSQL's to judge";
  EXPECT_EQ(from_json("mood", "\"happy\""), "happy");
  EXPECT_EQ(from_json("at", "\"infinity\""), "infinity");
}

TEST_F(ValuesTest, EverythingElseHasAReason) {
  EXPECT_EQ(from_json("name", "5"), "! must be a string, not number");
  EXPECT_EQ(from_json("name", "\"elevenchars\""), "! must have at most 10 characters");
  EXPECT_EQ(from_json("note", "\"a\\u0000\""), "! must not contain the character NUL");
  EXPECT_EQ(from_json("stock", "\"5\""), "! must be an integer, not string");
  EXPECT_EQ(from_json("stock", "1.0"), "! must be an integer");
  EXPECT_EQ(from_json("stock", "1e3"), "! must be an integer");
  EXPECT_EQ(from_json("stock", "2147483648"), "! must be between -2147483648 and 2147483647");
  EXPECT_EQ(from_json("small", "99999999999999999999"), "! must be between -32768 and 32767");
  EXPECT_EQ(from_json("price", "10000"), "! must have at most 4 digits before the decimal point");
  EXPECT_EQ(from_json("price", "\"Infinity\""), "! must be a finite number");
  EXPECT_EQ(from_json("price", "\"12\""), "! must be a number, not string");
  EXPECT_EQ(from_json("done", "1"), "! must be a boolean, not number");
  EXPECT_EQ(from_json("id", "\"me\""), "! must be a UUID");
  EXPECT_EQ(from_json("at", "\"yesterday\""), "! must be a time such as 2026-11-21T05:40:00Z");
  EXPECT_EQ(from_json("born", "20240101"), "! must be a string, not number");
  EXPECT_EQ(from_json("extra", R"({"a":["\u0000"]})"), "! must not contain the character NUL");
  EXPECT_EQ(from_json("extra", R"({"\u0000":1})"), "! must not contain the character NUL");
  EXPECT_EQ(from_json("tags", "\"a\""), "! must be an array, not string");
  EXPECT_EQ(from_json("tags", "[{}]"), "! must be an array of simple values");
  EXPECT_EQ(from_json("tags", "[\"\\u0000\"]"), "! must not contain the character NUL");
  EXPECT_EQ(from_json("raw", "\"00ff\""), "! must be bytes in hexadecimal such as \\x00ff");
  EXPECT_EQ(from_json("mood", "\"bored\""), "! must be one of sad, happy");
}

TEST_F(ValuesTest, TextOfCells) {
  EXPECT_EQ(from_text("done", "Yes"), "true");
  EXPECT_EQ(from_text("done", "0"), "false");
  EXPECT_EQ(from_text("done", "2"), "! must be true or false");
  EXPECT_EQ(from_text("stock", "007"), "7");
  EXPECT_EQ(from_text("stock", " 7"), "! must be an integer");
  EXPECT_EQ(from_text("ratio", "+1.5e-3"), "+1.5e-3");
  EXPECT_EQ(from_text("ratio", "0x10"), "! must be a number");
  EXPECT_EQ(from_text("tags", "{a,b}"), "{a,b}");
  EXPECT_EQ(from_text("tags", "[\"a\"]"), "{\"a\"}");
  EXPECT_EQ(from_text("tags", "a"), "! must be an array such as [\"a\",\"b\"]");
  EXPECT_EQ(from_text("extra", "{\"a\": 1}"), "{\"a\": 1}");
  EXPECT_TRUE(from_text("extra", "{").starts_with("! must be JSON: "));
  EXPECT_EQ(from_text("note", std::string_view("a\0", 2)), "! must not contain the character NUL");
}

TEST_F(ValuesTest, DigitsBeforeThePoint) {
  for (const char* fits :
       {"0", "-9999.999", "0.00001", "00012.5", "99990e-1", "0e9", "1e-99999999999999999999", "NaN"}) {
    EXPECT_EQ(from_text("price", fits), fits);
  }
  for (const char* too_many : {"10000", "-12345", "0.1e6", "1e4", "99999e0", "1e99999999999999999999"}) {
    EXPECT_TRUE(from_text("price", too_many).starts_with("! ")) << too_many;
  }
}

TEST(NumberTextTest, Syntax) {
  for (const char* good : {"0", "-1", "+1", "1.", ".5", "1.5e10", "1E-3", "NaN", "Infinity", "-Infinity"}) {
    EXPECT_TRUE(is_number_text(good)) << good;
  }
  for (const char* bad : {"", "-", ".", "e5", "1e", "1e+", "1 ", " 1", "1,5", "0x1", "nan", "inf", "--1"}) {
    EXPECT_FALSE(is_number_text(bad)) << bad;
  }
}

class BodyTest : public ::testing::Test {
 protected:
  std::vector<std::string> faults(std::string_view text, BodyUse use = BodyUse::create) {
    const auto body = parse_body(resource_, text, use, 3);
    std::vector<std::string> found;
    if (body.ok()) return found;
    EXPECT_EQ(body.error().code, ErrorCode::validation_failed) << body.error().message;
    for (const FieldError& field : body.error().fields) found.push_back(field.path + " " + field.message);
    return found;
  }
  using List = std::vector<std::string>;
  const tenancy::Resource resource_ = sample_resource();
};

TEST_F(BodyTest, RowsKnowWhatWasGiven) {
  const auto body = parse_body(resource_, R"([{"name":"a","note":null},{"name":"b"}])", BodyUse::create, 3);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body->shape, BodyShape::array);
  ASSERT_EQ(body->rows.size(), 2U);
  EXPECT_EQ(body->rows[0].cells[1], pg::Param("a"));
  ASSERT_TRUE(body->rows[0].cells[2].has_value());
  EXPECT_FALSE(body->rows[0].cells[2]->has_value()) << "NULL was given";
  EXPECT_FALSE(body->rows[1].cells[2].has_value()) << "nothing was given";
}

TEST_F(BodyTest, AllFaultsAtOnceWithTheirPlaces) {
  EXPECT_EQ(faults(R"([{"name":1,"stock":"x"},{"name":"fine"},{"note":5,"nothing":1}])"),
            (List{"/0/name must be a string, not number", "/0/stock must be an integer, not string",
                  "/2/note must be a string, not number", "/2/nothing there is no such column in things",
                  "/2/name is required"}));
  EXPECT_EQ(faults(R"({"name":null})"), (List{"/name must not be null"}));
  EXPECT_EQ(faults(R"({"name":"x","a/b~c":1,"":2})"),
            (List{"/a~1b~0c there is no such column in things", "/ there is no such column in things"}));
}

TEST_F(BodyTest, ColumnsThatAreNotTheCallersToSet) {
  EXPECT_EQ(faults(R"({"name":"x","tenant_id":null,"version":1,"total":2})"),
            (List{"/tenant_id must be left out: the credential decides which tenant the row belongs to",
                  "/version must be left out: the database keeps this column",
                  "/total must be left out: the database keeps this column"}));
  EXPECT_EQ(faults(R"({"id":"0197f3a2-89ab-7cde-8f01-23456789abcd"})", BodyUse::update),
            (List{"/id must be left out: the id of a row does not change"}));
  EXPECT_EQ(faults(R"({"name":"x","id":"0197f3a2-89ab-7cde-8f01-23456789abcd"})"), List());
}

TEST_F(BodyTest, Shapes) {
  EXPECT_EQ(faults("[]"), (List{" must have at least one element"}));
  EXPECT_EQ(faults("[1,[]]"), (List{"/0 must be an object, not number", "/1 must be an object, not array"}));
  EXPECT_EQ(faults("null"), (List{" must be an object, not null"}));
  EXPECT_EQ(faults(R"([{"name":"a"},{"name":"a"},{"name":"a"},{"name":"a"}])"),
            (List{" must have at most 3 elements"}));
  EXPECT_EQ(faults("{}", BodyUse::update), (List{" must have at least one member"}));
  EXPECT_EQ(faults("[{\"name\":\"x\"}]", BodyUse::update), (List{" must be an object, not array"}));
  EXPECT_EQ(parse_body(resource_, "{", BodyUse::create, 3).error().code, ErrorCode::malformed_json);
}

TEST_F(BodyTest, FaultsAreBounded) {
  std::string text = "{\"name\":\"x\"";
  for (int i = 0; i < 200; ++i) text += ",\"x" + std::to_string(i) + "\":1";
  EXPECT_EQ(faults(text + "}").size(), kMaxFaults);
}

TEST(ArgumentsTest, NamesAndTypes) {
  tenancy::Function function;
  function.name = "f";
  function.arguments.resize(2);
  function.arguments[0].name = "first";
  function.arguments[0].kind = tenancy::ColumnKind::integer;
  function.arguments[1].name = "second";
  function.arguments[1].kind = tenancy::ColumnKind::text;
  function.arguments[1].has_default = true;
  const auto good = parse_arguments(function, R"({"first":5})");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ((*good)[0], pg::Param("5"));
  EXPECT_FALSE((*good)[1].has_value());
  EXPECT_EQ(parse_arguments(function, "").error().fields.at(0).path, "/first");
  EXPECT_EQ(parse_arguments(function, R"({"first":"x"})").error().fields.at(0).path, "/first");
  EXPECT_EQ(parse_arguments(function, R"({"first":1,"third":1})").error().fields.at(0).path, "/third");
}

}  // namespace
}  // namespace rowhouse::data
