#include <fmt/format.h>

#include <algorithm>

#include "cases.h"

namespace rowhouse::storage::conformance {

namespace {

// A size that suits every provider: 5 MiB or more, and a multiple of what the store aligns parts to.
std::uint64_t part_bytes(ObjectStore& store) {
  const std::uint64_t alignment = std::max<std::uint64_t>(store.part_alignment(), 1);
  const std::uint64_t wanted = std::max<std::uint64_t>(store.min_part_bytes(), 1'000'000);
  return (wanted + alignment - 1) / alignment * alignment;
}

// An object that is sent in parts of `part`, the last one of `last`.
struct Plan {
  std::string key, upload;
  std::uint64_t seed, part, last;
  int parts;
  std::uint64_t bytes() const { return part * static_cast<std::uint64_t>(parts - 1) + last; }
};

Task<Result<Part>> send(Bench& bench, Plan plan, int number) {
  const std::uint64_t bytes = number == plan.parts ? plan.last : plan.part;
  PatternSource source(plan.seed, bytes);
  source.begin_at(static_cast<std::uint64_t>(number - 1) * plan.part);
  co_return co_await bench.store().put_part(plan.key, plan.upload, number, bytes, source, bench.options());
}

Task<Result<Plan>> begin(Bench& bench, std::string name, std::uint64_t seed, int parts,
                         PutOptions put_options) {
  Plan plan{bench.key(name), "", seed, part_bytes(bench.store()), 12'345, parts};
  CO_TRY(plan.upload, co_await bench.store().begin_upload(plan.key, put_options, bench.options()));
  EXPECT_THAT_IT(!plan.upload.empty() && plan.upload.size() <= 4'096, "the upload's name");
  co_return plan;
}

Task<Result<void>> nothing_there(Bench& bench, std::string key) {
  EXPECT_CODE(co_await bench.store().stat(key, bench.options()), ErrorCode::not_found);
  CO_TRY(const auto keys, co_await bench.list_all(key, 10));
  EXPECT_THAT_IT(keys.empty(), "parts are listed as objects");
  co_return Result<void>();
}

Task<Result<void>> parts(Bench& bench) {
  PutOptions put_options;
  put_options.content_type = "video/mp4";
  CO_TRY(const Plan plan, co_await begin(bench, "parts/film.mp4", 20, 4, put_options));
  std::vector<Part> sent(4);
  // Where they may come in any order they do.
  const bool any_order = bench.store().parallel_parts();
  const std::function<Task<Result<void>>(int)> work = [&](int i) -> Task<Result<void>> {
    const int number = any_order ? 4 - i : i + 1;
    CO_TRY(sent[static_cast<std::size_t>(number - 1)], co_await send(bench, plan, number));
    co_return Result<void>();
  };
  CO_TRY_DO(co_await bench.for_each(4, any_order ? 4 : 1, work));
  CO_TRY_DO(co_await nothing_there(bench, plan.key));
  CO_TRY(const auto listed, co_await bench.store().list_parts(plan.key, plan.upload, bench.options()));
  EXPECT_THAT_IT(listed.size() == 4, fmt::format("{} parts listed", listed.size()));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_THAT_IT(listed[i].number == static_cast<int>(i) + 1, "not in the order of the numbers");
    EXPECT_THAT_IT(listed[i].etag == sent[i].etag && listed[i].bytes == sent[i].bytes,
                   "another part is listed");
  }
  CO_TRY(const ObjectInfo info,
         co_await bench.store().complete_upload(plan.key, plan.upload, sent, bench.options()));
  EXPECT_THAT_IT(info.bytes == plan.bytes(), fmt::format("{} bytes", info.bytes));
  CO_TRY_DO(co_await bench.compare(plan.key, 20, plan.bytes()));
  CO_TRY(const ObjectInfo stat, co_await bench.store().stat(plan.key, bench.options()));
  EXPECT_THAT_IT(stat.content_type == "video/mp4" && stat.etag == info.etag, "stat tells something else");
  co_return Result<void>();
}

// The store is opened anew in between, as after a restart of this side.
Task<Result<void>> parts_resumed(Bench& bench) {
  const PutOptions put_options;
  CO_TRY(const Plan plan, co_await begin(bench, "parts/resumed.bin", 21, 3, put_options));
  CO_TRY_DO(co_await send(bench, plan, 1));
  CO_TRY_DO(bench.reopen());
  // Cut off in the middle of a part.
  PatternSource broken(21, plan.part);
  broken.when(plan.part / 2, []() -> Result<void> { return Error(ErrorCode::cancelled, "cut off"); });
  broken.begin_at(plan.part);
  EXPECT_CODE(co_await bench.store().put_part(plan.key, plan.upload, 2, plan.part, broken, bench.options()),
              ErrorCode::cancelled);
  CO_TRY_DO(bench.reopen());
  CO_TRY(auto parts_there, co_await bench.store().list_parts(plan.key, plan.upload, bench.options()));
  EXPECT_THAT_IT(parts_there.size() == 1 && parts_there[0].number == 1,
                 "another part than the first is there");
  for (int number = 2; number <= 3; ++number) {
    CO_TRY(const Part part, co_await send(bench, plan, number));
    parts_there.push_back(part);
  }
  CO_TRY_DO(bench.reopen());
  CO_TRY_DO(co_await bench.store().complete_upload(plan.key, plan.upload, parts_there, bench.options()));
  co_return co_await bench.compare(plan.key, 21, plan.bytes());
}

Task<Result<void>> part_again(Bench& bench) {
  const PutOptions put_options;
  CO_TRY(const Plan plan, co_await begin(bench, "parts/again.bin", 22, 2, put_options));
  std::vector<Part> sent(2);
  if (bench.store().parallel_parts()) {
    Plan other = plan;
    other.seed = 99;
    CO_TRY_DO(co_await send(bench, other, 1));
  }
  CO_TRY(sent[0], co_await send(bench, plan, 1));
  CO_TRY(sent[0], co_await send(bench, plan, 1));
  CO_TRY(sent[1], co_await send(bench, plan, 2));
  CO_TRY_DO(co_await bench.store().complete_upload(plan.key, plan.upload, sent, bench.options()));
  co_return co_await bench.compare(plan.key, 22, plan.bytes());
}

Task<Result<void>> parts_replace(Bench& bench) {
  const PutOptions put_options;
  CO_TRY(const Plan plan, co_await begin(bench, "parts/replaced.bin", 23, 2, put_options));
  CO_TRY_DO(co_await bench.put(plan.key, 1, 1'000));
  std::vector<Part> sent(2);
  CO_TRY(sent[0], co_await send(bench, plan, 1));
  CO_TRY_DO(co_await bench.compare(plan.key, 1, 1'000));
  CO_TRY(sent[1], co_await send(bench, plan, 2));
  const Result<ObjectInfo> completed =
      co_await bench.store().complete_upload(plan.key, plan.upload, sent, bench.options());
  // Azure throws the blocks of a key away that was written in between, and says so.
  if (!completed.ok() && completed.error().code == ErrorCode::not_found) {
    co_return co_await bench.compare(plan.key, 1, 1'000);
  }
  CO_TRY_DO(Result<ObjectInfo>(completed));
  co_return co_await bench.compare(plan.key, 23, plan.bytes());
}

Task<Result<void>> parts_absent(Bench& bench) {
  PutOptions put_options;
  put_options.condition = PutCondition::absent;
  CO_TRY(const Plan plan, co_await begin(bench, "parts/absent.bin", 24, 1, put_options));
  std::vector<Part> sent(1);
  CO_TRY(sent[0], co_await send(bench, plan, 1));
  CO_TRY_DO(co_await bench.store().complete_upload(plan.key, plan.upload, sent, bench.options()));
  CO_TRY_DO(co_await bench.compare(plan.key, 24, plan.bytes()));
  const Result<Plan> second = co_await begin(bench, "parts/absent.bin", 25, 1, put_options);
  if (!second.ok()) {
    EXPECT_CODE(Result<Plan>(second), ErrorCode::precondition_failed);
    co_return co_await bench.compare(plan.key, 24, plan.bytes());
  }
  const Plan& other = second.value();
  CO_TRY(sent[0], co_await send(bench, other, 1));
  EXPECT_CODE(co_await bench.store().complete_upload(other.key, other.upload, sent, bench.options()),
              ErrorCode::precondition_failed);
  const Result<void> aborted = co_await bench.store().abort_upload(other.key, other.upload, bench.options());
  static_cast<void>(aborted.ok());
  co_return co_await bench.compare(plan.key, 24, plan.bytes());
}

Task<Result<void>> parts_aborted(Bench& bench) {
  const PutOptions put_options;
  CO_TRY(const Plan plan, co_await begin(bench, "parts/aborted.bin", 26, 2, put_options));
  std::vector<Part> sent(1);
  CO_TRY(sent[0], co_await send(bench, plan, 1));
  CO_TRY_DO(co_await bench.store().abort_upload(plan.key, plan.upload, bench.options()));
  CO_TRY_DO(co_await nothing_there(bench, plan.key));
  EXPECT_CODE(co_await bench.store().list_parts(plan.key, plan.upload, bench.options()),
              ErrorCode::not_found);
  EXPECT_CODE(co_await bench.store().complete_upload(plan.key, plan.upload, sent, bench.options()),
              ErrorCode::not_found);
  EXPECT_CODE(co_await send(bench, plan, 2), ErrorCode::not_found);
  co_return co_await nothing_there(bench, plan.key);
}

// Names of uploads come from callers: what is none, or another key's, is not found.
Task<Result<void>> parts_unknown(Bench& bench) {
  const PutOptions put_options;
  CO_TRY(const Plan plan, co_await begin(bench, "parts/unknown.bin", 27, 2, put_options));
  CO_TRY_DO(co_await send(bench, plan, 1));
  const std::string names[] = {"", "x", "../../etc", plan.upload + "x"};
  for (const std::string& name : names) {
    const auto listed = co_await bench.store().list_parts(plan.key, name, bench.options());
    EXPECT_THAT_IT(!listed.ok(), "an upload of the name " + name);
    EXPECT_THAT_IT(
        !(co_await bench.store().abort_upload(plan.key, name, bench.options())).ok() || name.empty(),
        "an upload was aborted of the name " + name);
  }
  const std::string other = bench.key("parts/another.bin");
  const auto listed = co_await bench.store().list_parts(other, plan.upload, bench.options());
  EXPECT_THAT_IT(!listed.ok(), "an upload is found by another key");
  co_return co_await bench.store().abort_upload(plan.key, plan.upload, bench.options());
}

}  // namespace

std::vector<Case> upload_cases() {
  return {{"parts", parts},
          {"parts_resumed", parts_resumed},
          {"part_again", part_again},
          {"parts_replace", parts_replace},
          {"parts_absent", parts_absent},
          {"parts_aborted", parts_aborted},
          {"parts_unknown", parts_unknown}};
}

}  // namespace rowhouse::storage::conformance
