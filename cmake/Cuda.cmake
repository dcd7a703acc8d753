# Decides once whether GPU kernels are built. Sets TRAINMETER_HAS_CUDA, TRAINMETER_HAS_CUDNN and TRAINMETER_HAS_NCCL, and says in
# one line what was found and what is left out.
set(TRAINMETER_HAS_CUDA OFF)
set(TRAINMETER_HAS_CUDNN OFF)
set(TRAINMETER_HAS_NCCL OFF)
if(NOT TRAINMETER_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "TRAINMETER_CUDA=${TRAINMETER_CUDA}: expected AUTO, ON or OFF")
endif()
if(TRAINMETER_CUDA STREQUAL "OFF")
  message(STATUS "CUDA: switched off; leaving out the GPU kernels (cuBLASLt, GPU memory, NCCL)")
  return()
endif()

# What newer ones have (12.5: streams of green contexts, 12.9: cuBLASLt's block scales) says so where it is missing.
set(least_cuda 12.4)

# Asked by a project that needs 3.25 or newer, CMake 3.25's module trips over toolkits without nvToolsExt, as CUDA 13 is.
set(asked_version ${CMAKE_MINIMUM_REQUIRED_VERSION})
set(CMAKE_MINIMUM_REQUIRED_VERSION 3.24)
find_package(CUDAToolkit ${least_cuda} QUIET)
set(CMAKE_MINIMUM_REQUIRED_VERSION ${asked_version})
include(CheckLanguage)
if(CUDAToolkit_NVCC_EXECUTABLE AND NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})  # /usr/local/cuda's, where it isn't on the path
endif()
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER OR NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cublasLt)
  set(why "no toolkit >= ${least_cuda} with nvcc and cuBLASLt found")
  if(CUDAToolkit_VERSION VERSION_GREATER 0 AND CUDAToolkit_VERSION VERSION_LESS least_cuda)
    set(why "toolkit ${CUDAToolkit_VERSION} found, which is older than ${least_cuda}")
  endif()
  if(TRAINMETER_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TRAINMETER_CUDA=ON: ${why}")
  endif()
  message(STATUS "CUDA: ${why}; leaving out the GPU kernels (cuBLASLt, GPU memory, NCCL)")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual)  # newer GPUs compile the PTX on first use
endif()
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)  # so a program starts, and says why, where no driver is
enable_language(CUDA)
set(TRAINMETER_HAS_CUDA ON)

# The header alone: the library is loaded at run time, from here if the loader knows of no other. A portable folder has its own.
set(cublaslt_folder "")
if(NOT TRAINMETER_PORTABLE)
  get_filename_component(cublaslt_folder ${CUDA_cublasLt_LIBRARY} DIRECTORY)
endif()

set(found "toolkit ${CUDAToolkit_VERSION}")
set(left_out "")

find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ENV NCCL_HOME PATH_SUFFIXES include)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${CUDAToolkit_LIBRARY_DIR} ENV NCCL_HOME PATH_SUFFIXES lib lib64)
if(NCCL_INCLUDE_DIR AND NCCL_LIBRARY)
  set(TRAINMETER_HAS_NCCL ON)
  add_library(trainmeter_nccl INTERFACE)
  target_include_directories(trainmeter_nccl SYSTEM INTERFACE ${NCCL_INCLUDE_DIR})
  target_link_libraries(trainmeter_nccl INTERFACE ${NCCL_LIBRARY})
  string(APPEND found ", NCCL at ${NCCL_LIBRARY}")
else()
  list(APPEND left_out "GPU collectives (no NCCL)")
endif()

# Headers alone: the library is loaded at run time.
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ENV CUDNN_HOME PATH_SUFFIXES include)
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${PROJECT_SOURCE_DIR}/build/cudnn-frontend/include ${PROJECT_BINARY_DIR}/cudnn-frontend/include)
if(NOT CUDNN_INCLUDE_DIR)
  list(APPEND left_out "cuDNN's attention (no cudnn.h)")
elseif(NOT CUDNN_FRONTEND_INCLUDE_DIR)
  list(APPEND left_out "cuDNN's attention (no cudnn-frontend: docs/dependencies.md)")
else()
  set(TRAINMETER_HAS_CUDNN ON)
  add_library(trainmeter_cudnn INTERFACE)
  target_include_directories(trainmeter_cudnn SYSTEM INTERFACE ${CUDNN_FRONTEND_INCLUDE_DIR} ${CUDNN_INCLUDE_DIR})
  string(APPEND found ", cudnn-frontend at ${CUDNN_FRONTEND_INCLUDE_DIR}")
endif()

if(left_out)
  list(JOIN left_out " and " left_out)
  message(STATUS "CUDA: ${found}; leaving out ${left_out}")
else()
  message(STATUS "CUDA: ${found}; nothing is left out")
endif()
