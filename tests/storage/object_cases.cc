#include <fmt/format.h>

#include "base/text.h"
#include "cases.h"
#include "crypto/crypto.h"

namespace rowhouse::storage::conformance {

namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

Task<Result<void>> sizes(Bench& bench) {
  const std::uint64_t all[] = {0, 1, 7, 65'535, 65'536, 262'145, 1'048'576, 1'048'577, 3'000'001};
  for (const std::uint64_t bytes : all) {
    const std::string key = bench.key(fmt::format("sizes/{}", bytes));
    CO_TRY(const ObjectInfo put, co_await bench.put(key, bytes, bytes));
    EXPECT_THAT_IT(put.bytes == bytes && put.key == key, "put tells another object");
    CO_TRY(const ObjectInfo info, co_await bench.store().stat(key, bench.options()));
    EXPECT_THAT_IT(info.bytes == bytes && info.key == key, "stat tells another object");
    EXPECT_THAT_IT(!info.etag.empty() && info.etag == put.etag,
                   fmt::format("etags {} and {}", put.etag, info.etag));
    CO_TRY_DO(co_await bench.compare(key, bytes, bytes));
  }
  co_return Result<void>();
}

Task<Result<void>> large_8m(Bench& bench) {
  const std::string key = bench.key("large-8m");
  CO_TRY_DO(co_await bench.put(key, 8, 8 * kMiB));
  co_return co_await bench.compare(key, 8, 8 * kMiB);
}

Task<Result<void>> large_64m(Bench& bench) {
  const std::string key = bench.key("large-64m");
  CO_TRY_DO(co_await bench.put(key, 64, 64 * kMiB + 3));
  co_return co_await bench.compare(key, 64, 64 * kMiB + 3);
}

// Content type and SHA-256, when it was known before.
Task<Result<void>> metadata(Bench& bench) {
  const std::string key = bench.key("metadata/photo.jpg");
  PatternSource source(5, 1'000);
  PutOptions put_options;
  put_options.content_type = "image/jpeg";
  put_options.sha256 = pattern_sha256(5, 1'000);
  CO_TRY_DO(co_await bench.store().put(key, 1'000, source, put_options, bench.options()));
  CO_TRY(const ObjectInfo info, co_await bench.store().stat(key, bench.options()));
  EXPECT_THAT_IT(info.content_type == "image/jpeg", "content type " + info.content_type);
  EXPECT_THAT_IT(info.sha256 == put_options.sha256, "SHA-256 " + info.sha256);
  EXPECT_THAT_IT(info.modified_ms > 1'600'000'000'000, fmt::format("modified {}", info.modified_ms));
  CO_TRY(const auto download, co_await bench.store().get(key, std::nullopt, bench.options()));
  EXPECT_THAT_IT(download->info().content_type == "image/jpeg", "get tells another content type");
  EXPECT_THAT_IT(download->info().sha256 == put_options.sha256, "get tells another SHA-256");
  co_return Result<void>();
}

Task<Result<void>> overwrite(Bench& bench) {
  const std::string key = bench.key("overwrite.bin");
  std::string former;
  std::uint64_t seed = 100;
  const std::uint64_t sizes_in_turn[] = {100'000, 5, 5, 200'000, 0};
  for (const std::uint64_t bytes : sizes_in_turn) {
    ++seed;
    CO_TRY(const ObjectInfo info, co_await bench.put(key, seed, bytes));
    EXPECT_THAT_IT(info.etag != former || bytes == 0, "the etag did not change with the content");
    CO_TRY_DO(co_await bench.compare(key, seed, bytes));
    former = info.etag;
  }
  CO_TRY(const auto keys, co_await bench.list_all(key, 10));
  EXPECT_THAT_IT(keys.size() == 1, fmt::format("{} objects in the list", keys.size()));
  co_return Result<void>();
}

// Every read sees one version as a whole, and each of them exists all the time.
Task<Result<void>> overwrite_under_readers(Bench& bench) {
  constexpr std::uint64_t kBytes = 600'000;
  constexpr int kVersions = 12;
  const std::string key = bench.key("readers.bin");
  CO_TRY_DO(co_await bench.put(key, 0, kBytes));
  bool writing = true;
  const std::function<Task<Result<void>>()> write = [&]() -> Task<Result<void>> {
    Result<void> outcome;
    for (std::uint64_t version = 1; version <= kVersions && outcome.ok(); ++version) {
      const Result<ObjectInfo> put = co_await bench.put(key, version, kBytes);
      if (!put.ok()) outcome = put.error();
    }
    writing = false;
    co_return outcome;
  };
  const std::function<Task<Result<void>>()> read = [&]() -> Task<Result<void>> {
    std::uint64_t last = 0;
    while (writing) {
      CO_TRY(const std::string text, co_await bench.read(key, std::nullopt));
      bool known = false;
      for (std::uint64_t version = last; version <= kVersions && !known; ++version) {
        known = text == pattern(version, 0, kBytes);
        if (known) last = version;
      }
      EXPECT_THAT_IT(known, "a reader saw a mixture, or an old version after a new one");
    }
    co_return Result<void>();
  };
  const std::function<Task<Result<void>>(int)> work = [&](int who) -> Task<Result<void>> {
    if (who == 0) co_return co_await write();
    co_return co_await read();
  };
  co_return co_await bench.for_each(4, 4, work);
}

Task<Result<void>> conditional_create(Bench& bench) {
  PutOptions absent;
  absent.condition = PutCondition::absent;
  const std::string key = bench.key("absent.bin");
  for (int round = 0; round < 4; ++round) {
    int made = 0;
    std::uint64_t winner = 0;
    const std::function<Task<Result<void>>(int)> work = [&](int who) -> Task<Result<void>> {
      const auto seed = static_cast<std::uint64_t>(100 + who);
      PatternSource source(seed, 2'000 + seed);
      const Result<ObjectInfo> put =
          co_await bench.store().put(key, 2'000 + seed, source, absent, bench.options());
      if (put.ok()) {
        ++made;
        winner = seed;
      } else if (put.error().code != ErrorCode::precondition_failed) {
        co_return put.error();
      }
      co_return Result<void>();
    };
    CO_TRY_DO(co_await bench.for_each(6, 6, work));
    EXPECT_THAT_IT(made == 1, fmt::format("{} of 6 made the object", made));
    CO_TRY_DO(co_await bench.compare(key, winner, 2'000 + winner));
    std::vector<std::string> keys{key};
    CO_TRY_DO(co_await bench.store().remove(keys, bench.options()));
  }
  co_return Result<void>();
}

Task<Result<void>> ranges(Bench& bench) {
  constexpr std::uint64_t kBytes = 700'000;
  const std::string key = bench.key("ranges.bin");
  CO_TRY_DO(co_await bench.put(key, 3, kBytes));
  struct One {
    ByteRange range;
    std::uint64_t bytes;
  };
  const One all[] = {{{0, 0}, 1},
                     {{0, kBytes - 1}, kBytes},
                     {{1, 262'144}, 262'144},
                     {{262'143, 524'289}, 262'147},
                     {{kBytes - 1, std::nullopt}, 1},
                     {{5, std::nullopt}, kBytes - 5},
                     {{699'000, 9'000'000}, 1'000}};
  for (const One& one : all) {
    CO_TRY(const auto download, co_await bench.store().get(key, one.range, bench.options()));
    EXPECT_THAT_IT(download->info().bytes == kBytes, "info tells the range's length");
    CO_TRY(const std::string text, co_await bench.read(key, one.range));
    EXPECT_THAT_IT(text.size() == one.bytes, fmt::format("{} bytes from {}", text.size(), one.range.first));
    EXPECT_THAT_IT(text == pattern(3, one.range.first, text.size()), "other bytes");
  }
  const std::optional<ByteRange> beyond = ByteRange{kBytes, std::nullopt};
  EXPECT_CODE(co_await bench.store().get(key, beyond, bench.options()), ErrorCode::range_not_satisfiable);
  co_return Result<void>();
}

Task<Result<void>> missing(Bench& bench) {
  const std::string key = bench.key("missing/object.bin");
  EXPECT_CODE(co_await bench.store().get(key, std::nullopt, bench.options()), ErrorCode::not_found);
  EXPECT_CODE(co_await bench.store().stat(key, bench.options()), ErrorCode::not_found);
  EXPECT_CODE(co_await bench.store().copy(key, bench.key("copy.bin"), bench.options()), ErrorCode::not_found);
  std::vector<std::string> keys{key};
  CO_TRY_DO(co_await bench.store().remove(keys, bench.options()));
  CO_TRY(const auto listed, co_await bench.list_all(key, 10));
  EXPECT_THAT_IT(listed.empty(), "a list of what is not there");
  co_return Result<void>();
}

// Nothing may be left of a put that failed, and the former object stays.
Task<Result<void>> still_the_first(Bench& bench, std::string key) {
  CO_TRY_DO(co_await bench.compare(key, 1, 1'000));
  CO_TRY(const auto keys, co_await bench.list_all(key, 10));
  EXPECT_THAT_IT(keys.size() == 1, "something was left");
  co_return Result<void>();
}

Task<Result<void>> wrong_sha256(Bench& bench) {
  const std::string key = bench.key("checked.bin");
  CO_TRY_DO(co_await bench.put(key, 1, 1'000));
  PutOptions put_options;
  put_options.sha256 = pattern_sha256(4, 1'000);
  const std::uint64_t small_and_large[] = {1'000, 3 * kMiB};
  for (const std::uint64_t bytes : small_and_large) {
    PatternSource source(2, bytes);
    EXPECT_CODE(co_await bench.store().put(key, bytes, source, put_options, bench.options()),
                ErrorCode::checksum_mismatch);
    CO_TRY_DO(co_await still_the_first(bench, key));
  }
  co_return Result<void>();
}

Task<Result<void>> bad_sources(Bench& bench) {
  const std::string key = bench.key("sources.bin");
  const PutOptions put_options;
  CO_TRY_DO(co_await bench.put(key, 1, 1'000));
  PatternSource shorter(2, 99'000);
  EXPECT_THAT_IT(!(co_await bench.store().put(key, 100'000, shorter, put_options, bench.options())).ok(),
                 "a source that gave too little was taken");
  CO_TRY_DO(co_await still_the_first(bench, key));
  PatternSource longer(2, 101'000);
  EXPECT_THAT_IT(!(co_await bench.store().put(key, 100'000, longer, put_options, bench.options())).ok(),
                 "a source that gave too much was taken");
  CO_TRY_DO(co_await still_the_first(bench, key));
  PatternSource broken(2, 4 * kMiB);
  broken.when(2 * kMiB, []() -> Result<void> { return Error(ErrorCode::body_too_large, "the source's"); });
  EXPECT_CODE(co_await bench.store().put(key, 4 * kMiB, broken, put_options, bench.options()),
              ErrorCode::body_too_large);
  co_return co_await still_the_first(bench, key);
}

Task<Result<void>> cancelled(Bench& bench) {
  const std::string key = bench.key("cancelled.bin");
  CO_TRY_DO(co_await bench.put(key, 1, 1'000));
  const PutOptions put_options;
  CancelSource cancel;
  PatternSource source(2, 8 * kMiB);
  source.when(3 * kMiB, [&cancel]() -> Result<void> {
    cancel.cancel();
    return {};
  });
  EXPECT_CODE(co_await bench.store().put(key, 8 * kMiB, source, put_options, bench.options(&cancel)),
              ErrorCode::cancelled);
  CO_TRY_DO(co_await still_the_first(bench, key));
  // A download as well; the store goes on working.
  const std::string large = bench.key("cancelled-download.bin");
  CO_TRY_DO(co_await bench.put(large, 9, 8 * kMiB));
  CancelSource second;
  {
    CO_TRY(const auto download, co_await bench.store().get(large, std::nullopt, bench.options(&second)));
    CO_TRY_DO(co_await download->next(bench.options(&second)));
    second.cancel();
    Result<std::optional<std::string>> piece = std::optional<std::string>();
    do {
      piece = co_await download->next(bench.options(&second));
    } while (piece.ok() && piece.value());
    EXPECT_CODE(piece, ErrorCode::cancelled);
  }
  {
    CO_TRY(const auto given_up, co_await bench.store().get(large, std::nullopt, bench.options()));
    CO_TRY_DO(co_await given_up->next(bench.options()));
  }
  co_return co_await bench.compare(large, 9, 8 * kMiB);
}

Task<Result<void>> many_at_once(Bench& bench) {
  const std::function<Task<Result<void>>(int)> work = [&bench](int i) -> Task<Result<void>> {
    const std::string key = bench.key(fmt::format("many/{}.bin", i));
    const auto bytes = static_cast<std::uint64_t>(1'000 + i * 37'000);
    CO_TRY_DO(co_await bench.put(key, static_cast<std::uint64_t>(i), bytes));
    co_return co_await bench.compare(key, static_cast<std::uint64_t>(i), bytes);
  };
  co_return co_await bench.for_each(40, 20, work);
}

}  // namespace

std::vector<Case> object_cases() {
  return {{"sizes", sizes},
          {"large_8m", large_8m},
          {"large_64m", large_64m},
          {"metadata", metadata},
          {"overwrite", overwrite},
          {"overwrite_under_readers", overwrite_under_readers},
          {"conditional_create", conditional_create},
          {"ranges", ranges},
          {"missing", missing},
          {"wrong_sha256", wrong_sha256},
          {"bad_sources", bad_sources},
          {"cancelled", cancelled},
          {"many_at_once", many_at_once}};
}

}  // namespace rowhouse::storage::conformance
