# Run by ctest (see rowhouse_add_suites): asks a GoogleTest binary for its suites and adds one test for each. A
# binary that is missing or cannot list its tests becomes a test that fails, never a test that is not there.
set(listing "")
set(status "missing")
if(EXISTS "${binary}")
  execute_process(COMMAND "${binary}" --gtest_list_tests RESULT_VARIABLE status OUTPUT_VARIABLE listing
    ERROR_VARIABLE listing_error TIMEOUT 60)
endif()
string(REGEX MATCHALL "(^|\n)[A-Za-z_][A-Za-z0-9_/]*\\." suites "${listing}")
if(NOT status STREQUAL "0" OR NOT suites)
  add_test(${target}.cannot_list "${binary}" --gtest_list_tests)
  set_tests_properties(${target}.cannot_list PROPERTIES LABELS "${label}" PASS_REGULAR_EXPRESSION "^$never^")
endif()
foreach(suite IN LISTS suites)
  string(REGEX REPLACE "[\n.]" "" suite "${suite}")
  add_test("${target}.${suite}" "${binary}" --gtest_brief=1 "--gtest_filter=${suite}.*")
  set_tests_properties("${target}.${suite}" PROPERTIES LABELS "${label}" TIMEOUT ${timeout_s}
    WORKING_DIRECTORY "${directory}" ENVIRONMENT "${environment}")
endforeach()
