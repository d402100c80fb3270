// Lists: a walk through the folders that holds no more than a few entries of each, and can go on from its
// token in another process. The token names the folders on the way and how far each was read.
#include <fmt/format.h>

#include <deque>

#include "base/json.h"
#include "base/text.h"
#include "storage/blocking_store_impl.h"
#include "storage/file_paths.h"

namespace rowhouse::storage {

namespace {

constexpr std::size_t kBatch = 256;  // entries read at once
constexpr std::size_t kMaxFrames = kMaxKeyBytes;

// A folder that is being read.
struct Frame {
  std::string path;
  std::string cookie;               // behind the last entry that was dealt with
  std::deque<FolderEntry> entries;  // read, not dealt with
  bool at_end = false;
};

Error bad_token() {
  return Error(ErrorCode::validation_failed, "the list's token is not valid")
      .with_field("/token", "is not valid");
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos && !is_own_folder(name);
}

std::string join(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

// [prefix, cookie of the first folder, name of the next, its cookie, …]
std::string make_token(const std::string& prefix, const std::vector<Frame>& frames) {
  json::Array parts;
  parts.emplace_back(prefix);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (i != 0) parts.emplace_back(frames[i].path.substr(frames[i].path.rfind('/') + 1));
    parts.emplace_back(to_base64url(frames[i].cookie));
  }
  return to_base64url(json::serialize(json::Value(std::move(parts))));
}

Result<std::vector<Frame>> read_token(const std::string& token, const std::string& prefix,
                                      std::string start) {
  std::vector<Frame> frames(1);
  frames[0].path = std::move(start);
  if (token.empty()) return frames;
  const auto text = from_base64url(token);
  if (!text) return bad_token();
  const auto value = json::parse(*text);
  const json::Array* parts = value.ok() ? value.value().as_array() : nullptr;
  if (parts == nullptr || parts->size() < 2 || parts->size() % 2 != 0 || parts->size() > 2 * kMaxFrames) {
    return bad_token();
  }
  for (const json::Value& part : *parts) {
    if (part.as_string() == nullptr) return bad_token();
  }
  if (*parts->front().as_string() != prefix) return bad_token();
  for (std::size_t i = 1; i < parts->size(); i += 2) {
    if (i != 1) {
      const std::string& name = *(*parts)[i - 1].as_string();
      if (!is_plain_name(name)) return bad_token();
      const std::string path = join(frames.back().path, name);
      frames.emplace_back().path = path;
    }
    const auto cookie = from_base64url(*(*parts)[i].as_string());
    if (!cookie) return bad_token();
    frames.back().cookie = *cookie;
  }
  return frames;
}

class Walk {
 public:
  Walk(const FileLayout& layout, const ListRequest& request, std::string begin)
      : layout_(layout), request_(request), begin_(std::move(begin)) {}

  // Deals with one entry of the last frame.
  void take(std::vector<Frame>& frames, ListPage& page) const {
    Frame& frame = frames.back();
    const FolderEntry entry = std::move(frame.entries.front());
    frame.entries.pop_front();
    frame.cookie = entry.cookie;
    const std::string path = join(frame.path, entry.name);
    if (entry.info.kind == FileInfo::Kind::folder) {
      // Pieces of a long name say nothing by themselves.
      const bool is_piece = frame.path.ends_with("!c");
      const std::string_view begin = frames.size() == 1 ? std::string_view(begin_) : std::string_view();
      if (is_own_folder(entry.name) || (!is_piece && !may_hold_keys(entry.name, begin))) return;
      frames.emplace_back().path = path;
    } else if (entry.info.kind == FileInfo::Kind::file) {
      const auto full = key_of_path(path);
      if (!full || !full->starts_with(layout_.prefix())) return;
      std::string key = full->substr(layout_.prefix().size());
      if (key.starts_with(request_.prefix)) page.objects.push_back(object_info(std::move(key), entry.info));
    }
  }

 private:
  const FileLayout& layout_;
  const ListRequest& request_;
  const std::string begin_;  // what names in the first folder must begin with
};

}  // namespace

Task<Result<ListPage>> BlockingStore::list(ListRequest request, CallOptions options) {
  if (request.limit < 1 || request.limit > kMaxListLimit) {
    co_return Error(ErrorCode::validation_failed, fmt::format("the limit must be 1 to {}", kMaxListLimit));
  }
  ListPage page;
  const std::string full = layout_.prefix() + request.prefix;
  const std::size_t slash = full.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : full.substr(0, slash);
  if (!folder.empty() && !check_key(folder).ok()) co_return page;  // no key can begin like that
  const std::string begin = slash == std::string::npos ? full : full.substr(slash + 1);
  CO_TRY(std::vector<Frame> frames, read_token(request.token, request.prefix, path_of_folder(folder)));
  const Walk walk(layout_, request, begin);
  const LaneUse use = lanes_.choose();
  while (!frames.empty()) {
    Frame& frame = frames.back();
    if (frame.entries.empty() && frame.at_end) {
      frames.pop_back();
      continue;
    }
    if (page.objects.size() >= static_cast<std::size_t>(request.limit)) break;
    if (!frame.entries.empty()) {
      walk.take(frames, page);
      continue;
    }
    std::function<Result<std::vector<FolderEntry>>(FileSystem&)> work = [&frame](FileSystem& files) {
      return files.read_folder(frame.path, frame.cookie, kBatch);
    };
    auto entries = co_await lanes_.call_again<std::vector<FolderEntry>>(use.lane(), work, options);
    if (!entries.ok() && entries.error().code != ErrorCode::not_found) co_return entries.error();
    if (entries.ok()) {
      frame.entries.assign(std::make_move_iterator(entries.value().begin()),
                           std::make_move_iterator(entries.value().end()));
    }
    frame.at_end = frame.entries.size() < kBatch;
  }
  if (!frames.empty()) page.next_token = make_token(request.prefix, frames);
  co_return page;
}

}  // namespace rowhouse::storage
