# The layers of the tree, and what each may see.
#
# A file includes a header of layer L as "L/name.hpp". Each layer's include directory holds nothing but a link called L
# to its folder, and travels with the target trainmeter::L alone. So the link lines are the dependency rule: a layer that
# doesn't link trainmeter::L cannot include it.

add_library(trainmeter_flags INTERFACE)
target_compile_features(trainmeter_flags INTERFACE cxx_std_20)
target_compile_options(trainmeter_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wshadow -Wno-sign-conversion -Wno-missing-field-initializers>
  # Lines for a backtrace or a profile; what a debugger needs of variables (CMAKE_BUILD_TYPE=Debug) costs a quarter of the
  # build's time.
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:RelWithDebInfo>>:-g1>
  # g++ 12 at -O3 sees overlapping copies inside std::string (its bug 105329).
  $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<CONFIG:Release>>:-Wno-restrict>
  $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>  # CMake 3.25 knows no C++20 option for nvcc 13
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>
  $<$<BOOL:${TRAINMETER_WERROR}>:$<$<COMPILE_LANGUAGE:CXX>:-Werror>>)

if(TRAINMETER_SANITIZE)
  target_compile_options(trainmeter_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${TRAINMETER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer>)
  # Instrumented code hides from g++ 12 that the standard library's objects are initialised.
  target_compile_options(trainmeter_flags INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  target_link_options(trainmeter_flags INTERFACE -fsanitize=${TRAINMETER_SANITIZE})
endif()
if(TRAINMETER_SANITIZE MATCHES address)  # what is asked of an empty optional, say, no address tells
  target_compile_definitions(trainmeter_flags INTERFACE _GLIBCXX_ASSERTIONS)
endif()

if(TRAINMETER_FUZZ)
  target_compile_options(trainmeter_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# trainmeter_precompile(<target> [<header>...]): what most of its sources read anyway, read once, which is a third of the build's time.
# Nothing of our own is in it, so it hides no layer from the dependency rule. The preset portable does without, and would not compile a
# source that forgot an include.
function(trainmeter_precompile target)
  target_precompile_headers(${target} PRIVATE <algorithm> <chrono> <filesystem> <fstream> <functional> <map> <memory> <optional>
    <set> <string> <vector> <fmt/format.h> <nlohmann/json.hpp> ${ARGN})
endfunction()

# trainmeter_layer(<name> SOURCES <file>... [LINK <public target>...] [PRIVATE_LINK <target>...])
function(trainmeter_layer layer)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  set(include ${PROJECT_BINARY_DIR}/include/${layer})
  file(MAKE_DIRECTORY ${include})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${layer} ${include}/${layer} SYMBOLIC)
  add_library(trainmeter_${layer} STATIC ${arg_SOURCES})
  add_library(trainmeter::${layer} ALIAS trainmeter_${layer})
  target_include_directories(trainmeter_${layer} PUBLIC ${include})
  target_link_libraries(trainmeter_${layer} PUBLIC ${arg_LINK} PRIVATE trainmeter_flags ${arg_PRIVATE_LINK})
endfunction()

# trainmeter_program(<name> SOURCES <file>... LINK <target>...): a program in build/bin/.
function(trainmeter_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE trainmeter_flags ${arg_LINK})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
