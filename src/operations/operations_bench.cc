// What an operation costs beyond its effects, and how fast nodes work: a tool for bench/operations.py.
//
//   operations_bench SOCKET_DIRECTORY PASSWORD_FILE overhead STEPS RUNS
//     median times in ms of one effect, of STEPS effects in a row, and of operations made of them; JSON
//   operations_bench SOCKET_DIRECTORY PASSWORD_FILE submit COUNT    COUNT operations that nobody works on yet
//   operations_bench SOCKET_DIRECTORY PASSWORD_FILE work NODE LEASE_MS   works until none is left
// An effect is a row that is inserted into public.bench_effects over a connection of its own, as effects on
// other databases are made.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "net/executor.h"
#include "observe/log.h"
#include "operations/engine.h"

namespace {

using namespace std::chrono_literals;
using rowhouse::CallOptions;
using rowhouse::Result;
using rowhouse::Task;
namespace operations = rowhouse::operations;
namespace pg = rowhouse::pg;

constexpr const char* kPlatformDatabase = "rowhouse_platform";
constexpr const char* kManyKind = "bench.many";

CallOptions patient() { return CallOptions{rowhouse::deadline_in(10min)}; }

pg::ConnectionParameters superuser(const std::string& directory, const std::string& password_file) {
  std::ifstream file(password_file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  pg::ConnectionParameters parameters;
  parameters.host = directory;
  parameters.user = "rowhouse_admin";
  parameters.password = rowhouse::trim(content);
  parameters.database = kPlatformDatabase;
  return parameters;
}

struct Bench {
  Bench(const pg::ConnectionParameters& administrator, const operations::EngineOptions& options)
      : parameters(administrator),
        pool(executor, pool_options(administrator)),
        log(*sink, clock, rowhouse::observe::Level::error),
        engine(
            executor, pool, log,
            [this](std::string prefix, std::string own, CallOptions call) {
              return end_sessions(std::move(prefix), std::move(own), call);
            },
            options) {}

  static pg::PoolOptions pool_options(const pg::ConnectionParameters& administrator) {
    pg::PoolOptions options;
    options.parameters = administrator;
    return options;
  }
  Task<Result<void>> end_sessions(std::string prefix, std::string own, CallOptions call) {
    pg::Params params;
    params.emplace_back(std::move(prefix));
    params.emplace_back(std::move(own));
    const pg::Statement statement(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE "
        "starts_with(application_name, $1::text) AND application_name <> $2::text",
        std::move(params), pg::Access::write);
    CO_TRY(auto session, co_await pg::connect(executor, parameters, call));
    CO_TRY_DO(co_await session.query(statement, call));
    co_return Result<void>();
  }
  static pg::Statement note(const std::string& operation, const std::string& what) {
    pg::Params params;
    params.emplace_back(operation);
    params.emplace_back(what);
    return pg::Statement(
        "INSERT INTO public.bench_effects (operation, what, epoch) VALUES ($1::uuid, $2::text, "
        "substring(current_setting('application_name') FROM ' ([0-9]+)[.]')::bigint)",
        std::move(params), pg::Access::write, pg::Reuse::once);
  }
  Task<Result<void>> effect(std::string operation, std::string what, CallOptions call) {
    CO_TRY(auto session, co_await pg::connect(executor, parameters, call));
    const pg::Statement statement = note(operation, what);
    CO_TRY_DO(co_await session.query(statement, call));
    co_return Result<void>();
  }
  operations::Effect noting(std::string what) {
    return [this, what](operations::Run& run) { return effect(run.id().to_string(), what, run.options()); };
  }
  static operations::Record recording(std::string what) {
    return [what](operations::Run& run, pg::Session& platform) { return record(run, platform, what); };
  }
  static Task<Result<void>> record(operations::Run& run, pg::Session& platform, std::string what) {
    const pg::Statement statement = note(run.id().to_string(), what);
    CO_TRY_DO(co_await platform.query(statement, run.options()));
    co_return Result<void>();
  }

  rowhouse::net::Executor executor;
  pg::ConnectionParameters parameters;
  pg::Pool pool;
  std::unique_ptr<rowhouse::observe::FileSink> sink = rowhouse::observe::FileSink::standard_error();
  rowhouse::SystemClock clock;
  rowhouse::observe::Log log;
  operations::Engine engine;
};

int fail(const rowhouse::Error& error) {
  std::fprintf(stderr, "%s %s\n", error.message.c_str(),
               std::string(error.detail(pg::kServerMessage)).c_str());
  return 1;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

Task<Result<void>> bare(Bench& bench, std::size_t steps) {
  const std::string nobody = rowhouse::Uuid().to_string();
  for (std::size_t i = 0; i < steps; ++i) CO_TRY_DO(co_await bench.effect(nobody, "bare", patient()));
  co_return Result<void>();
}

Task<Result<void>> perform(Bench& bench, std::string kind) {
  operations::Submission submission;
  submission.kind = std::move(kind);
  submission.requested_by = "bench";
  CO_TRY(const auto submitted, co_await bench.engine.submit(std::move(submission), patient()));
  CO_TRY(const auto operation, co_await bench.engine.wait(submitted.id, patient()));
  if (operation.status != operations::OperationStatus::succeeded) {
    co_return operations::operation_error(operation);
  }
  co_return Result<void>();
}

Result<double> timed(Bench& bench, Task<Result<void>> task) {
  const auto began = std::chrono::steady_clock::now();
  TRY_DO(rowhouse::net::run_until_done(bench.executor, std::move(task)));
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
}

int measure_overhead(const pg::ConnectionParameters& administrator, std::size_t steps, std::size_t runs) {
  operations::EngineOptions options;
  options.node = "bench";
  Bench bench(administrator, options);
  operations::Kind one, several;
  one.name = "bench.one";
  one.steps.push_back(operations::Step::effect("effect", bench.noting("effect")));
  several.name = "bench.several";
  for (std::size_t i = 0; i < steps; ++i) {
    several.steps.push_back(operations::Step::effect("effect" + std::to_string(i), bench.noting("effect")));
  }
  bench.engine.add(std::move(one));
  bench.engine.add(std::move(several));
  bench.engine.start(operations::Engine::Duty::own);
  // Alternating, so that what else the machine does meets all alike.
  std::vector<double> bare_one, bare_several, with_one, with_several;
  for (std::size_t i = 0; i < runs; ++i) {
    auto a = timed(bench, bare(bench, 1));
    auto b = timed(bench, perform(bench, "bench.one"));
    auto c = timed(bench, bare(bench, steps));
    auto d = timed(bench, perform(bench, "bench.several"));
    for (const auto* outcome : {&a, &b, &c, &d}) {
      if (!outcome->ok()) return fail(outcome->error());
    }
    bare_one.push_back(*a);
    with_one.push_back(*b);
    bare_several.push_back(*c);
    with_several.push_back(*d);
  }
  rowhouse::net::run_until_done(bench.executor, bench.engine.stop());
  std::printf(
      "{\"steps\": %zu, \"runs\": %zu, \"bare_one\": %.3f, \"one\": %.3f, \"bare\": %.3f, \"all\": %.3f}\n",
      steps, runs, median(bare_one), median(with_one), median(bare_several), median(with_several));
  return 0;
}

operations::Kind many(Bench& bench) {
  operations::Kind kind;
  kind.name = kManyKind;
  kind.steps.push_back(operations::Step::effect("effect", bench.noting("effect")));
  kind.steps.push_back(operations::Step::record("record", Bench::recording("record")));
  return kind;
}

int submit_pending(const pg::ConnectionParameters& administrator, std::size_t count) {
  operations::EngineOptions options;
  options.node = "bench-submitter";
  Bench bench(administrator, options);
  bench.engine.add(many(bench));  // and never starts
  for (std::size_t i = 0; i < count; ++i) {
    operations::Submission submission;
    submission.kind = kManyKind;
    submission.requested_by = "bench";
    const auto submitted =
        rowhouse::net::run_until_done(bench.executor, bench.engine.submit(std::move(submission), patient()));
    if (!submitted.ok()) return fail(submitted.error());
  }
  return 0;
}

Task<Result<void>> until_none_is_left(Bench& bench) {
  const pg::Statement left(
      "SELECT FROM platform.operations WHERE kind = 'bench.many' AND status IN ('pending', 'running', "
      "'undoing') "
      "LIMIT 1");
  while (true) {
    CO_TRY(const auto rows, co_await bench.pool.run(nullptr, left, patient()));
    if (rows.size() == 0) co_return Result<void>();
    co_await rowhouse::net::sleep_for(bench.executor, 10ms);
  }
}

int work(const pg::ConnectionParameters& administrator, const std::string& node,
         std::chrono::milliseconds lease) {
  operations::EngineOptions options;
  options.node = node;
  options.lease = lease;
  options.heartbeat = lease / 5;
  Bench bench(administrator, options);
  bench.engine.add(many(bench));
  bench.engine.start(operations::Engine::Duty::adopt);
  const auto outcome = rowhouse::net::run_until_done(bench.executor, until_none_is_left(bench));
  rowhouse::net::run_until_done(bench.executor, bench.engine.stop());
  return outcome.ok() ? 0 : fail(outcome.error());
}

std::int64_t number(const std::vector<std::string>& arguments, std::size_t place) {
  return rowhouse::parse_int64(arguments[place]).value_or(1);
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments(words, words + count);
  if (arguments.size() < 5) return 2;
  const auto administrator = superuser(arguments[1], arguments[2]);
  const std::string& what = arguments[3];
  if (what == "submit") return submit_pending(administrator, static_cast<std::size_t>(number(arguments, 4)));
  if (arguments.size() < 6) return 2;
  if (what == "work")
    return work(administrator, arguments[4], std::chrono::milliseconds(number(arguments, 5)));
  if (what != "overhead") return 2;
  return measure_overhead(administrator, static_cast<std::size_t>(number(arguments, 4)),
                          static_cast<std::size_t>(number(arguments, 5)));
}
