// libsmbclient, loaded when it is first needed: the functions that smb_store.cc calls.
#pragma once

#include <libsmbclient.h>

namespace rowhouse::storage {

// X(name): a function of libsmbclient.h.
#define ROWHOUSE_SMB_FUNCTIONS(X)          \
  X(smbc_new_context)                      \
  X(smbc_init_context)                     \
  X(smbc_free_context)                     \
  X(smbc_setDebug)                         \
  X(smbc_setLogCallback)                   \
  X(smbc_setTimeout)                       \
  X(smbc_setPort)                          \
  X(smbc_setOptionUserData)                \
  X(smbc_getOptionUserData)                \
  X(smbc_setOptionProtocols)               \
  X(smbc_setOptionUseKerberos)             \
  X(smbc_setOptionFallbackAfterKerberos)   \
  X(smbc_setOptionNoAutoAnonymousLogin)    \
  X(smbc_setOptionUseCCache)               \
  X(smbc_setOptionUrlEncodeReaddirEntries) \
  X(smbc_setFunctionAuthDataWithContext)   \
  X(smbc_getFunctionOpen)                  \
  X(smbc_getFunctionRead)                  \
  X(smbc_getFunctionWrite)                 \
  X(smbc_getFunctionLseek)                 \
  X(smbc_getFunctionClose)                 \
  X(smbc_getFunctionStat)                  \
  X(smbc_getFunctionFstat)                 \
  X(smbc_getFunctionUnlink)                \
  X(smbc_getFunctionRename)                \
  X(smbc_getFunctionMkdir)                 \
  X(smbc_getFunctionRmdir)                 \
  X(smbc_getFunctionOpendir)               \
  X(smbc_getFunctionReaddirPlus2)          \
  X(smbc_getFunctionClosedir)

struct SmbLibrary {
#define ROWHOUSE_SMB_POINTER(name) decltype(&::name) name = nullptr;
  ROWHOUSE_SMB_FUNCTIONS(ROWHOUSE_SMB_POINTER)
#undef ROWHOUSE_SMB_POINTER
};

// Null if the library is not installed on this machine. Any thread; loaded once and never unloaded.
const SmbLibrary* smb_library();

}  // namespace rowhouse::storage
