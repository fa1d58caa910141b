# plx_module(NAME [DEPENDS module...] [SOURCES file...] [LINK library...] [TESTS file...] [TEST_DEPENDS module...])
#
# One folder is one module and one static library plexspaces_NAME; its tests are one binary NAME_test. DEPENDS may name
# only modules that stand above NAME in PLX_MODULE_ORDER, and the sources may include only what DEPENDS reaches; both
# are checked while CMake configures. `a/b` names the library plexspaces_a_b in the folder a/b, with a's rank: it may
# use a or be used by a, whichever is declared first, but not its siblings a/c.
#
# PLX_PLANTED_BUG=name defines PLX_BUG_NAME in the sources that mention it, and in no other, so that a build with a bug
# compiles only these anew.

set(PLX_MODULE_ORDER base codec env sim telemetry security actor behavior supervision store durable workflow tuplespace
  channel group resource cluster scheduling wasm microvm languages facets api rpc http node cli testkit)

function(plx_module_rank name out)
  string(REGEX REPLACE "/.*" "" root "${name}")
  list(FIND PLX_MODULE_ORDER "${root}" rank)
  if(rank EQUAL -1)
    message(FATAL_ERROR "module '${name}' is not in PLX_MODULE_ORDER (cmake/PlexModules.cmake)")
  endif()
  set(${out} ${rank} PARENT_SCOPE)
endfunction()

# Every module that `name` may include: itself, its DEPENDS and theirs.
function(plx_module_reach name out)
  get_property(reach GLOBAL PROPERTY "PLX_REACH_${name}")
  set(${out} "${reach}" PARENT_SCOPE)
endfunction()

# The module that a folder of plexspaces/ belongs to: the nearest one above it with a CMakeLists.txt.
function(plx_module_of folder out)
  while(folder MATCHES "/" AND NOT EXISTS "${CMAKE_SOURCE_DIR}/plexspaces/${folder}/CMakeLists.txt")
    string(REGEX REPLACE "/[^/]*$" "" folder "${folder}")
  endwhile()
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()

function(plx_check_includes name reach)
  foreach(file IN LISTS ARGN)
    file(STRINGS "${file}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*[\"<](plexspaces|\\.\\.?)/")
    foreach(line IN LISTS lines)
      if(line MATCHES "[\"<]\\.")
        message(FATAL_ERROR "relative include in ${file}: ${line}\nInclude from the root: #include \"plexspaces/...\"")
      endif()
      if(NOT line MATCHES "[\"<]plexspaces/([^\">]*)/[^\">/]*[\">]")
        continue()  # plexspaces/plexspaces.hpp, the umbrella
      endif()
      plx_module_of("${CMAKE_MATCH_1}" used)
      if(NOT used IN_LIST reach)
        message(FATAL_ERROR "forbidden edge ${name} -> ${used}: ${file} includes it, but the declared dependencies of "
          "'${name}' do not reach it. Declare it in DEPENDS if '${used}' stands above '${name}', else move the code.")
      endif()
    endforeach()
  endforeach()
endfunction()

function(plx_check_edge name dependency)
  plx_module_rank("${name}" rank)
  plx_module_rank("${dependency}" dependency_rank)
  string(REGEX REPLACE "/" "_" library "plexspaces_${dependency}")
  if(dependency_rank GREATER rank)
    message(FATAL_ERROR "forbidden edge ${name} -> ${dependency}: upward, a module uses only modules above it in "
      "PLX_MODULE_ORDER (cmake/PlexModules.cmake)")
  endif()
  set(parent_and_child FALSE)
  if("${name}/" MATCHES "^${dependency}/" OR "${dependency}/" MATCHES "^${name}/")
    set(parent_and_child TRUE)
  endif()
  if(dependency_rank EQUAL rank AND NOT (parent_and_child AND TARGET ${library}))
    message(FATAL_ERROR "forbidden edge ${name} -> ${dependency}: sideways, modules of one rank do not use each other; "
      "move what both need into a module above them")
  endif()
  if(NOT TARGET ${library})
    message(FATAL_ERROR "unknown module '${dependency}' in the DEPENDS of '${name}': its folder must be added before "
      "(plexspaces/CMakeLists.txt)")
  endif()
endfunction()

