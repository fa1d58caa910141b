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
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_PCH_EXTSUM=1
    "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" "${CCACHE_PROGRAM}")
endif()

option(PLX_SANITIZE_ADDRESS "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(PLX_SANITIZE_THREAD "ThreadSanitizer" OFF)
set(PLX_PLANTED_BUG "" CACHE STRING
  "Builds one known bug in, to show that its test catches it: ack_before_sync, dedup_window_of_one, ...")

add_library(plx_flags INTERFACE)
target_compile_options(plx_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror=return-type
  -Wno-invalid-offsetof -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(plx_flags INTERFACE -fpch-instantiate-templates)
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
