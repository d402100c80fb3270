# Third-party libraries, all from Debian packages (tools/packages.txt, docs/dependencies.md).
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(PostgreSQL 15 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(GTest REQUIRED)
find_package(pugixml 1.13 REQUIRED)
# libsodium has no CMake package of its own.
find_path(SODIUM_INCLUDE_DIR sodium.h REQUIRED)
find_library(SODIUM_LIBRARY sodium REQUIRED)
add_library(rowhouse_sodium INTERFACE)
target_include_directories(rowhouse_sodium SYSTEM INTERFACE "${SODIUM_INCLUDE_DIR}")
target_link_libraries(rowhouse_sodium INTERFACE "${SODIUM_LIBRARY}")
# Nor has libnfs; libsmbclient is loaded when it is needed, so only its header is.
find_path(NFS_INCLUDE_DIR nfsc/libnfs.h REQUIRED)
find_library(NFS_LIBRARY nfs REQUIRED)
find_path(SMBCLIENT_INCLUDE_DIR libsmbclient.h PATH_SUFFIXES samba-4.0 REQUIRED)
add_library(rowhouse_shares INTERFACE)
target_include_directories(rowhouse_shares SYSTEM INTERFACE "${NFS_INCLUDE_DIR}" "${SMBCLIENT_INCLUDE_DIR}")
target_link_libraries(rowhouse_shares INTERFACE "${NFS_LIBRARY}" ${CMAKE_DL_LIBS})

# What a module may use, beyond what every module may use. A module that is not listed needs nothing more.
set(ROWHOUSE_LIBRARIES_EVERYWHERE fmt::fmt Boost::headers Threads::Threads)
set(ROWHOUSE_LIBRARIES_net OpenSSL::SSL OpenSSL::Crypto CURL::libcurl)
set(ROWHOUSE_LIBRARIES_crypto OpenSSL::Crypto rowhouse_sodium)
set(ROWHOUSE_LIBRARIES_pg PostgreSQL::PostgreSQL OpenSSL::Crypto)
set(ROWHOUSE_LIBRARIES_storage OpenSSL::Crypto pugixml::pugixml rowhouse_shares)
