# cmake --install gives a tree that works: programs, published data, docs. With TRAINMETER_PORTABLE the folder holds the programs'
# libraries too and may be copied to a machine that has none of them.
include(GNUInstallDirs)
add_custom_target(all_programs DEPENDS trainmeter gemm_bench memory_bench attention_bench layer_bench collective_bench overlap_bench)
install(DIRECTORY results/published DESTINATION ${CMAKE_INSTALL_DATADIR}/trainmeter)
install(DIRECTORY scripts/slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/trainmeter)
# What scripts/charts.sh got: a page carries it. The converter to SVG stays where it is, a Python of this machine.
install(FILES ${PROJECT_BINARY_DIR}/charts/vega.js DESTINATION ${CMAKE_INSTALL_DATADIR}/trainmeter/charts OPTIONAL)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(NOT TRAINMETER_PORTABLE)
  # Libraries outside the loader's path (OpenBLAS's OpenMP variant, CUDA's) are found where the build found them.
  set_target_properties(trainmeter gemm_bench memory_bench attention_bench layer_bench collective_bench overlap_bench PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  return()
endif()

option(TRAINMETER_PORTABLE_CUDA_LIBS "Put cuBLASLt and NCCL (hundreds of MB) into the portable folder; OFF: found in /usr/local/cuda" ON)
set(portable_programs trainmeter gemm_bench memory_bench attention_bench layer_bench collective_bench overlap_bench)
foreach(test IN ITEMS kernels_gpu_test bench_gpu_test)
  if(TARGET ${test})
    list(APPEND portable_programs ${test})
    install(TARGETS ${test} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
foreach(program IN LISTS portable_programs)
  set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib:/usr/local/cuda/lib64")
  # The old kind of path holds for the libraries' own libraries too (libgfortran of OpenBLAS, say).
  target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
endforeach()
install(PROGRAMS scripts/gpu_suite.sh scripts/peer_gemm.py DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES scripts/gpu_time.py DESTINATION ${CMAKE_INSTALL_BINDIR})  # of which peer_gemm.py has a constant
# What every Linux with a matching kernel brings itself stays out: the C library and the loader, and the driver's libraries.
set(stays_out "^ld-linux" "^libc[.]so" "^libm[.]so" "^libdl[.]so" "^librt[.]so" "^libpthread[.]so" "^libcuda[.]so" "^libnvidia-ml[.]so")
if(NOT TRAINMETER_PORTABLE_CUDA_LIBS)
  list(APPEND stays_out "^libcublas" "^libnccl")
endif()
set(cublaslt "")
if(TRAINMETER_HAS_CUDA AND TRAINMETER_PORTABLE_CUDA_LIBS)
  set(cublaslt ${CUDA_cublasLt_LIBRARY})  # no program is linked to it
endif()
list(TRANSFORM stays_out REPLACE "(.+)" "\"\\1\"" OUTPUT_VARIABLE quoted)
list(JOIN quoted " " quoted)
list(JOIN CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES " " cuda_folders)
install(CODE "
  file(GET_RUNTIME_DEPENDENCIES
    EXECUTABLES \"$<TARGET_FILE:trainmeter>\" \"$<TARGET_FILE:gemm_bench>\" \"$<TARGET_FILE:memory_bench>\" \"$<TARGET_FILE:attention_bench>\" \"$<TARGET_FILE:layer_bench>\" \"$<TARGET_FILE:collective_bench>\" \"$<TARGET_FILE:overlap_bench>\"
    RESOLVED_DEPENDENCIES_VAR libraries UNRESOLVED_DEPENDENCIES_VAR missing
    DIRECTORIES ${cuda_folders} /usr/local/cuda/lib64
    PRE_EXCLUDE_REGEXES ${quoted})
  if(missing)
    message(FATAL_ERROR \"portable: not found: \${missing}\")
  endif()
  list(APPEND libraries ${cublaslt})
  foreach(library IN LISTS libraries)
    file(INSTALL \"\${library}\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib\" FOLLOW_SYMLINK_CHAIN)
  endforeach()
  file(GLOB to_load \"\${CMAKE_INSTALL_PREFIX}/lib/libcublasLt.so.*\")
  if(NOT \"${cublaslt}\" STREQUAL \"\" AND NOT to_load)
    message(FATAL_ERROR \"portable: ${cublaslt} is no library that a program could load\")
  endif()
  set(cudnn_frontend \"$<$<BOOL:${TRAINMETER_HAS_CUDNN}>:${CUDNN_FRONTEND_INCLUDE_DIR}>\")
  include(\"${PROJECT_SOURCE_DIR}/cmake/Licences.cmake\")
  write_licences(\"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}/licences\" \${libraries})
")

# cpack --preset portable: the same folder as one file.
set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME trainmeter-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
include(CPack)
