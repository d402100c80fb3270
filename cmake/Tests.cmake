# Test executables and their registration with ctest.

# rowhouse_sources_of(OUT SUFFIX): every src/**/*SUFFIX.cc, sorted.
function(rowhouse_sources_of out suffix)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/*${suffix}.cc")
  list(SORT found)
  set(${out} ${found} PARENT_SCOPE)
endfunction()

set(ROWHOUSE_MODULE_TARGETS ${ROWHOUSE_MODULES})
list(TRANSFORM ROWHOUSE_MODULE_TARGETS PREPEND rowhouse_)

# Sanitized and debug builds run on the same clock as release ones: limits are for hangs, not for speed.
set(ROWHOUSE_UNIT_TIMEOUT_S 600)
set(ROWHOUSE_PG_TIMEOUT_S 600)
set(ROWHOUSE_BLACKBOX_TIMEOUT_S 1200)
set(ROWHOUSE_COMPILE_TIMEOUT_S 300)

set(ROWHOUSE_TEST_ENVIRONMENT
  "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1"
  "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/leaks_of_others.txt:print_suppressions=0"
  "UBSAN_OPTIONS=print_stacktrace=1"
  "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# rowhouse_add_test(NAME LABEL TIMEOUT_S COMMAND...)
function(rowhouse_add_test name label timeout_s)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout_s}
    ENVIRONMENT "${ROWHOUSE_TEST_ENVIRONMENT}")
endfunction()

# rowhouse_add_suites(TARGET LABEL TIMEOUT_S): one ctest for each GoogleTest suite of TARGET, listed when ctest starts.
function(rowhouse_add_suites target label timeout_s)
  set(script "${CMAKE_CURRENT_BINARY_DIR}/${target}_suites.cmake")
  file(GENERATE OUTPUT "${script}" CONTENT
"set(binary [[$<TARGET_FILE:${target}>]])
set(target [[${target}]])
set(label [[${label}]])
set(timeout_s [[${timeout_s}]])
set(directory [[${CMAKE_SOURCE_DIR}]])
set(environment [[${ROWHOUSE_TEST_ENVIRONMENT}]])
include([[${CMAKE_SOURCE_DIR}/cmake/ListSuites.cmake]])
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${script}")
endfunction()
