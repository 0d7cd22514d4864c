# Library, headers, tool and the package that find_package(fisherdiag) reads.
include(CMakePackageConfigHelpers)

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/fisherdiag")

install(TARGETS fisherdiag EXPORT fisherdiag-targets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT dev
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT runtime)

install(TARGETS fisherdiag_c LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT dev
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT runtime)

# kernels/impl includes xsimd, which users of the library need not have.
install(DIRECTORY "${PROJECT_SOURCE_DIR}/src/fisherdiag" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h" PATTERN "impl" EXCLUDE)

if(TARGET fisherdiag_cli)
  install(TARGETS fisherdiag_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
  install(FILES "${PROJECT_SOURCE_DIR}/src/cli/completion/fisherdiag.bash" RENAME fisherdiag COMPONENT tools
          DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
  if(TARGET fisherdiag_man)
    install(FILES "${PROJECT_BINARY_DIR}/src/cli/fisherdiag.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
  endif()
endif()

get_target_property(_library_type fisherdiag TYPE)
if(_library_type STREQUAL "STATIC_LIBRARY")
  set(FISHERDIAG_IS_STATIC TRUE)
else()
  set(FISHERDIAG_IS_STATIC FALSE)
endif()
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/fisherdiag-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/cmake/fisherdiag-config.cmake"
                              INSTALL_DESTINATION "${_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/cmake/fisherdiag-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/cmake/fisherdiag-config.cmake"
              "${PROJECT_BINARY_DIR}/cmake/fisherdiag-config-version.cmake"
        DESTINATION "${_package_dir}" COMPONENT dev)
install(EXPORT fisherdiag-targets NAMESPACE fisherdiag:: DESTINATION "${_package_dir}" COMPONENT dev)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT runtime)
