#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>

#include "cases.h"
#include "storage/object_store.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace rowhouse::storage::conformance {

namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

Task<Result<void>> probed(Bench& bench) {
  const ProbeResult result = co_await probe(bench.store(), bench.key("probe/1"), bench.options());
  EXPECT_THAT_IT(result.steps.size() == 4, fmt::format("{} steps", result.steps.size()));
  for (const ProbeStep& step : result.steps) EXPECT_THAT_IT(step.ok, step.name + ": " + step.error);
  EXPECT_THAT_IT(result.ok, "the steps went well, the whole did not");
  CO_TRY(const auto left, co_await bench.list_all(bench.key("probe/"), 10));
  EXPECT_THAT_IT(left.empty(), "the probe's object is left");
  co_return Result<void>();
}

// Wrong keys, buckets and exports: the file names them, with the code that each must have. No message may
// hold what its configuration keeps secret.
Task<Result<void>> refused(Bench& bench) {
  const json::Value* all = bench.file().find("refused");
  if (all == nullptr || all->as_array() == nullptr) co_return Result<void>();
  for (const json::Value& one : *all->as_array()) {
    const std::string name = *one.find("name")->as_string();
    const std::string wanted = *one.find("code")->as_string();
    CO_TRY(const StoreConfig config, read_store_config(one));
    const auto store = bench.open(config);
    Error error(ErrorCode::internal, "it went well");
    if (!store.ok()) {
      error = store.error();
    } else {
      const std::string key = bench.key("refused.txt");
      const ProbeResult result = co_await probe(*store.value(), key, bench.options());
      EXPECT_THAT_IT(!result.ok && !result.steps[0].ok, name + ": the probe went well");
      PatternSource source(1, 100);
      const PutOptions put_options;
      const auto put = co_await store.value()->put(key, 100, source, put_options, bench.options());
      if (!put.ok()) error = put.error();
      EXPECT_THAT_IT(put.ok() || put.error().message == result.steps[0].error,
                     name + ": another error than the probe's");
    }
    EXPECT_THAT_IT(error_code_name(error.code) == wanted,
                   fmt::format("{}: {} {}", name, error_code_name(error.code), error.message));
    for (const auto& [member, value] : *one.find("config")->as_object()) {
      const bool is_secret = member.find("key") != std::string::npos || member == "password";
      if (!is_secret || value.as_string() == nullptr) continue;
      EXPECT_THAT_IT(error.message.find(*value.as_string()) == std::string::npos,
                     name + ": a secret in the message");
    }
  }
  co_return Result<void>();
}

