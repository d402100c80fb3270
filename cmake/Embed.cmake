# rowhouse_add_embedded(TARGET): the library behind src/base/embedded.h. The assembler copies each file into the
# read-only data of the binary (.incbin), so size costs nothing at compile time; a changed, added or removed file
# rebuilds it.
function(rowhouse_add_embedded target)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}"
    "${CMAKE_SOURCE_DIR}/sql/*.sql" "${CMAKE_SOURCE_DIR}/packs/*" "${CMAKE_SOURCE_DIR}/src/http/static/*")
  list(FILTER files EXCLUDE REGEX "(~|\\.swp|\\.md|\\.gitkeep)$")
  list(SORT files COMPARE STRING CASE SENSITIVE ORDER ASCENDING)

  set(assembly "  .section .rodata.rowhouse_embedded,\"a\"\n")
  set(declarations "")
  set(entries "")
  set(depends "")
  set(index 0)
  foreach(file IN LISTS files)
    set(symbol rowhouse_embedded_${index})
    string(APPEND assembly
      "  .global ${symbol}\n  .global ${symbol}_end\n  .balign 16\n${symbol}:\n"
      "  .incbin \"${CMAKE_SOURCE_DIR}/${file}\"\n${symbol}_end:\n  .byte 0\n")
    string(APPEND declarations "extern const char ${symbol}[];\nextern const char ${symbol}_end[];\n")
    string(APPEND entries "      entry(\"${file}\", ${symbol}, ${symbol}_end),\n")
    list(APPEND depends "${CMAKE_SOURCE_DIR}/${file}")
    math(EXPR index "${index} + 1")
  endforeach()
  string(APPEND assembly "  .section .note.GNU-stack,\"\",@progbits\n")

  set(directory "${CMAKE_BINARY_DIR}/generated")
  file(CONFIGURE OUTPUT "${directory}/embedded_files.S" CONTENT "${assembly}" @ONLY)
  file(CONFIGURE OUTPUT "${directory}/embedded_files.cc" @ONLY CONTENT
"#include \"base/embedded.h\"

#include <array>

extern \"C\" {
${declarations}}

namespace rowhouse {
namespace {

[[maybe_unused]] EmbeddedFile entry(const char* path, const char* begin, const char* end) {
  return EmbeddedFile{path, std::string_view(begin, static_cast<size_t>(end - begin))};
}

}  // namespace

std::span<const EmbeddedFile> embedded_files() {
  static const std::array<EmbeddedFile, ${index}> files{{
${entries}  }};
  return files;
}

}  // namespace rowhouse
")
  set_source_files_properties("${directory}/embedded_files.S" PROPERTIES OBJECT_DEPENDS "${depends}")
  add_library(${target} STATIC "${directory}/embedded_files.cc" "${directory}/embedded_files.S")
  target_link_libraries(${target} PRIVATE rowhouse_flags)
endfunction()
