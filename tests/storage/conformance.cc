// The conformance suite of object stores: storage_conformance CONFIG.json [--case NAME]… [--skip NAME]…
// [--list], or --crash VERB…; see README.md.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "cases.h"

namespace rowhouse::storage::conformance {

namespace {

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& some : {object_cases(), key_cases(), upload_cases(), access_cases()}) {
    cases.insert(cases.end(), some.begin(), some.end());
  }
  return cases;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Task<bool> run_case(Bench& bench, Case one) {
  const auto begin = std::chrono::steady_clock::now();
  const Result<void> outcome = co_await one.run(bench);
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
  if (outcome.ok()) {
    std::cout << fmt::format("ok     {:<26}{:>6} ms", one.name, took) << std::endl;
  } else {
    std::cout << fmt::format("FAILED {:<26}{:>6} ms  {}: {}", one.name, took,
                             error_code_name(outcome.error().code), outcome.error().message)
              << std::endl;
  }
  co_return outcome.ok();
}

Task<int> run_cases(Bench& bench, std::vector<std::string> names, std::vector<std::string> skipped) {
  int failed = 0;
  int ran = 0;
  for (const Case& one : all_cases()) {
    if ((!names.empty() && !contains(names, one.name)) || contains(skipped, one.name)) continue;
    ++ran;
    const bool ok = co_await run_case(bench, one);
    if (!ok) ++failed;
  }
  const Result<void> cleared = co_await bench.remove_all(bench.folder() + "/");
  if (!cleared.ok()) {
    std::cout << "FAILED the objects could not be removed: " << cleared.error().message << std::endl;
    ++failed;
  }
  std::cout << fmt::format("{} of {} cases failed", failed, ran) << std::endl;
  co_return failed == 0 && ran > 0 ? 0 : 1;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty() || contains(arguments, "--list")) {
    for (const Case& one : all_cases()) std::cout << one.name << std::endl;
    return 0;
  }
  auto config = read_bench_config(arguments[0]);
  if (!config.ok()) {
    std::cerr << arguments[0] << ": " << config.error().message << std::endl;
    return 2;
  }
  Bench bench(std::move(config).value());
  const Result<void> opened = bench.reopen();
  if (!opened.ok()) {
    std::cerr << "the store cannot be opened: " << opened.error().message << std::endl;
    return 2;
  }
  std::vector<std::string> names, skipped;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--crash") {
      const std::vector<std::string> rest(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                          arguments.end());
      return run_crash(bench, rest);
    }
    if (i + 1 == arguments.size()) break;
    if (arguments[i] == "--case") names.push_back(arguments[++i]);
    if (arguments[i] == "--skip") skipped.push_back(arguments[++i]);
  }
  return net::run_until_done(bench.executor(), run_cases(bench, names, skipped));
}

}  // namespace

}  // namespace rowhouse::storage::conformance

int main(int argc, char** argv) {
  return rowhouse::storage::conformance::run(std::vector<std::string>(argv + 1, argv + argc));
}
