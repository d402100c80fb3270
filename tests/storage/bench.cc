#include "bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::storage::conformance {

namespace {

constexpr std::chrono::seconds kPatience{60};

std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

std::vector<std::string> strings_of(const json::Value& file, std::string_view name) {
  std::vector<std::string> strings;
  const json::Value* value = file.find(name);
  if (value == nullptr || value->as_array() == nullptr) return strings;
  for (const json::Value& one : *value->as_array()) {
    if (one.as_string() != nullptr) strings.push_back(*one.as_string());
  }
  return strings;
}

net::EgressPolicy policy_of(const std::vector<std::string>& allow) {
  auto policy = net::EgressPolicy::create(allow);
  return policy.ok() ? std::move(policy).value() : net::EgressPolicy();
}

net::BlockingWorkOptions work_options() {
  net::BlockingWorkOptions options;
  options.threads = 4;
  options.max_queued = 64;
  return options;
}

}  // namespace

std::string pattern(std::uint64_t seed, std::uint64_t offset, std::size_t bytes) {
  const std::uint64_t first_word = offset / 8;
  const std::size_t skip = offset % 8;
  const std::size_t words = (skip + bytes + 7) / 8;
  std::string text(words * 8, '\0');
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t word = mixed(seed * 0x1000193 + first_word + i);
    for (std::size_t byte = 0; byte < 8; ++byte) text[i * 8 + byte] = static_cast<char>(word >> (8 * byte));
  }
  text.erase(0, skip);
  text.resize(bytes);
  return text;
}

std::string pattern_sha256(std::uint64_t seed, std::uint64_t bytes) {
  crypto::Sha256 hash;
  constexpr std::uint64_t kStep = 1 << 20;
  for (std::uint64_t at = 0; at < bytes; at += kStep) {
    hash.update(pattern(seed, at, static_cast<std::size_t>(std::min(kStep, bytes - at))));
  }
  return to_hex(hash.finish());
}

Task<Result<std::optional<std::string>>> PatternSource::next() {
  if (action_ && at_ >= at_byte_) {
    const auto action = std::exchange(action_, nullptr);
    CO_TRY_DO(action());
  }
  if (at_ == end_) co_return std::optional<std::string>();
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes_, end_ - at_));
  std::optional<std::string> piece = pattern(seed_, at_, bytes);
  at_ += bytes;
  co_return piece;
}

Result<StoreConfig> read_store_config(const json::Value& value) {
  const json::Value* provider = value.find("provider");
  const json::Value* config = value.find("config");
  if (provider == nullptr || provider->as_string() == nullptr || config == nullptr) {
    return Error(ErrorCode::config_invalid, "a configuration has the members provider and config");
  }
  ConfigLimits limits;
  limits.mount_roots = strings_of(value, "mount_roots");
  auto result = read_config(*provider->as_string(), *config, limits);
  if (!result.ok()) {
    for (const FieldError& field : result.error().fields) {
      result.error().message += fmt::format("; {} {}", field.path, field.message);
    }
  }
  return result;
}

Result<BenchConfig> read_bench_config(const std::string& path) {
  std::ifstream stream(path);
  const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  BenchConfig config;
  TRY(config.file, json::parse(text));
  TRY(config.store, read_store_config(config.file));
  config.egress_allow = strings_of(config.file, "egress_allow");
  TRY_DO(net::EgressPolicy::create(config.egress_allow));
  return config;
}

Bench::Bench(BenchConfig config)
    : config_(std::move(config)), policy_(policy_of(config_.egress_allow)), work_(work_options()) {
  net::TransferOptions transfer_options;
  if (const json::Value* ca_file = config_.file.find("ca_file"))
    transfer_options.ca_file = *ca_file->as_string();
  transfers_ = std::make_unique<net::HttpTransfers>(executor_, policy_, transfer_options);
  tools_.reset(new StoreTools{executor_, *transfers_, policy_, work_, clock_});
  folder_ = "conformance-" + to_hex(crypto::random_bytes(6));
}

Result<std::unique_ptr<ObjectStore>> Bench::open(const StoreConfig& config) {
  return open_store(*tools_, config);
}

