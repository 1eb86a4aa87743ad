# What is installed beside the programs, which bulkhead_program() installs itself.
install(FILES LICENSE NOTICE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
file(GLOB manual_pages CONFIGURE_DEPENDS docs/man/*.1 docs/man/*.5 docs/man/*.7)
foreach(page ${manual_pages})
  string(REGEX MATCH "[0-9]$" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# Pages and completion that the programs write themselves, by what they say for --help.
if(Python3_FOUND AND NOT BULKHEAD_SANITIZE AND NOT BULKHEAD_FUZZ)
  set(scripts ${PROJECT_SOURCE_DIR}/scripts)
  set(written "")
  foreach(page bulkhead.1 bulkhead-runtime.8)
    string(REGEX REPLACE "\\.[0-9]$" "" program ${page})
    string(REGEX MATCH "[0-9]$" section ${page})
    set(output ${CMAKE_BINARY_DIR}/share/man/man${section}/${page})
    set(template ${PROJECT_SOURCE_DIR}/docs/man/${page}.in)
    add_custom_command(OUTPUT ${output}
      COMMAND ${Python3_EXECUTABLE} -B ${scripts}/make_man_pages.py ${template}
              $<TARGET_FILE:${program}> ${output}
      DEPENDS ${scripts}/make_man_pages.py ${template} ${program}
      COMMENT "Writing ${page}" VERBATIM)
    install(FILES ${output} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    list(APPEND written ${output})
  endforeach()
  set(output ${CMAKE_BINARY_DIR}/share/bash-completion/completions/bulkhead-runtime)
  add_custom_command(OUTPUT ${output}
    COMMAND ${Python3_EXECUTABLE} -B ${scripts}/make_completion.py
            $<TARGET_FILE:bulkhead-runtime> ${output}
    DEPENDS ${scripts}/make_man_pages.py ${scripts}/make_completion.py bulkhead-runtime
    COMMENT "Writing the completion of bulkhead-runtime" VERBATIM)
  install(FILES ${output} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  add_custom_target(manual_pages ALL DEPENDS ${written} ${output})
endif()

# The unit that brings containers back: for `systemctl enable bulkhead`.
configure_file(share/systemd/bulkhead.service.in
  ${CMAKE_BINARY_DIR}/lib/systemd/system/bulkhead.service @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lib/systemd/system/bulkhead.service DESTINATION lib/systemd/system)