# Defines the planted bug in those of the files that mention it.
function(plx_plant_bug)
  if(NOT PLX_PLANTED_BUG)
    return()
  endif()
  string(TOUPPER "PLX_BUG_${PLX_PLANTED_BUG}" macro)
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(STRINGS "${file}" mentions REGEX "${macro}([^A-Z0-9_]|$)")
    if(mentions)
      set_property(SOURCE "${file}" APPEND PROPERTY COMPILE_DEFINITIONS "${macro}=1")
      set_property(GLOBAL APPEND PROPERTY PLX_PLANTED_IN "${file}")
    endif()
  endforeach()
endfunction()

# Runs when everything is configured: a bug that no source knows would be a test of nothing.
function(plx_check_bug_is_planted)
  get_property(planted_in GLOBAL PROPERTY PLX_PLANTED_IN)
  if(PLX_PLANTED_BUG AND NOT planted_in)
    string(TOUPPER "PLX_BUG_${PLX_PLANTED_BUG}" macro)
    message(FATAL_ERROR "no source of a module mentions ${macro}: PLX_PLANTED_BUG=${PLX_PLANTED_BUG} plants nothing")
  endif()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL plx_check_bug_is_planted)

function(plx_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;SOURCES;LINK;TESTS;TEST_DEPENDS;TEST_LINK" ${ARGN})
  plx_module_rank("${name}" rank)
  set(reach "${name}")
  string(REGEX REPLACE "/" "_" target "plexspaces_${name}")
  set(libraries "")
  foreach(dependency IN LISTS ARG_DEPENDS)
    plx_check_edge("${name}" "${dependency}")
    plx_module_reach("${dependency}" below)
    list(APPEND reach ${below})
    string(REGEX REPLACE "/" "_" library "plexspaces_${dependency}")
    list(APPEND libraries "${library}")
  endforeach()
  if("${ARG_LINK}" MATCHES "(^|;)plexspaces_")
    message(FATAL_ERROR "module '${name}' names a module in LINK: name it in DEPENDS, where it is checked")
  endif()
  list(REMOVE_DUPLICATES reach)
  set_property(GLOBAL PROPERTY "PLX_REACH_${name}" "${reach}")

  # Folders without a CMakeLists.txt of their own are part of this module.
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}/plexspaces" "${CMAKE_CURRENT_SOURCE_DIR}/*.hpp")
  foreach(header IN LISTS headers)
    string(REGEX REPLACE "/[^/]*$" "" folder "${header}")
    plx_module_of("${folder}" owner)
    if(NOT owner STREQUAL name)
      list(REMOVE_ITEM headers "${header}")
    endif()
  endforeach()
  # What only tests include is bound by no module's dependencies, as the tests themselves.
  list(FILTER headers EXCLUDE REGEX "_fixture\\.hpp$")
  list(TRANSFORM headers PREPEND "${CMAKE_SOURCE_DIR}/plexspaces/")
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE sources)
  plx_check_includes("${name}" "${reach}" ${headers} ${sources})
  plx_plant_bug(${sources})

  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    target_link_libraries(${target} PUBLIC plx_flags ${libraries} ${ARG_LINK})
    target_include_directories(${target} PUBLIC "${CMAKE_SOURCE_DIR}")
    target_precompile_headers(${target} REUSE_FROM plx_precompiled)
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE plx_flags ${libraries} ${ARG_LINK})
    target_include_directories(${target} INTERFACE "${CMAKE_SOURCE_DIR}")
  endif()

  if(ARG_TESTS)
    string(REGEX REPLACE "/" "_" test "${name}_test")
    set(test_libraries "")
    foreach(dependency IN LISTS ARG_TEST_DEPENDS)
      string(REGEX REPLACE "/" "_" library "plexspaces_${dependency}")
      list(APPEND test_libraries "${library}")
    endforeach()
    plx_test(${test} SOURCES ${ARG_TESTS} LINK ${target} ${test_libraries} ${ARG_TEST_LINK})
  endif()
endfunction()

# plx_test(NAME SOURCES file... LINK library...): one GoogleTest binary, known to ctest under NAME.
function(plx_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;ARGS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE plx_flags ${ARG_LINK} GTest::gmock GTest::gtest_main rapidcheck Threads::Threads)
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_precompile_headers(${name} REUSE_FROM plx_precompiled_test)
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS} WORKING_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()
