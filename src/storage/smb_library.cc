#include "storage/smb_library.h"

#include <dlfcn.h>

#include <optional>

namespace rowhouse::storage {

namespace {

std::optional<SmbLibrary> load() {
  void* handle = dlopen("libsmbclient.so.0", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return std::nullopt;
  SmbLibrary library;
#define ROWHOUSE_SMB_LOAD(name)                                             \
  library.name = reinterpret_cast<decltype(&::name)>(dlsym(handle, #name)); \
  if (library.name == nullptr) return std::nullopt;
  ROWHOUSE_SMB_FUNCTIONS(ROWHOUSE_SMB_LOAD)
#undef ROWHOUSE_SMB_LOAD
  return library;
}

}  // namespace

const SmbLibrary* smb_library() {
  static const std::optional<SmbLibrary> library = load();
  return library ? &*library : nullptr;
}

}  // namespace rowhouse::storage
