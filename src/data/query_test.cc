#include "data/query.h"

#include <gtest/gtest.h>

#include "testing/sample_resource.h"

namespace rowhouse::data {
namespace {

using testing::sample_resource;

class QueryTest : public ::testing::Test {
 protected:
  Result<Query> parse(std::string_view text, QueryUse use = QueryUse::list) {
    auto parameters = parse_parameters(text);
    if (!parameters.ok()) return parameters.error();
    return parse_query(*parameters, resource_, options_, use);
  }
  Filter filter(std::string_view text) {
    const auto query = parse(text);
    EXPECT_TRUE(query.ok()) << text << ": " << query.error().message;
    return query->filters.at(0);
  }
  void expect_refused(std::string_view text, ErrorCode code, std::string_view path,
                      QueryUse use = QueryUse::list) {
    const auto query = parse(text, use);
    ASSERT_FALSE(query.ok()) << text;
    EXPECT_EQ(query.error().code, code) << text << ": " << query.error().message;
    ASSERT_EQ(query.error().fields.size(), 1U) << text;
    EXPECT_EQ(query.error().fields[0].path, path) << text;
  }
  std::string order_of(std::string_view text) {
    const auto query = parse(text);
    if (!query.ok()) return query.error().message;
    std::string out;
    for (const SortTerm& term : query->order) {
      out +=
          term.column->name + (term.descending ? "-" : "+") + (term.nulls == NullPlace::first ? "< " : "> ");
    }
    return out;
  }

