# Install rules and the CMake package lrpc_queue.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lrpc_queue)

set_target_properties(lrpc_queue PROPERTIES EXPORT_NAME queue VERSION ${PROJECT_VERSION}
                                            SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
install(TARGETS lrpc_queue EXPORT lrpc_queue-targets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT lrpc_queue-targets NAMESPACE lrpc:: DESTINATION ${package_dir})

if(TARGET lrpc_queue_conformance)
  set_target_properties(lrpc_queue_conformance PROPERTIES EXPORT_NAME queue_conformance)
  install(TARGETS lrpc_queue_conformance EXPORT lrpc_queue-conformance-targets COMPONENT conformance)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/tests/conformance/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          COMPONENT conformance)
  install(EXPORT lrpc_queue-conformance-targets NAMESPACE lrpc:: DESTINATION ${package_dir} COMPONENT conformance)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/lrpc_queue-config.cmake.in
                              ${PROJECT_BINARY_DIR}/lrpc_queue-config.cmake INSTALL_DESTINATION ${package_dir}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lrpc_queue-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lrpc_queue-config.cmake ${PROJECT_BINARY_DIR}/lrpc_queue-config-version.cmake
        DESTINATION ${package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
