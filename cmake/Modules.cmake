include(GNUInstallDirs)
add_custom_target(unit_tests)  # all unit test programs; a plain build of the release leaves them out
add_custom_target(fuzzers)     # all libFuzzer programs

# bulkhead_module(NAME DEPENDS A B ...): the current folder as one static library bulkhead_NAME, and
# its *_test.cc as one test program NAME_test. What may depend on what is checked by tests/style.
function(bulkhead_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES;TEST_LIBRARIES;FUZZ_LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$|_fuzz\\.cc$|/main\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM ARG_DEPENDS PREPEND bulkhead_)
  if(sources)
    add_library(bulkhead_${name} STATIC ${sources})
    target_link_libraries(bulkhead_${name} PUBLIC bulkhead_flags ${ARG_DEPENDS} ${ARG_LIBRARIES})
  else()
    add_library(bulkhead_${name} INTERFACE)
    target_link_libraries(bulkhead_${name} INTERFACE bulkhead_flags ${ARG_DEPENDS} ${ARG_LIBRARIES})
  endif()
  if(BULKHEAD_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE
      bulkhead_${name} ${ARG_TEST_LIBRARIES} GTest::gtest_main)
    add_test(NAME unit/${name} COMMAND ${name}_test)
    bulkhead_unit_tests(${name}_test)
  endif()
  bulkhead_fuzzers(${name} ${ARG_FUZZ_LIBRARIES})
endfunction()

function(bulkhead_unit_tests)
  add_dependencies(unit_tests ${ARGN})
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    set_target_properties(${ARGN} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endfunction()

# Each *_fuzz.cc of the current folder as one libFuzzer program in <build>/fuzz; what follows the name
# is linked beside the module.
function(bulkhead_fuzzers name)
  if(NOT BULKHEAD_FUZZ)
    return()
  endif()
  file(GLOB fuzzers CONFIGURE_DEPENDS *_fuzz.cc)
  foreach(source ${fuzzers})
    get_filename_component(fuzzer ${source} NAME_WE)
    add_executable(${fuzzer} ${source})
    target_link_libraries(${fuzzer} PRIVATE bulkhead_${name} ${ARGN})
    target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${fuzzer} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    add_dependencies(fuzzers ${fuzzer})
  endforeach()
endfunction()

# bulkhead_program(NAME [STATIC [PROTECTED]] SOURCES ... LIBRARIES ...): a program that is installed
# to <prefix>/bin and stands in <build>/bin. STATIC ones start without the dynamic linker; PROTECTED
# ones first execute themselves from a read-only copy (isolation/descriptors/early_protection.h).
function(bulkhead_program name)
  cmake_parse_arguments(ARG "STATIC;PROTECTED" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE bulkhead_flags ${ARG_LIBRARIES})
  # The sanitizers and the fuzzer have no static runtime.
  if(ARG_STATIC AND NOT BULKHEAD_SANITIZE)
    target_link_options(${name} PRIVATE -static)
    if(ARG_PROTECTED AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
      target_link_options(${name} PRIVATE -Wl,-e,bulkhead_entry -Wl,-u,bulkhead_entry)
    endif()
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
