#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cases.h"

namespace rowhouse::storage::conformance {

namespace {

// Keys that differ, and that file systems, URLs and signatures like to confuse.
std::vector<std::string> odd_keys() {
  std::vector<std::string> keys = {
      "a", "a/b", "a/b/c", "a.b", "a.b/c", "a.b/c.d", "A", "A/b", "photo.JPG", "photo.jpg", "Photo.jpg",
      "with space.txt", " leading", "trailing ", "dot.", ".hidden", ".hidden/x", "..x", "x..", "...",
      "a+b.txt", "a%20b.txt", "a b.txt", "%", "%25", "%2F", "100%.txt", "what?.txt", "a#b", "a&b=c", "a;b",
      "a:b", "a|b", "a*b", "a<b>c", "quote\".txt", "it's.txt", "back\\slash.txt", "tilde~", "~",
      "abcdef~1.txt", "$HOME", "`x`", "^caret", "^a", "!bang", "a!f", "a!d", "a!c", "{b}", "[c]", "(d)", "@e",
      ",f", "=g", "con", "CON.txt", "nul.tar.gz", "aux/b", "com1", "lpt9.x", "comma,",
      "\xc3\xa4\xc3\xb6\xc3\xbc.txt",
      // "é" in two spellings
      "caf\xc3\xa9", "cafe\xcc\x81", "\xc3\x84", "\xc3\xa4", "\xe6\x97\xa5\xe6\x9c\xac/\xe8\xaa\x9e.txt",
      "\xf0\x9f\x93\xb7.png", "\xc4\xb0stanbul", "istanbul", "\xc3\x9f", "ss", "-rf", "--", "_", "__", "0",
      "00", ".rowhouse-tmp", ".rowhouse-tmp/x", ".rowhouse-control/token.txt", "index.html/", "?"};
  std::erase(keys, "index.html/");
  keys.push_back(std::string(300, 'x'));
  keys.push_back(std::string(300, 'x') + "/y");
  keys.push_back(std::string(201, '.') + "z");
  keys.push_back(std::string(200, 'n') + "con");
  std::string wide, deep = "d";
  for (int i = 0; i < 120; ++i) wide += "\xe2\x82\xac";
  for (int i = 0; i < 60; ++i) deep += fmt::format("/{}", i);
  keys.push_back(wide);
  keys.push_back(deep);
  return keys;
}

Task<Result<void>> odd(Bench& bench) {
  const std::vector<std::string> keys = odd_keys();
  std::set<std::string> wanted;
  for (const std::string& key : keys) wanted.insert(bench.key("odd/" + key));
  EXPECT_THAT_IT(wanted.size() == keys.size(), "the case names a key twice");
  const std::function<Task<Result<void>>(int)> put = [&](int i) -> Task<Result<void>> {
    const std::string& key = keys[static_cast<std::size_t>(i)];
    const Result<ObjectInfo> outcome = co_await bench.put(
        bench.key("odd/" + key), static_cast<std::uint64_t>(i), 10 + static_cast<std::uint64_t>(i));
    EXPECT_THAT_IT(outcome.ok(), key + ": " + outcome.error().message);
    co_return Result<void>();
  };
  CO_TRY_DO(co_await bench.for_each(static_cast<int>(keys.size()), 8, put));
  const std::function<Task<Result<void>>(int)> get = [&](int i) -> Task<Result<void>> {
    const std::string& key = keys[static_cast<std::size_t>(i)];
    const Result<void> outcome = co_await bench.compare(
        bench.key("odd/" + key), static_cast<std::uint64_t>(i), 10 + static_cast<std::uint64_t>(i));
    EXPECT_THAT_IT(outcome.ok(), key + ": " + outcome.error().message);
    co_return Result<void>();
  };
  CO_TRY_DO(co_await bench.for_each(static_cast<int>(keys.size()), 8, get));
  CO_TRY(const auto listed, co_await bench.list_all(bench.key("odd/"), 7));
  for (const std::string& key : listed)
    EXPECT_THAT_IT(wanted.erase(key) == 1, "listed twice or unknown: " + key);
  EXPECT_THAT_IT(wanted.empty(), "not listed: " + *wanted.begin());
  CO_TRY_DO(co_await bench.remove_all(bench.key("odd/")));
  CO_TRY(const auto left, co_await bench.list_all(bench.key("odd/"), 7));
  EXPECT_THAT_IT(left.empty(), "still there: " + left.front());
  co_return Result<void>();
}

Task<Result<void>> longest(Bench& bench) {
  std::vector<std::string> keys;
  for (const std::string_view text : {"x", "X", "\xe2\x82\xac", "Quarter/"}) {
    std::string key = bench.key("long/");
    while (key.size() + text.size() <= kMaxKeyBytes) key += text;
    if (key.ends_with('/')) key.pop_back();
    keys.push_back(key);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    CO_TRY_DO(co_await bench.put(keys[i], i, 100));
    CO_TRY_DO(co_await bench.compare(keys[i], i, 100));
  }
  CO_TRY(const auto listed, co_await bench.list_all(bench.key("long/"), 100));
  EXPECT_THAT_IT(listed.size() == keys.size(), fmt::format("{} listed", listed.size()));
  co_return co_await bench.store().remove(keys, bench.options());
}

Task<Result<void>> bad_keys(Bench& bench) {
  const std::string all[] = {"",
                             "/",
                             "/a",
                             "a/",
                             "a//b",
                             ".",
                             "..",
                             "a/../b",
                             "a/./b",
                             std::string("a\0b", 3),
                             "a\nb",
                             "\x7f",
                             "\xc2\x85",
                             "\xff",
                             "\xc0\xaf",
                             "\xed\xa0\x80",
                             std::string(kMaxKeyBytes + 1, 'x')};
  for (const std::string& key : all) {
    PatternSource source(1, 10);
    const PutOptions put_options;
    EXPECT_CODE(co_await bench.store().put(key, 10, source, put_options, bench.options()),
                ErrorCode::validation_failed);
    EXPECT_CODE(co_await bench.store().get(key, std::nullopt, bench.options()), ErrorCode::validation_failed);
    EXPECT_CODE(co_await bench.store().stat(key, bench.options()), ErrorCode::validation_failed);
    std::vector<std::string> keys{key};
    EXPECT_CODE(co_await bench.store().remove(keys, bench.options()), ErrorCode::validation_failed);
    EXPECT_CODE(co_await bench.store().begin_upload(key, put_options, bench.options()),
                ErrorCode::validation_failed);
  }
  co_return Result<void>();
}

constexpr int kPagedKeys = 2'500;

// A slow service may have fewer: the file's member paged_keys.
int paged_keys(Bench& bench) {
  const json::Value* value = bench.file().find("paged_keys");
  return value == nullptr ? kPagedKeys : static_cast<int>(value->as_int64().value_or(kPagedKeys));
}

std::string paged_key(Bench& bench, int i) {
  return bench.key(fmt::format("paged/{}/{:05}.txt", i % 7 == 0 ? "deep/er" : fmt::format("f{}", i % 3), i));
}

Task<Result<void>> list_pages(Bench& bench) {
  std::set<std::string> wanted;
  for (int i = 0; i < paged_keys(bench); ++i) wanted.insert(paged_key(bench, i));
  const std::function<Task<Result<void>>(int)> put = [&bench](int i) -> Task<Result<void>> {
    CO_TRY_DO(co_await bench.put(paged_key(bench, i), 1, 20));
    co_return Result<void>();
  };
  CO_TRY_DO(co_await bench.for_each(paged_keys(bench), 16, put));
  const int limits[] = {1'000, 333};
  for (const int limit : limits) {
    CO_TRY(auto keys, co_await bench.list_all(bench.key("paged/"), limit));
    EXPECT_THAT_IT(keys.size() == wanted.size(), fmt::format("{} keys listed", keys.size()));
    std::sort(keys.begin(), keys.end());
    EXPECT_THAT_IT(std::equal(keys.begin(), keys.end(), wanted.begin()), "other keys are listed");
  }
  std::vector<std::string> prefixes;
  for (const char* name : {"paged/f1/", "paged/f", "paged/f2/001", "paged/deep/er/0", "paged/d", "paged",
                           "page", "paged/f1/00001.txt", "paged/zz", "paged//", "paged/f1/00001.txt/x"}) {
    prefixes.push_back(bench.key(name));
  }
  for (const std::string& prefix : prefixes) {
    CO_TRY(const auto keys, co_await bench.list_all(prefix, 1'000));
    const auto fits = [&prefix](const std::string& key) { return key.starts_with(prefix); };
    const auto count = static_cast<std::size_t>(std::count_if(wanted.begin(), wanted.end(), fits));
    EXPECT_THAT_IT(keys.size() == count, fmt::format("{}: {} keys, not {}", prefix, keys.size(), count));
    EXPECT_THAT_IT(std::all_of(keys.begin(), keys.end(), fits), prefix + ": another key");
  }
  ListRequest request;
  request.prefix = bench.key("paged/");
  const int bad_limits[] = {0, -1, kMaxListLimit + 1};
  for (const int limit : bad_limits) {
    request.limit = limit;
    EXPECT_CODE(co_await bench.store().list(request, bench.options()), ErrorCode::validation_failed);
  }
  co_return Result<void>();
}

// After list_pages: its objects.
Task<Result<void>> remove_many(Bench& bench) {
  CO_TRY(const auto before, co_await bench.list_all(bench.key("paged/"), 1'000));
  EXPECT_THAT_IT(before.size() == static_cast<std::size_t>(paged_keys(bench)),
                 "the objects of list_pages are not there");
  std::vector<std::string> some;
  for (int i = 0; i < 999; ++i) some.push_back(paged_key(bench, i));
  some.push_back(bench.key("paged/never/was.txt"));
  CO_TRY_DO(co_await bench.store().remove(some, bench.options()));
  CO_TRY_DO(co_await bench.store().remove(some, bench.options()));
  CO_TRY(const auto after, co_await bench.list_all(bench.key("paged/"), 1'000));
  EXPECT_THAT_IT(after.size() == before.size() - 999, fmt::format("{} are left", after.size()));
  some.push_back(bench.key("one/too/many"));
  EXPECT_CODE(co_await bench.store().remove(some, bench.options()), ErrorCode::validation_failed);
  CO_TRY_DO(co_await bench.remove_all(bench.key("paged/")));
  CO_TRY(const auto left, co_await bench.list_all(bench.key("paged/"), 1'000));
  EXPECT_THAT_IT(left.empty(), "something is left");
  co_return Result<void>();
}

Task<Result<void>> copies(Bench& bench) {
  const std::string from = bench.key("copy/from \xc3\xa4+%.bin");
  const std::string to = bench.key("copy/to \xc3\xb6+%.bin");
  PatternSource source(7, 900'000);
  PutOptions put_options;
  put_options.content_type = "text/x-odd";
  CO_TRY_DO(co_await bench.store().put(from, 900'000, source, put_options, bench.options()));
  CO_TRY_DO(co_await bench.put(to, 1, 5));
  CO_TRY(const ObjectInfo info, co_await bench.store().copy(from, to, bench.options()));
  EXPECT_THAT_IT(info.key == to && info.bytes == 900'000, "copy tells another object");
  CO_TRY_DO(co_await bench.compare(to, 7, 900'000));
  CO_TRY_DO(co_await bench.compare(from, 7, 900'000));
  CO_TRY(const ObjectInfo stat, co_await bench.store().stat(to, bench.options()));
  EXPECT_THAT_IT(stat.content_type == "text/x-odd",
                 "the copy has another content type: " + stat.content_type);
  co_return Result<void>();
}

}  // namespace

std::vector<Case> key_cases() {
  return {{"odd_keys", odd},          {"long_keys", longest},       {"bad_keys", bad_keys},
          {"list_pages", list_pages}, {"remove_many", remove_many}, {"copy", copies}};
}

}  // namespace rowhouse::storage::conformance