// Runs curl; the answer's status, or an error.
Result<int> curl(std::vector<std::string> arguments, const std::string& output) {
  std::vector<std::string> all = {"curl", "--silent", "--noproxy", "*",           "--max-time",
                                  "30",   "--output", output,      "--write-out", "%{http_code}"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& one : all) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  int channel[2];
  if (pipe(channel) != 0) return Error(ErrorCode::internal, "pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, channel[1], 1);
  posix_spawn_file_actions_addclose(&actions, channel[0]);
  pid_t process = 0;
  const int failed = posix_spawnp(&process, "curl", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(channel[1]);
  std::array<char, 64> text{};
  const ssize_t got = failed == 0 ? read(channel[0], text.data(), text.size() - 1) : 0;
  close(channel[0]);
  if (failed != 0) return Error(ErrorCode::internal, "curl cannot be started");
  int status = 0;
  waitpid(process, &status, 0);
  return got > 0 ? std::atoi(text.data()) : 0;
}

std::string contents(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

// Links are used by somebody who knows nothing but the link.
Task<Result<void>> links(Bench& bench) {
  const std::string names[] = {"links/plain.bin", "links/odd \xc3\xa4+%&?#='~!*().bin"};
  const std::string output = fmt::format("/tmp/rowhouse-conformance-{}.out", getpid());
  const std::string input = fmt::format("/tmp/rowhouse-conformance-{}.in", getpid());
  std::vector<std::string> ca;
  if (const json::Value* file = bench.file().find("ca_file")) ca = {"--cacert", *file->as_string()};
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), ca.begin(), ca.end());
    return curl(arguments, output);
  };
  for (const std::string& name : names) {
    LinkRequest request;
    request.key = bench.key(name);
    CO_TRY_DO(co_await bench.put(request.key, 30, 5'000));
    request.download_name = "a \"b\".bin";
    CO_TRY(const auto get, bench.store().sign_link(request));
    if (!get) co_return Result<void>();  // this provider has none
    CO_TRY(const int status, run({*get}));
    EXPECT_THAT_IT(status == 200, fmt::format("get: {}", status));
    EXPECT_THAT_IT(contents(output) == pattern(30, 0, 5'000), "get: other bytes");
    request.method = LinkMethod::put;
    request.download_name.clear();
    request.content_type = "text/plain";
    CO_TRY(const auto put, bench.store().sign_link(request));
    EXPECT_THAT_IT(put && *put != *get, "no link to put");
    std::ofstream(input, std::ios::binary) << pattern(31, 0, 6'000);
    CO_TRY(const int put_status, run({"--upload-file", input, "--header", "Content-Type: text/plain",
                                      "--header", "x-ms-blob-type: BlockBlob", *put}));
    EXPECT_THAT_IT(put_status == 200 || put_status == 201, fmt::format("put: {}", put_status));
    CO_TRY_DO(co_await bench.compare(request.key, 31, 6'000));
    // A changed link is none. The emulator of GCS does not look at signatures: the file says so.
    if (bench.file().find("links_are_not_checked") != nullptr) continue;
    std::string forged = *get;
    forged.back() = forged.back() == 'a' ? 'b' : 'a';
    CO_TRY(const int forged_status, run({forged}));
    EXPECT_THAT_IT(forged_status == 403 || forged_status == 400, fmt::format("forged: {}", forged_status));
  }
  unlink(output.c_str());
  unlink(input.c_str());
  co_return Result<void>();
}

std::uint64_t resident_bytes() {
  std::ifstream stream("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  stream >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// 256 MiB each way; meanwhile this process may grow by a few pieces only. Not under sanitizers.
Task<Result<void>> constant_memory(Bench& bench) {
  constexpr std::uint64_t kBytes = 256 * kMiB;
  constexpr std::uint64_t kMaxGrowth = 40 * kMiB;
  const std::string key = bench.key("constant-memory.bin");
  // What libraries keep from their first use on is not counted.
  CO_TRY_DO(co_await bench.put(key, 1, 4 * kMiB));
  const std::uint64_t before = resident_bytes();
  std::uint64_t peak = 0;
  PatternSource source(40, kBytes, 256 * 1024);
  source.when(kBytes - kMiB, [&peak]() -> Result<void> {
    peak = resident_bytes();
    return {};
  });
  const PutOptions put_options;
  CO_TRY_DO(co_await bench.store().put(key, kBytes, source, put_options, bench.options()));
  EXPECT_THAT_IT(peak <= before + kMaxGrowth, fmt::format("put: {} MiB more", (peak - before) / kMiB));
  CO_TRY(const auto download, co_await bench.store().get(key, std::nullopt, bench.options()));
  std::uint64_t at = 0;
  for (;;) {
    CO_TRY(const std::optional<std::string> piece, co_await download->next(bench.options()));
    if (!piece) break;
    at += piece->size();
    peak = std::max(peak, resident_bytes());
  }
  EXPECT_THAT_IT(at == kBytes, "other bytes arrived");
  EXPECT_THAT_IT(peak <= before + kMaxGrowth, fmt::format("get: {} MiB more", (peak - before) / kMiB));
  co_return Result<void>();
}

}  // namespace

std::vector<Case> access_cases() {
  return {{"probe", probed}, {"refused", refused}, {"links", links}, {"constant_memory", constant_memory}};
}

}  // namespace rowhouse::storage::conformance
