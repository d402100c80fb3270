// One step of a story that a test tells: it kills the service while this process sends, starts it again, and
// looks at what is there. "half" on standard output says that half of the bytes were given; then a line is
// waited for on standard input.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

#include "base/text.h"
#include "cases.h"

namespace rowhouse::storage::conformance {

namespace {

constexpr int kWentWell = 0, kFailed = 3, kUsage = 2;

Result<void> wait_for_line() {
  std::cout << "half" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  return {};
}

int report(const Result<void>& outcome) {
  if (outcome.ok()) {
    std::cout << "done" << std::endl;
    return kWentWell;
  }
  std::cout << "failed " << error_code_name(outcome.error().code) << ": " << outcome.error().message
            << std::endl;
  return kFailed;
}

Task<Result<void>> put(Bench& bench, std::string key, std::uint64_t seed, std::uint64_t bytes, bool waits) {
  PatternSource source(seed, bytes);
  if (waits) source.when(bytes / 2, wait_for_line);
  const PutOptions put_options;
  CO_TRY_DO(co_await bench.store().put(key, bytes, source, put_options, bench.options()));
  co_return Result<void>();
}

// Goes on with the upload that the state file names, or begins one. Waits in the middle of part `wait_in`.
Task<Result<void>> upload(Bench& bench, std::string key, std::uint64_t seed, std::uint64_t bytes,
                          std::string state, int wait_in) {
  ObjectStore& store = bench.store();
  const std::uint64_t alignment = std::max<std::uint64_t>(store.part_alignment(), 1);
  const std::uint64_t wanted = std::max<std::uint64_t>(store.min_part_bytes(), 5 << 20);
  const std::uint64_t part_bytes = (wanted + alignment - 1) / alignment * alignment;
  std::string name;
  std::ifstream(state) >> name;
  std::vector<Part> parts;
  if (name.empty()) {
    const PutOptions put_options;
    CO_TRY(name, co_await store.begin_upload(key, put_options, bench.options()));
    std::ofstream(state) << to_hex(name) << std::endl;
  } else {
    name = from_hex(name).value_or("");
    CO_TRY(parts, co_await store.list_parts(key, name, bench.options()));
  }
  std::cout << "parts " << parts.size() << std::endl;
  std::uint64_t at = 0;
  for (int number = 1; at < bytes; ++number, at += part_bytes) {
    if (static_cast<std::size_t>(number) <= parts.size()) {
      EXPECT_THAT_IT(parts[static_cast<std::size_t>(number - 1)].number == number,
                     "a part is missing in between");
      continue;
    }
    const std::uint64_t length = std::min(part_bytes, bytes - at);
    PatternSource source(seed, length);
    if (number == wait_in) source.when(length / 2, wait_for_line);
    source.begin_at(at);
    CO_TRY(const Part part, co_await store.put_part(key, name, number, length, source, bench.options()));
    parts.push_back(part);
  }
  CO_TRY_DO(co_await store.complete_upload(key, name, parts, bench.options()));
  co_return Result<void>();
}

Task<Result<void>> check(Bench& bench, std::string key, std::uint64_t seed, std::uint64_t bytes) {
  CO_TRY_DO(co_await bench.compare(key, seed, bytes));
  CO_TRY(const auto keys, co_await bench.list_all(key, 100));
  EXPECT_THAT_IT(keys.size() == 1, fmt::format("{} objects begin with this key", keys.size()));
  co_return Result<void>();
}

}  // namespace

int run_crash(Bench& bench, const std::vector<std::string>& arguments) {
  const auto number = [&](std::size_t i) {
    return static_cast<std::uint64_t>(i < arguments.size() ? parse_int64(arguments[i]).value_or(0) : 0);
  };
  if (arguments.size() < 4) {
    std::cerr << "put|put-and-wait|check|upload KEY SEED BYTES [STATE PART]" << std::endl;
    return kUsage;
  }
  const std::string& verb = arguments[0];
  const std::string& key = arguments[1];
  net::Executor& executor = bench.executor();
  if (verb == "put")
    return report(net::run_until_done(executor, put(bench, key, number(2), number(3), false)));
  if (verb == "put-and-wait") {
    return report(net::run_until_done(executor, put(bench, key, number(2), number(3), true)));
  }
  if (verb == "check") return report(net::run_until_done(executor, check(bench, key, number(2), number(3))));
  if (verb == "upload" && arguments.size() >= 6) {
    return report(net::run_until_done(
        executor, upload(bench, key, number(2), number(3), arguments[4], static_cast<int>(number(5)))));
  }
  return kUsage;
}

}  // namespace rowhouse::storage::conformance
