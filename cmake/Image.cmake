# The embedded image: an OCI image named busybox, from Debian's busybox-static. It stands in
# <build>/share as it will in <prefix>/share, so that ../share from the program finds it in both.
find_program(BULKHEAD_BUSYBOX busybox PATHS /bin /usr/bin NO_DEFAULT_PATH)
find_package(Python3 COMPONENTS Interpreter)

set(BULKHEAD_IMAGE_DIRECTORY ${CMAKE_INSTALL_DATADIR}/bulkhead/images)
set(busybox_image ${CMAKE_BINARY_DIR}/share/bulkhead/images/busybox.tar)
if(BULKHEAD_BUSYBOX AND Python3_FOUND)
  add_custom_command(
    OUTPUT ${busybox_image}
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/make_busybox_image.py
            ${BULKHEAD_BUSYBOX} ${busybox_image}
    DEPENDS ${PROJECT_SOURCE_DIR}/cmake/make_busybox_image.py ${BULKHEAD_BUSYBOX}
    COMMENT "Making the busybox image")
  add_custom_target(busybox_image ALL DEPENDS ${busybox_image})
  install(FILES ${busybox_image} DESTINATION ${BULKHEAD_IMAGE_DIRECTORY})
else()
  message(WARNING "No image is embedded: it needs busybox-static and python3")
endif()
