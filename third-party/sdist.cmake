# SPDX-License-Identifier: Apache-2.0
# Puts the part of WAMR's source that is compiled into third-party/wamr, with its licence, for a source distribution, so that
# building from one needs no cargo. scikit-build-core runs CMake with SKBUILD_STATE "sdist" for that; git ignores the folder.

set(folder ${CMAKE_CURRENT_LIST_DIR}/wamr)
if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/../PKG-INFO)
  return()  # this is a source distribution already
endif()

file(REMOVE_RECURSE ${folder})
include(${CMAKE_CURRENT_LIST_DIR}/find_wamr.cmake)
anywasm_find_wamr(source)
file(COPY ${source}/LICENSE DESTINATION ${folder})
file(GLOB headers ${source}/core/*.h)
file(COPY ${headers} DESTINATION ${folder}/core)
foreach(part
    iwasm/include iwasm/common iwasm/interpreter
    shared/mem-alloc shared/utils shared/platform/common shared/platform/darwin shared/platform/include shared/platform/linux)
  get_filename_component(parent ${folder}/core/${part} DIRECTORY)
  file(COPY ${source}/core/${part} DESTINATION ${parent} FILES_MATCHING PATTERN *.h PATTERN *.c)
endforeach()
message(STATUS "WAMR's source is in ${folder}")
