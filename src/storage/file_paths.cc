#include "storage/file_paths.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

namespace {

constexpr std::string_view kHarmless = "-_.~ ()[]{}@#$&'=,;+";
constexpr std::size_t kMaxShortName = 12;  // "abcdef~1.txt"
constexpr std::array<std::string_view, 4> kOwnNames = {".rowhouse-tmp", ".rowhouse-uploads", ".rowhouse-meta",
                                                       ".rowhouse-locks"};

enum class Kind { file, folder };

bool is_device_name(std::string_view segment) {
  std::string stem = to_lower_ascii(segment.substr(0, segment.find('.')));
  while (stem.ends_with(' ')) stem.pop_back();
  if (stem == "con" || stem == "prn" || stem == "aux" || stem == "nul" || stem == "conin$" ||
      stem == "conout$") {
    return true;
  }
  return stem.size() == 4 && (stem.starts_with("com") || stem.starts_with("lpt")) && stem[3] >= '0' &&
         stem[3] <= '9';
}

// Whether the byte at `i` stands for itself.
bool is_plain(std::string_view segment, std::size_t i) {
  const char c = segment[i];
  if (i == 0 && is_device_name(segment)) return false;
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return true;
  if (kHarmless.find(c) == std::string_view::npos) return false;
  if (i + 1 == segment.size() && (c == '.' || c == ' ')) return false;
  if (i == 0 && c == ' ') return false;
  if (c == '~' && segment.size() <= kMaxShortName) return false;
  return !(i == 0 && is_own_folder(segment));
}

std::string escape(std::string_view segment) {
  std::string out;
  bool in_run = false;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    const char c = segment[i];
    const bool is_capital = c >= 'A' && c <= 'Z' && !(i == 0 && is_device_name(segment));
    const bool in_hex = !is_capital && !is_plain(segment, i);
    if (in_hex != in_run) out += '%';
    in_run = in_hex;
    if (in_hex) {
      out += to_hex(segment.substr(i, 1));
    } else if (is_capital) {
      out += '^';
      out += static_cast<char>(c - 'A' + 'a');
    } else {
      out += c;
    }
  }
  if (in_run) out += '%';
  return out;
}

std::optional<std::string> unescape(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '%') {
      const std::size_t end = name.find('%', i + 1);
      if (end == std::string_view::npos) return std::nullopt;
      const auto bytes = from_hex(name.substr(i + 1, end - i - 1));
      if (!bytes) return std::nullopt;
      out += *bytes;
      i = end;
    } else if (name[i] == '^') {
      if (i + 1 == name.size() || name[i + 1] < 'a' || name[i + 1] > 'z') return std::nullopt;
      out += static_cast<char>(name[++i] - 'a' + 'A');
    } else {
      out += name[i];
    }
  }
  return out;
}

std::string path_of_segment(std::string_view segment, Kind kind) {
  const std::string name = escape(segment);
  const bool has_dot = name.find('.', 1) != std::string::npos;
  std::string path;
  std::size_t from = 0;
  for (; name.size() - from > kPieceCharacters; from += kPieceCharacters) {
    if (from != 0) path += '_';
    path.append(name, from, kPieceCharacters);
    path += "!c/";
  }
  if (from != 0) path += '_';
  path.append(name, from);
  if (kind == Kind::file && !has_dot) path += "!f";
  if (kind == Kind::folder && has_dot) path += "!d";
  return path;
}

std::string path_of(std::string_view key, Kind last) {
  std::string path;
  const auto segments = split(key, '/');
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (i != 0) path += '/';
    path += path_of_segment(segments[i], i + 1 == segments.size() ? last : Kind::folder);
  }
  return path;
}

}  // namespace

std::string path_of_key(std::string_view key) { return path_of(key, Kind::file); }

std::string path_of_folder(std::string_view folder_key) {
  return folder_key.empty() ? std::string() : path_of(folder_key, Kind::folder);
}

std::optional<std::string> key_of_path(std::string_view path) {
  std::string key;
  std::string name;  // of a segment, put together from its pieces
  for (std::string_view piece : split(path, '/')) {
    if (!name.empty()) {
      if (!piece.starts_with('_')) return std::nullopt;
      piece.remove_prefix(1);
    }
    if (piece.ends_with("!c")) {
      name += piece.substr(0, piece.size() - 2);
      continue;
    }
    if (piece.ends_with("!f") || piece.ends_with("!d")) piece.remove_suffix(2);
    name += piece;
    const auto segment = unescape(name);
    if (!segment) return std::nullopt;
    if (!key.empty()) key += '/';
    key += *segment;
    name.clear();
  }
  // What another spelling stands for is not ours: each key has one path.
  if (!check_key(key).ok() || path_of_key(key) != path) return std::nullopt;
  return key;
}

bool may_hold_keys(std::string_view folder_name, std::string_view begin) {
  if (is_own_folder(folder_name)) return false;
  if (folder_name.ends_with("!c")) return true;
  std::string_view name = folder_name;
  if (name.ends_with("!d")) name.remove_suffix(2);
  const auto segment = unescape(name);
  return segment && segment->starts_with(begin) && path_of_segment(*segment, Kind::folder) == folder_name;
}

bool is_own_folder(std::string_view name) {
  return std::find(kOwnNames.begin(), kOwnNames.end(), name) != kOwnNames.end();
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

}  // namespace rowhouse::storage
