// What every case of the conformance suite works with: a store, an event loop, and objects whose bytes follow
// from a seed, so that any of them can be made and compared without being kept.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "net/blocking_work.h"
#include "net/egress.h"
#include "net/executor.h"
#include "net/http_transfer.h"
#include "storage/config.h"
#include "storage/object_store.h"
#include "storage/open.h"

namespace rowhouse::storage::conformance {

// The bytes of an object of that seed from `offset` on.
std::string pattern(std::uint64_t seed, std::uint64_t offset, std::size_t bytes);
std::string pattern_sha256(std::uint64_t seed, std::uint64_t bytes);

// Gives the bytes of a seed. `at_byte`, once that much was given, runs before the next piece; an error out of
// it is the source's.
class PatternSource final : public ByteSource {
 public:
  PatternSource(std::uint64_t seed, std::uint64_t bytes, std::size_t piece_bytes = 100'000)
      : seed_(seed), end_(bytes), piece_bytes_(piece_bytes) {}
  void when(std::uint64_t at_byte, std::function<Result<void>()> action) {
    at_byte_ = at_byte;
    action_ = std::move(action);
  }
  void begin_at(std::uint64_t offset) {
    at_ = offset;
    end_ += offset;
    at_byte_ += offset;
  }
  Task<Result<std::optional<std::string>>> next() override;

 private:
  std::uint64_t seed_, at_ = 0, end_;
  std::size_t piece_bytes_;
  std::uint64_t at_byte_ = 0;
  std::function<Result<void>()> action_;
};

// The file that names the store: see README.md.
struct BenchConfig {
  json::Value file;
  StoreConfig store;
  std::vector<std::string> egress_allow;
};
Result<BenchConfig> read_bench_config(const std::string& path);
// The configuration in `value`: {"provider": …, "config": …}.
Result<StoreConfig> read_store_config(const json::Value& value);

class Bench {
 public:
  explicit Bench(BenchConfig config);

  Result<std::unique_ptr<ObjectStore>> open(const StoreConfig& config);
  // The file's store, opened anew.
  Result<void> reopen();
  ObjectStore& store() { return *store_; }
  net::Executor& executor() { return executor_; }
  const json::Value& file() const { return config_.file; }
  CallOptions options(CancelSource* cancel = nullptr) const;

  // A key of this run alone: nothing has to be empty beforehand, and nothing is left afterwards.
  std::string key(std::string_view name);
  const std::string& folder() const { return folder_; }
  Task<Result<void>> remove_all(std::string prefix);
  Task<Result<std::vector<std::string>>> list_all(std::string prefix, int limit);

  Task<Result<ObjectInfo>> put(std::string key, std::uint64_t seed, std::uint64_t bytes);
  Task<Result<std::string>> read(std::string key, std::optional<ByteRange> range);
  // Reads the object and compares each byte with the seed's.
  Task<Result<void>> compare(std::string key, std::uint64_t seed, std::uint64_t bytes);
  // Runs `work` for 0 to count-1, `at_once` of them beside each other; the first error counts.
  Task<Result<void>> for_each(int count, int at_once, std::function<Task<Result<void>>(int)> work);

 private:
  BenchConfig config_;
  SystemClock clock_;
  net::Executor executor_;
  net::EgressPolicy policy_;
  net::BlockingWork work_;
  std::unique_ptr<net::HttpTransfers> transfers_;
  std::unique_ptr<StoreTools> tools_;
  std::unique_ptr<ObjectStore> store_;
  std::string folder_;
};

// A case that does not hold: where, and what was seen.
Error failure(const char* file, int line, std::string what);

}  // namespace rowhouse::storage::conformance

#define EXPECT_THAT_IT(condition, what)                                                                \
  do {                                                                                                 \
    if (!(condition)) co_return ::rowhouse::storage::conformance::failure(__FILE__, __LINE__, (what)); \
  } while (false)
#define EXPECT_CODE(expression, wanted)                                                        \
  do {                                                                                         \
    const auto expected_failure = (expression);                                                \
    if (expected_failure.ok()) {                                                               \
      co_return ::rowhouse::storage::conformance::failure(__FILE__, __LINE__, "it went well"); \
    }                                                                                          \
    if (expected_failure.error().code != (wanted)) {                                           \
      co_return ::rowhouse::storage::conformance::failure(                                     \
          __FILE__, __LINE__,                                                                  \
          std::string(error_code_name(expected_failure.error().code)) + ": " +                 \
              expected_failure.error().message);                                               \
    }                                                                                          \
  } while (false)
