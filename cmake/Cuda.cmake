# Decides once whether GPU kernels are built. Sets TRAINMETER_HAS_CUDA and TRAINMETER_HAS_NCCL, and says in one line what
# was found and what is left out.
set(TRAINMETER_HAS_CUDA OFF)
set(TRAINMETER_HAS_NCCL OFF)
if(NOT TRAINMETER_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "TRAINMETER_CUDA=${TRAINMETER_CUDA}: expected AUTO, ON or OFF")
endif()
if(TRAINMETER_CUDA STREQUAL "OFF")
  message(STATUS "CUDA: switched off; leaving out the GPU kernels (cuBLASLt, GPU memory, NCCL)")
  return()
endif()

# Asked by a project that needs 3.25 or newer, CMake 3.25's module trips over toolkits without nvToolsExt, as CUDA 13 is.
set(asked_version ${CMAKE_MINIMUM_REQUIRED_VERSION})
set(CMAKE_MINIMUM_REQUIRED_VERSION 3.24)
find_package(CUDAToolkit 12.4 QUIET)
set(CMAKE_MINIMUM_REQUIRED_VERSION ${asked_version})
include(CheckLanguage)
if(CUDAToolkit_NVCC_EXECUTABLE AND NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})  # /usr/local/cuda's, where it isn't on the path
endif()
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER OR NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cublasLt)
  if(TRAINMETER_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TRAINMETER_CUDA=ON: no CUDA toolkit >= 12.4 with nvcc and cuBLASLt was found")
  endif()
  message(STATUS "CUDA: no toolkit >= 12.4 found; leaving out the GPU kernels (cuBLASLt, GPU memory, NCCL)")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual)  # newer GPUs compile the PTX on first use
endif()
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)  # so a program starts, and says why, where no driver is
enable_language(CUDA)
set(TRAINMETER_HAS_CUDA ON)

find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ENV NCCL_HOME PATH_SUFFIXES include)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${CUDAToolkit_LIBRARY_DIR} ENV NCCL_HOME PATH_SUFFIXES lib lib64)
if(NCCL_INCLUDE_DIR AND NCCL_LIBRARY)
  set(TRAINMETER_HAS_NCCL ON)
  add_library(trainmeter_nccl INTERFACE)
  target_include_directories(trainmeter_nccl SYSTEM INTERFACE ${NCCL_INCLUDE_DIR})
  target_link_libraries(trainmeter_nccl INTERFACE ${NCCL_LIBRARY})
  message(STATUS "CUDA: toolkit ${CUDAToolkit_VERSION}, NCCL at ${NCCL_LIBRARY}; nothing is left out")
else()
  message(STATUS "CUDA: toolkit ${CUDAToolkit_VERSION}, no NCCL; leaving out GPU collectives")
endif()
