# Run by ctest: NAME.cc must be refused by the compiler, for the reason it names, and NAME_ok.cc must be accepted.
# The flags are those of the build as far as they decide what compiles. The first line of NAME.cc is
# "// EXPECT: TEXT", where TEXT occurs in the compiler's message; so neither a broken include path nor an unrelated
# mistake can pass for the refusal.
string(REGEX REPLACE "\\.cc$" "_ok.cc" control "${SOURCE}")
set(compile "${COMPILER}" -std=gnu++20 -fsyntax-only -Wall -Werror -D_GLIBCXX_ASSERTIONS "-I${INCLUDE}")

if(NOT EXISTS "${control}")
  message(FATAL_ERROR "${control} is missing: each compile-fail file needs a control that compiles")
endif()
file(STRINGS "${SOURCE}" first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// EXPECT: (.+)$")
  message(FATAL_ERROR "${SOURCE}:1: the first line must be '// EXPECT: text of the compiler's message'")
endif()
set(expected "${CMAKE_MATCH_1}")

execute_process(COMMAND ${compile} "${control}" RESULT_VARIABLE status ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the control ${control} must compile:\n${output}")
endif()
execute_process(COMMAND ${compile} "${SOURCE}" RESULT_VARIABLE status ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, but must not")
endif()
string(FIND "${output}" "${expected}" position)
if(position EQUAL -1)
  message(FATAL_ERROR "${SOURCE} was refused, but not with '${expected}':\n${output}")
endif()
message(STATUS "refused as it should be: ${expected}")