  const tenancy::Resource resource_ = sample_resource();
  const DataOptions options_;
};

TEST_F(QueryTest, NothingMeansEverythingInTheDefaultOrder) {
  const auto query = parse("");
  ASSERT_TRUE(query.ok());
  EXPECT_TRUE(query->filters.empty());
  EXPECT_EQ(query->select.size(), resource_.columns.size());
  EXPECT_EQ(query->limit, 50U);
  EXPECT_EQ(query->count, Count::none);
  EXPECT_EQ(order_of(""), "at-< id-< ");
}

TEST_F(QueryTest, EveryOperator) {
  EXPECT_EQ(filter("name=eq.Ada").operation, Operator::equal);
  EXPECT_EQ(filter("name=neq.Ada").operation, Operator::not_equal);
  EXPECT_EQ(filter("stock=lt.5").operation, Operator::less);
  EXPECT_EQ(filter("stock=lte.5").operation, Operator::less_or_equal);
  EXPECT_EQ(filter("stock=gt.5").operation, Operator::greater);
  EXPECT_EQ(filter("stock=gte.-5").operand, "-5");
  EXPECT_EQ(filter("done=is.true").operation, Operator::is_true);
  EXPECT_EQ(filter("done=is.false").operation, Operator::is_false);
  EXPECT_EQ(filter("note=is.null").operation, Operator::is_null);
  EXPECT_EQ(filter("plain=is.not_null").operation, Operator::is_not_null);
  EXPECT_EQ(filter("extra=contains.%7B%22a%22%3A1%7D").operand, "{\"a\":1}");
  EXPECT_EQ(filter("tags=contains.[\"a\",\"b\\\"c\"]").operand, "{\"a\",\"b\\\"c\"}");
  EXPECT_EQ(filter("tags=contained.[]").operand, "{}");
  EXPECT_EQ(filter("done=eq.yes").operand, "true");
}

TEST_F(QueryTest, TheOperandIsEverythingBehindTheDot) {
  EXPECT_EQ(filter("note=eq.a.b.c").operand, "a.b.c");
  EXPECT_EQ(filter("note=eq.").operand, "");
  EXPECT_EQ(filter("note=eq.a=b").operand, "a=b");
  EXPECT_EQ(filter("note=eq.not.eq.x").operand, "not.eq.x");
  EXPECT_EQ(filter("note=eq.%E2%82%AC+5").operand, "€ 5");
}

TEST_F(QueryTest, NotNegates) {
  EXPECT_EQ(filter("name=eq.x").polarity, Polarity::plain);
  EXPECT_EQ(filter("name=not.eq.x").polarity, Polarity::negated);
  EXPECT_EQ(filter("note=not.is.null").operation, Operator::is_null);
  expect_refused("name=not.not.eq.x", ErrorCode::unknown_operator, "name");
}

TEST_F(QueryTest, OnlyTheStarIsAWildcard) {
  EXPECT_EQ(filter("name=like.*a*").operand, "%a%");
  EXPECT_EQ(filter("name=ilike.100%25_\\x").operand, "100\\%\\_\\\\x");
  for (const char* text : {"stock=like.1*", "id=ilike.*", "mood=like.h*", "extra=like.*", "tags=like.*"}) {
    expect_refused(text, ErrorCode::invalid_parameter,
                   std::string_view(text).substr(0, std::string_view(text).find('=')));
  }
}

TEST_F(QueryTest, Lists) {
  EXPECT_EQ(filter("name=in.(NEW,\"a,b\")").operand, "{\"NEW\",\"a,b\"}");
  EXPECT_EQ(filter("name=in.()").operand, "{}");
  EXPECT_EQ(filter("name=in.(\"\")").operand, "{\"\"}");
  EXPECT_EQ(filter("name=in.(a,)").operand, "{\"a\",\"\"}");
  EXPECT_EQ(filter("name=in.(,)").operand, "{\"\",\"\"}");
  EXPECT_EQ(filter("name=in.(a)b,c)").operand, "{\"a)b\",\"c\"}");
  EXPECT_EQ(filter("name=in.(\"q\\\"\\\\\",NULL)").operand, "{\"q\\\"\\\\\",\"NULL\"}");
  EXPECT_EQ(filter("stock=in.(1,2)").operand, "{\"1\",\"2\"}");
  for (const char* text :
       {"name=in.a", "name=in.(", "name=in.)", "name=in.(\"a)", "name=in.(\"a\"b)", "stock=in.(1,x)",
        "stock=in.(1,)", "tags=in.(a)", "extra=in.({})", "mood=in.(happy,bored)"}) {
    expect_refused(text, ErrorCode::invalid_parameter,
                   std::string_view(text).substr(0, std::string_view(text).find('=')));
  }
}

TEST_F(QueryTest, AListHasALimit) {
  std::string items = "1";
  for (int i = 0; i < 999; ++i) items += ",1";
  EXPECT_TRUE(parse("stock=in.(" + items + ")").ok());
  expect_refused("stock=in.(" + items + ",1)", ErrorCode::invalid_parameter, "stock");
}

TEST_F(QueryTest, ValuesAreCheckedAgainstTheColumnsType) {
  for (const char* text : {"stock=eq.1.5", "stock=eq.99999999999", "small=eq.40000", "stock=eq.",
                           "stock=eq.+1", "price=eq.many", "id=eq.1", "done=eq.maybe", "at=gt.now",
                           "born=eq.today", "extra=eq.{", "raw=eq.zz", "mood=eq.bored"}) {
    expect_refused(text, ErrorCode::invalid_parameter,
                   std::string_view(text).substr(0, std::string_view(text).find('=')));
  }
  // Too long or too precise is no fault here: it matches nothing.
  EXPECT_TRUE(parse("name=eq.longer-than-ten").ok());
  EXPECT_TRUE(parse("price=gt.123456789.123").ok());
  EXPECT_TRUE(parse("ratio=eq.NaN").ok());
}

TEST_F(QueryTest, WhatATypeDoesNotOffer) {
  expect_refused("extra=gt.{}", ErrorCode::invalid_parameter, "extra");
  expect_refused("plain=eq.{}", ErrorCode::invalid_parameter, "plain");
  expect_refused("plain=contains.{}", ErrorCode::invalid_parameter, "plain");
  expect_refused("name=contains.x", ErrorCode::invalid_parameter, "name");
  expect_refused("name=is.true", ErrorCode::invalid_parameter, "name");
  expect_refused("name=is.empty", ErrorCode::invalid_parameter, "name");
}

TEST_F(QueryTest, UnknownNamesAreNamed) {
  expect_refused("nothing=eq.1", ErrorCode::unknown_column, "nothing");
  expect_refused("tenant_id=eq.1", ErrorCode::unknown_column, "tenant_id");
  expect_refused("select=name,x", ErrorCode::unknown_column, "select");
  expect_refused("select=", ErrorCode::unknown_column, "select");
  expect_refused("select=*", ErrorCode::unknown_column, "select");
  expect_refused("order=x.desc", ErrorCode::unknown_column, "order");
  expect_refused("name=Ada", ErrorCode::unknown_operator, "name");
  expect_refused("name=", ErrorCode::unknown_operator, "name");
  expect_refused("name=equals.Ada", ErrorCode::unknown_operator, "name");
  const auto query = parse("name=equals.Ada");
  EXPECT_NE(query.error().message.find("equals"), std::string::npos);
  EXPECT_NE(query.error().message.find("eq, neq, lt, lte, gt, gte, like, ilike, in, is, contains, contained"),
            std::string::npos);
  EXPECT_NE(parse("nothing=eq.1").error().message.find("nothing"), std::string::npos);
}

TEST_F(QueryTest, LongNamesAreCutInMessages) {
  const auto query = parse(std::string(500, 'x') + "é=eq.1");
  ASSERT_FALSE(query.ok());
  EXPECT_LT(query.error().message.size(), 200U);
}

TEST_F(QueryTest, SelectKeepsTheOrderAskedFor) {
  const auto query = parse("select=price,id");
  ASSERT_TRUE(query.ok());
  ASSERT_EQ(query->select.size(), 2U);
  EXPECT_EQ(query->select[0]->name, "price");
  EXPECT_EQ(query->select[1]->name, "id");
  expect_refused("select=id,id", ErrorCode::invalid_parameter, "select");
}

TEST_F(QueryTest, OrderEndsWithIdInTheLastDirection) {
  EXPECT_EQ(order_of("order=name"), "name+> id+> ");
  EXPECT_EQ(order_of("order=-at,name"), "at-< name+> id+> ");
  EXPECT_EQ(order_of("order=name.asc,price.desc"), "name+> price-< id-< ");
  EXPECT_EQ(order_of("order=price.desc.nullslast"), "price-> id-< ");
  EXPECT_EQ(order_of("order=price.nullsfirst"), "price+< id+> ");
  EXPECT_EQ(order_of("order=-price.nullslast"), "price-> id-< ");
  EXPECT_EQ(order_of("order=name,id.desc,price"), "name+> id-< ");
}

TEST_F(QueryTest, OrdersThatMakeNoSense) {
  for (const char* text :
       {"order=name,name", "order=name.sideways", "order=-name.desc", "order=name.desc.asc",
        "order=name.nullsfirst.nullslast", "order=extra", "order=-plain", "order=name.nullsfirst.desc",
        "order=name,note,stock,small,price,ratio,done,born,at"}) {
    expect_refused(text, ErrorCode::invalid_parameter, "order");
  }
}

TEST_F(QueryTest, Limits) {
  EXPECT_EQ(parse("limit=1")->limit, 1U);
  EXPECT_EQ(parse("limit=1000")->limit, 1000U);
  for (const char* text :
       {"limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=", "limit=99999999999999999999"}) {
    expect_refused(text, ErrorCode::invalid_parameter, "limit");
  }
}

TEST_F(QueryTest, WordsComeOnceAndFiltersOften) {
  expect_refused("limit=1&limit=2", ErrorCode::invalid_parameter, "limit");
  expect_refused("count=some", ErrorCode::invalid_parameter, "count");
  expect_refused("cursor=", ErrorCode::invalid_parameter, "cursor");
  EXPECT_EQ(parse("count=exact")->count, Count::exact);
  const auto query = parse("price=gte.1&price=lt.5");
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->filters.size(), 2U);
  std::string many;
  for (int i = 0; i < 33; ++i) many += "price=gte.1&";
  expect_refused(many, ErrorCode::invalid_parameter, "price");
}

TEST_F(QueryTest, RoutesOfferWhatTheyCan) {
  EXPECT_TRUE(parse("select=name", QueryUse::one_row).ok());
  expect_refused("name=eq.x", ErrorCode::invalid_parameter, "name", QueryUse::one_row);
  expect_refused("limit=1", ErrorCode::invalid_parameter, "limit", QueryUse::one_row);
  EXPECT_TRUE(parse("format=csv&name=eq.x&order=name&select=id", QueryUse::export_rows).ok());
  expect_refused("limit=5", ErrorCode::invalid_parameter, "limit", QueryUse::export_rows);
  expect_refused("cursor=x", ErrorCode::invalid_parameter, "cursor", QueryUse::export_rows);
  expect_refused("format=csv", ErrorCode::invalid_parameter, "format");
}

TEST_F(QueryTest, TheFingerprintIsThatOfTheMeaning) {
  const auto print = [&](std::string_view text) { return fingerprint(resource_, *parse(text)); };
  EXPECT_EQ(print("name=eq.a&price=gt.1"), print("price=gt.1&name=eq.a"));
  EXPECT_EQ(print("order=-at"), print("")) << "the default order, spelled out";
  EXPECT_EQ(print("limit=5&select=id&count=exact"), print(""));
  EXPECT_NE(print("name=eq.a"), print("name=eq.b"));
  EXPECT_NE(print("name=eq.a"), print("note=eq.a"));
  EXPECT_NE(print("name=eq.a"), print("name=not.eq.a"));
  EXPECT_NE(print("name=eq.a"), print("name=neq.a"));
  EXPECT_NE(print("order=name"), print("order=-name"));
  EXPECT_NE(print("order=price"), print("order=price.nullsfirst"));
  EXPECT_NE(print("name=eq.a&name=eq.b"), print("name=eq.ab"));
}

TEST(ParametersTest, DecodesNamesAndValues) {
  const auto parameters = parse_parameters("a=1&b+c=%3D&&d&e=");
  ASSERT_TRUE(parameters.ok());
  const Parameters expected = {{"a", "1"}, {"b c", "="}, {"d", ""}, {"e", ""}};
  EXPECT_EQ(*parameters, expected);
  EXPECT_TRUE(parse_parameters("")->empty());
}

TEST(ParametersTest, RefusesWhatIsNoText) {
  for (const char* text : {"a=%", "a=%zz", "%4=1", "a=%FF", "a=%ED%A0%80", "a=%00", "a%00=1"}) {
    const auto parameters = parse_parameters(text);
    ASSERT_FALSE(parameters.ok()) << text;
    EXPECT_EQ(parameters.error().code, ErrorCode::invalid_parameter);
  }
  std::string many;
  for (int i = 0; i < 100; ++i) many += "a=1&";
  EXPECT_TRUE(parse_parameters(many).ok());
  EXPECT_FALSE(parse_parameters(many + "a=1").ok());
}

}  // namespace
}  // namespace rowhouse::data
