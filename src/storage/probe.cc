#include <chrono>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

namespace {

constexpr std::string_view kProbeText =
    "Rowhouse tests whether it can write here. This object may be deleted.\n";

class OnePiece final : public ByteSource {
 public:
  explicit OnePiece(std::string piece) : piece_(std::move(piece)) {}
  Task<Result<std::optional<std::string>>> next() override { co_return std::exchange(piece_, std::nullopt); }

 private:
  std::optional<std::string> piece_;
};

Task<Result<void>> write_step(ObjectStore& store, std::string key, CallOptions options) {
  OnePiece source{std::string(kProbeText)};
  PutOptions put_options;
  put_options.content_type = "text/plain";
  put_options.sha256 = to_hex(crypto::sha256(kProbeText));
  CO_TRY(const ObjectInfo info, co_await store.put(key, kProbeText.size(), source, put_options, options));
  if (info.bytes != kProbeText.size()) {
    co_return Error(ErrorCode::storage_failed, "the object that was written has another size");
  }
  co_return Result<void>();
}

Task<Result<void>> read_step(ObjectStore& store, std::string key, CallOptions options) {
  CO_TRY(auto download, co_await store.get(key, std::nullopt, options));
  std::string text;
  for (;;) {
    CO_TRY(std::optional<std::string> piece, co_await download->next(options));
    if (!piece) break;
    text += *piece;
    if (text.size() > kProbeText.size()) break;
  }
  if (text != kProbeText) {
    co_return Error(ErrorCode::storage_failed, "what was read is not what had been written");
  }
  co_return Result<void>();
}

Task<Result<void>> list_step(ObjectStore& store, std::string key, CallOptions options) {
  ListRequest request;
  request.prefix = key;
  request.limit = 10;
  CO_TRY(const ListPage page, co_await store.list(request, options));
  for (const ObjectInfo& object : page.objects) {
    if (object.key == key) co_return Result<void>();
  }
  co_return Error(ErrorCode::storage_failed, "the object that was written is not in the list");
}

Task<Result<void>> delete_step(ObjectStore& store, std::string key, CallOptions options) {
  std::vector<std::string> keys;
  keys.push_back(key);
  CO_TRY_DO(co_await store.remove(keys, options));
  const Result<ObjectInfo> gone = co_await store.stat(key, options);
  if (gone.ok()) co_return Error(ErrorCode::storage_failed, "the object is still there after it was deleted");
  if (gone.error().code != ErrorCode::not_found) co_return gone.error();
  co_return Result<void>();
}

using Step = Task<Result<void>> (*)(ObjectStore&, std::string, CallOptions);
struct NamedStep {
  const char* name;
  Step step;
};
constexpr NamedStep kSteps[] = {
    {"write", write_step}, {"read", read_step}, {"list", list_step}, {"delete", delete_step}};

}  // namespace

Task<ProbeResult> probe(ObjectStore& store, std::string key, CallOptions options) {
  ProbeResult result;
  result.ok = true;
  bool written = false;
  for (const NamedStep& named : kSteps) {
    ProbeStep step;
    step.name = named.name;
    const bool is_write = named.step == write_step;
    if (!is_write && !written) {
      step.error = "not tried: the object could not be written";
    } else {
      const auto begin = std::chrono::steady_clock::now();
      const Result<void> outcome = co_await named.step(store, key, options);
      step.duration_us =
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin)
              .count();
      step.ok = outcome.ok();
      if (!outcome.ok()) step.error = outcome.error().message;
      if (is_write) written = outcome.ok();
    }
    result.ok = result.ok && step.ok;
    result.steps.push_back(std::move(step));
  }
  co_return result;
}

}  // namespace rowhouse::storage