Result<void> Bench::reopen() {
  store_.reset();
  TRY(store_, open(config_.store));
  return {};
}

CallOptions Bench::options(CancelSource* cancel) const {
  CallOptions call_options;
  call_options.deadline = deadline_in(kPatience);
  call_options.cancel = cancel;
  return call_options;
}

std::string Bench::key(std::string_view name) { return fmt::format("{}/{}", folder_, name); }

Task<Result<ObjectInfo>> Bench::put(std::string key, std::uint64_t seed, std::uint64_t bytes) {
  PatternSource source(seed, bytes);
  PutOptions put_options;
  const CallOptions call_options = options();
  co_return co_await store_->put(key, bytes, source, put_options, call_options);
}

Task<Result<std::string>> Bench::read(std::string key, std::optional<ByteRange> range) {
  const CallOptions call_options = options();
  CO_TRY(const auto download, co_await store_->get(key, range, call_options));
  std::string text;
  for (;;) {
    CO_TRY(const std::optional<std::string> piece, co_await download->next(call_options));
    if (!piece) co_return text;
    text += *piece;
  }
}

Task<Result<void>> Bench::compare(std::string key, std::uint64_t seed, std::uint64_t bytes) {
  const CallOptions call_options = options();
  CO_TRY(const auto download, co_await store_->get(key, std::nullopt, call_options));
  EXPECT_THAT_IT(download->info().bytes == bytes,
                 fmt::format("{} bytes, not {}", download->info().bytes, bytes));
  std::uint64_t at = 0;
  for (;;) {
    CO_TRY(const std::optional<std::string> piece, co_await download->next(call_options));
    if (!piece) break;
    EXPECT_THAT_IT(!piece->empty(), "an empty piece");
    EXPECT_THAT_IT(*piece == pattern(seed, at, piece->size()), fmt::format("other bytes from {} on", at));
    at += piece->size();
  }
  EXPECT_THAT_IT(at == bytes, fmt::format("{} bytes arrived, not {}", at, bytes));
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> Bench::list_all(std::string prefix, int limit) {
  std::vector<std::string> keys;
  ListRequest request;
  request.prefix = prefix;
  request.limit = limit;
  do {
    const CallOptions call_options = options();
    CO_TRY(const ListPage page, co_await store_->list(request, call_options));
    EXPECT_THAT_IT(page.objects.size() <= static_cast<std::size_t>(limit), "more objects than the limit");
    for (const ObjectInfo& object : page.objects) keys.push_back(object.key);
    EXPECT_THAT_IT(page.next_token.empty() || page.next_token != request.token, "the same token twice");
    request.token = page.next_token;
  } while (!request.token.empty());
  co_return keys;
}

Task<Result<void>> Bench::remove_all(std::string prefix) {
  CO_TRY(const std::vector<std::string> keys, co_await list_all(prefix, kMaxListLimit));
  for (std::size_t from = 0; from < keys.size(); from += kMaxRemoveKeys) {
    const std::size_t to = std::min(keys.size(), from + kMaxRemoveKeys);
    const std::vector<std::string> some(keys.begin() + static_cast<std::ptrdiff_t>(from),
                                        keys.begin() + static_cast<std::ptrdiff_t>(to));
    const CallOptions call_options = options();
    CO_TRY_DO(co_await store_->remove(some, call_options));
  }
  co_return Result<void>();
}

Task<Result<void>> Bench::for_each(int count, int at_once, std::function<Task<Result<void>>(int)> work) {
  int next = 0;
  Result<void> outcome;
  const auto worker = [&]() -> Task<void> {
    while (next < count && outcome.ok()) {
      const int mine = next++;
      Result<void> done = co_await work(mine);
      if (!done.ok() && outcome.ok()) outcome = std::move(done);
    }
  };
  net::TaskGroup group;
  for (int i = 0; i < at_once; ++i) group.spawn(worker());
  co_await group.join();
  co_return outcome;
}

Error failure(const char* file, int line, std::string what) {
  const std::string_view path(file);
  return Error(ErrorCode::internal, fmt::format("{}:{}: {}", path.substr(path.rfind('/') + 1), line, what));
}

}  // namespace rowhouse::storage::conformance
