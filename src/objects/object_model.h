// What the object service takes and gives. Plain values.
//
// Units: bytes; times are Unix time in milliseconds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/object_store.h"

namespace rowhouse::objects {

// Of a key as callers write it: in the store it gets "~" and a version of 22 characters.
inline constexpr std::size_t kVersionCharacters = 22;
inline constexpr std::size_t kMaxObjectKeyBytes = 768;
static_assert(kMaxObjectKeyBytes + 1 + kVersionCharacters <= storage::kMaxKeyBytes);

inline constexpr std::size_t kMaxContentTypeBytes = 255;
inline constexpr const char* kDefaultContentType = "application/octet-stream";

struct Object {
  std::string key;
  std::string version;  // 22 characters; another one after each change of the content
  std::uint64_t bytes = 0;
  std::string sha256;  // hexadecimal; "" if it came in parts and nobody said it
  std::string content_type;
  std::int64_t modified_ms = 0;
  int store = 1;  // number of the store that it is in; see store_source.h
};

// What must hold for a write, exactly: it is looked at in the statement that makes the write count.
struct WriteCondition {
  enum class Kind { none, absent, version } kind = Kind::none;
  std::string version;  // of Kind::version
};

struct NewObject {
  std::string key;
  std::string content_type = kDefaultContentType;
  std::string sha256;  // hexadecimal; "" = not known; else it must agree
  WriteCondition condition;
};

struct StoredObject {
  Object object;
  enum class Outcome { created, replaced } outcome = Outcome::created;
};

// An object that is being read. Destroying it ends the transfer.
struct OpenObject {
  Object object;
  std::shared_ptr<storage::ObjectStore> store;  // outlives the download
  std::unique_ptr<storage::Download> download;
};

struct ListObjects {
  std::string prefix;
  enum class Folders { flat, grouped } folders = Folders::flat;  // grouped: what follows the next "/" as one
  std::string cursor;  // `next_cursor` of the page before; "" = first
  int limit = 100;
};
struct ObjectPage {
  std::vector<Object> objects;       // in the order of their keys' bytes
  std::vector<std::string> folders;  // "photos/2026/", with Folders::grouped
  std::string next_cursor;           // "" at the end
};

struct Usage {
  std::uint64_t bytes = 0;     // of objects that are there
  std::uint64_t objects = 0;   // how many
  std::uint64_t reserved = 0;  // for those being written
  std::int64_t limit = -1;     // of the plan, in bytes; -1 = none
};

struct UploadPart {
  int number = 0;
  std::uint64_t bytes = 0;
  std::string sha256;  // hexadecimal
};

struct Upload {
  std::string id;
  std::string key;
  std::string content_type;
  std::int64_t started_ms = 0;
  std::int64_t expires_ms = 0;
  std::optional<std::uint64_t> declared;  // bytes of the whole
  std::uint64_t reserved = 0;
  std::vector<UploadPart> parts;  // by number; those that have arrived as a whole
};

}  // namespace rowhouse::objects
