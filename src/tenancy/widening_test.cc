#include "tenancy/widening.h"

#include <gtest/gtest.h>

namespace rowhouse::tenancy {
namespace {

TEST(Widening, OfTypes) {
  const char* const kWider[][2] = {
      {"integer", "integer"},
      {"character varying(50)", "character varying(50)"},
      {"character varying(50)", "character varying(100)"},
      {"character varying(50)", "character varying"},
      {"character varying(50)", "text"},
      {"character varying(50)[]", "text[]"},
      {"text", "character varying"},
      {"bit varying(5)", "bit varying(6)"},
      {"numeric(10,2)", "numeric(12,2)"},
      {"timestamp(3) with time zone", "timestamp(6) with time zone"},
      {"timestamp(3) with time zone", "timestamp with time zone"},
      {"interval day to second(3)", "interval day to second(4)"},
  };
  for (const auto& [from, to] : kWider) EXPECT_TRUE(is_same_or_wider_type(from, to)) << from << " → " << to;
  const char* const kOthers[][2] = {
      {"integer", "bigint"},  // another type to every client
      {"character varying(50)", "character varying(49)"},
      {"character varying", "character varying(50)"},
      {"text", "character varying(50)"},
      {"character varying(50)", "character varying(50)[]"},
      {"character(10)", "character(20)"},  // padded
      {"character(10)", "text"},
      {"numeric(10,2)", "numeric(12,4)"},  // other digits
      {"numeric(10,2)", "numeric"},
      {"numeric", "numeric(10,2)"},
      {"timestamp(3) with time zone", "timestamp(6) without time zone"},
      {"timestamp with time zone", "timestamp(3) with time zone"},
      {"real", "double precision"},
      {"cidr", "inet"},
      {"short_name", "text"},
      {"text", "short_name"},
      {"short_name(1,x)", "short_name(1,y)"},
      {"json", "jsonb"},
  };
  for (const auto& [from, to] : kOthers) EXPECT_FALSE(is_same_or_wider_type(from, to)) << from << " → " << to;
}

TEST(Widening, OfChecks) {
  const char* const kWider[][2] = {
      {"CHECK ((value >= 0))", "CHECK ((value >= 0))"},
      {"CHECK ((value >= 0))", "CHECK ((value >= -5))"},
      {"CHECK ((char_length(body) <= 100))", "CHECK ((char_length(body) <= 200))"},
      {"CHECK ((octet_length((extra)::text) < 100))", "CHECK ((octet_length((extra)::text) < 200))"},
      {"CHECK ((kind = ANY (ARRAY['a'::text, 'b, c'::text])))",
       "CHECK ((kind = ANY (ARRAY['b, c'::text, 'd'::text, 'a'::text])))"},
      {"CHECK (((kind)::text = ANY ((ARRAY['a'::character varying])::text[])))",
       "CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))"},
  };
  for (const auto& [from, to] : kWider) EXPECT_TRUE(is_same_or_wider_check(from, to)) << from << " → " << to;
  const char* const kOthers[][2] = {
      {"CHECK ((value >= 0))", "CHECK ((value >= 1))"},
      {"CHECK ((value >= 0))", "CHECK ((value > 0))"},
      {"CHECK ((value >= 0))", "CHECK ((other >= 0))"},
      {"CHECK ((char_length(body) <= 100))", "CHECK ((char_length(body) <= 99))"},
      {"CHECK ((NOT (value <= 5)))", "CHECK ((NOT (value <= 6)))"},
      {"CHECK (opposite((value <= 5)))", "CHECK (opposite((value <= 6)))"},
      {"CHECK (((other <= 1) = (value <= 5)))", "CHECK (((other <= 1) = (value <= 6)))"},
      {"CHECK (((other > 1) AND (value <= 5)))", "CHECK (((other > 1) AND (value <= 6)))"},
      {"CHECK ((kind = ANY (ARRAY['a'::text, 'b'::text])))", "CHECK ((kind = ANY (ARRAY['a'::text])))"},
      {"CHECK ((kind = ANY (ARRAY['a'::text])))", "CHECK ((other = ANY (ARRAY['a'::text, 'b'::text])))"},
      {"CHECK ((kind <> ALL (ARRAY['a'::text])))", "CHECK ((kind <> ALL (ARRAY['a'::text, 'b'::text])))"},
      {"CHECK (((kind = ANY (ARRAY['a'::text])) = false))",
       "CHECK (((kind = ANY (ARRAY['a'::text, 'b'::text])) = false))"},
      {"CHECK ((NOT (kind = ANY (ARRAY['a'::text]))))",
       "CHECK ((NOT (kind = ANY (ARRAY['a'::text, 'b'::text]))))"},
      {"CHECK ((kind = ANY (ARRAY['a'::text", "CHECK ((kind = ANY (ARRAY['a'::text, 'b'::text"},
      {"CHECK", "CHECK ((a <= 5))"},
      {"", "CHECK"},
  };
  for (const auto& [from, to] : kOthers)
    EXPECT_FALSE(is_same_or_wider_check(from, to)) << from << " → " << to;
}

}  // namespace
}  // namespace rowhouse::tenancy
