# Writes the source file that knows the version and the git revision. Run at every build; the file changes only when they do.
#   cmake -DSOURCE=<tree> -DVERSION=<x.y.z> -DOUT=<file> -P revision.cmake
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR revision STREQUAL "")
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT [=[
#include "bench/session.hpp"
std::string_view trainmeter::git_revision() { return "@revision@"; }
std::string_view trainmeter::program_version() { return "@VERSION@"; }
]=] @ONLY)
