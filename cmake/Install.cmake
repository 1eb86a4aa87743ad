# What is installed beside the programs, which bulkhead_program() installs itself.
install(FILES LICENSE NOTICE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
file(GLOB manual_pages CONFIGURE_DEPENDS docs/man/*.1 docs/man/*.5 docs/man/*.7)
foreach(page ${manual_pages})
  string(REGEX MATCH "[0-9]$" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
