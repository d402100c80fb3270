# Compiler, warnings, sanitizers, linker and compiler cache. Everything applies to our own code through the
# interface library rowhouse_flags; third-party headers are system headers and stay silent.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# -g1 (functions and lines) is enough for a stack trace, and builds in half the time of -g.
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g1")
if(ROWHOUSE_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

find_program(ROWHOUSE_CCACHE ccache)
if(ROWHOUSE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Results are shared by all checkouts and build directories: paths below the root count as relative ones.
  set(CMAKE_CXX_COMPILER_LAUNCHER env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1 "${ROWHOUSE_CCACHE}")
endif()

# Two files of Boost.Asio need about 1 GB each to compile; linking is cheap but not beside many compilers.
set_property(GLOBAL PROPERTY JOB_POOLS link_pool=2)
set(CMAKE_JOB_POOL_LINK link_pool)

add_library(rowhouse_flags INTERFACE)
target_compile_options(rowhouse_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
    -Wcast-qual -Wformat=2 -Wundef -Wno-missing-field-initializers -Werror -fno-omit-frame-pointer
    -fstack-protector-strong>)
# Index checks of the standard library stay on in release: behind them is other tenants' memory.
target_compile_definitions(rowhouse_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:_GLIBCXX_ASSERTIONS>)
target_include_directories(rowhouse_flags INTERFACE "${CMAKE_SOURCE_DIR}/src")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # -Wrestrict: false alarms on `"text" + std::string` in gcc 12 (its bug 105651).
  target_compile_options(rowhouse_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # clang 14 knows std coroutines but does not announce them to libstdc++'s <coroutine>.
  target_compile_definitions(rowhouse_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:__cpp_impl_coroutine=201902L>)
  # gcc decides about warnings; clang serves the fuzz targets.
  target_compile_options(rowhouse_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-w>)
endif()

if(ROWHOUSE_SANITIZE)
  set(sanitize_flags -fsanitize=${ROWHOUSE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # clang 14 cannot put this check's data before a coroutine.
    list(APPEND sanitize_flags -fno-sanitize=function)
  else()
    # The sanitizers' extra branches make gcc's flow analysis see ghosts.
    list(APPEND sanitize_flags -Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow)
    if(ROWHOUSE_SANITIZE MATCHES "undefined")
      # Asked at every member that is touched, these two take a quarter of the whole compile time. A null pointer that
      # is used ends the process under the address sanitizer as well, and nothing here casts bytes to wider types.
      list(APPEND sanitize_flags -fno-sanitize=null,alignment)
    endif()
    if(ROWHOUSE_SANITIZE STREQUAL "thread")
      # Asio's fences, which the thread sanitizer does not know, order nothing that a lock does not order too.
      list(APPEND sanitize_flags -Wno-tsan)
    endif()
  endif()
  target_compile_options(rowhouse_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${sanitize_flags}>)
  target_link_options(rowhouse_flags INTERFACE ${sanitize_flags})
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_options(rowhouse_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
endif()

if(ROWHOUSE_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "libFuzzer comes with clang: cmake --preset fuzz")
  endif()
  target_compile_options(rowhouse_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
endif()

find_program(ROWHOUSE_MOLD mold)
if(ROWHOUSE_MOLD)
  target_link_options(rowhouse_flags INTERFACE -fuse-ld=mold)
endif()
target_link_options(rowhouse_flags INTERFACE -Wl,-z,relro -Wl,-z,now)
