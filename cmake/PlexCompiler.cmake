# The compiler and the flags of every target.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR
    "GCC ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines. Use clang 19 (tools/setup installs it; "
    "the presets of CMakePresets.json choose it) or GCC 14.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  # The precompiled header and its macros are part of ccache's key only with these settings.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_PCH_EXTSUM=1 CCACHE_NOHASHDIR=1
    "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" "${CCACHE_PROGRAM}")
endif()

option(PLX_SANITIZE_ADDRESS "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(PLX_SANITIZE_THREAD "ThreadSanitizer" OFF)
set(PLX_PLANTED_BUG "" CACHE STRING
  "Builds one known bug in, to show that its test catches it: ack_before_sync, dedup_window_of_one, ...")

add_library(plx_flags INTERFACE)
target_compile_options(plx_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror=return-type -Werror=unused-result
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(plx_flags INTERFACE -fpch-instantiate-templates)
  # Objects do not name the folder they were compiled in, so every clone shares the compiler cache. CMake's own choice
  # names the header too, by its absolute path.
  target_compile_options(plx_flags INTERFACE -ffile-compilation-dir=.)
  set(CMAKE_CXX_COMPILE_OPTIONS_USE_PCH -include-pch <PCH_FILE>)
  target_link_options(plx_flags INTERFACE -fuse-ld=lld)
endif()
if(PLX_SANITIZE_ADDRESS)
  target_compile_options(plx_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(plx_flags INTERFACE -fsanitize=address,undefined)
endif()
if(PLX_SANITIZE_THREAD)
  target_compile_options(plx_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(plx_flags INTERFACE -fsanitize=thread)
endif()

# plx_precompiled(NAME HEADERS header... LINK library...): the headers that whoever reuses NAME has precompiled.
#
# A precompiled header holds absolute paths and times, so ccache would never find an object of another clone. The file
# beside it stands for its content in ccache's key (CCACHE_PCH_EXTSUM).
function(plx_precompiled name)
  cmake_parse_arguments(ARG "" "" "HEADERS;LINK" ${ARGN})
  set(source "${CMAKE_BINARY_DIR}/${name}.cpp")
  if(NOT EXISTS "${source}")
    file(WRITE "${source}" "// Compiled so that the precompiled headers are.\n")
  endif()
  add_library(${name} OBJECT "${source}")
  target_link_libraries(${name} PRIVATE plx_flags ${ARG_LINK})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  set(content "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  foreach(header IN LISTS ARG_HEADERS)
    if(IS_ABSOLUTE "${header}")
      file(SHA256 "${header}" hash)
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
      string(APPEND content " ${hash}")
    else()
      string(APPEND content " ${header}")
    endif()
  endforeach()
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -dumpmachine -v OUTPUT_VARIABLE toolchain ERROR_VARIABLE toolchain_log)
  string(SHA256 sum "${content} ${toolchain} ${toolchain_log}")
  file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${name}.dir/cmake_pch.hxx.pch.sum" CONTENT "${sum}\n")
endfunction()
