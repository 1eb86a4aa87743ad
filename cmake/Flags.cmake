# One interface target carries the flags of every translation unit.
add_library(bulkhead_flags INTERFACE)
# -iquote, not -I: src/sys/file.h is "sys/file.h", while <sys/file.h> stays the C library's.
target_compile_options(bulkhead_flags INTERFACE "SHELL:-iquote ${PROJECT_SOURCE_DIR}/src")
target_compile_definitions(bulkhead_flags INTERFACE
  _GNU_SOURCE FMT_HEADER_ONLY BULKHEAD_VERSION="${PROJECT_VERSION}")
target_compile_options(bulkhead_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  -Wno-missing-field-initializers
  -fno-rtti -fstack-protector-strong -ffunction-sections -fdata-sections)
# g++ 12 warns of overlaps within `text = "/"` that cannot be (PR 105651).
target_compile_options(bulkhead_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(BULKHEAD_WERROR)
  target_compile_options(bulkhead_flags INTERFACE -Werror)
endif()
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead_flags INTERFACE
    -fsanitize=${BULKHEAD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(bulkhead_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE})
else()
  target_compile_options(bulkhead_flags INTERFACE
    $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
endif()
target_link_options(bulkhead_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now)
if(BULKHEAD_FUZZ)
  target_compile_options(bulkhead_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
