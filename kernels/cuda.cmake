# The GPU's part of the layer; included where a CUDA toolkit was found.
target_sources(trainmeter_kernels PRIVATE
  co_runner_cuda.cu collective_nccl.cpp cuda_support.cpp gemm_cublaslt.cpp gemm_cuda.cpp gpu_timer.cu gpus.cpp memory_copy_cuda.cu
  memory_cuda.cu step_cuda.cu transfer_cuda.cu)
target_link_libraries(trainmeter_kernels PUBLIC CUDA::cudart_static PRIVATE CUDA::cublasLt)
if(TRAINMETER_HAS_NCCL)
  target_link_libraries(trainmeter_kernels PRIVATE trainmeter_nccl)
endif()

# Our GEMMs for Hopper: their instructions exist on 90a alone.
add_library(trainmeter_hopper OBJECT gemm_hopper.cu gemm_hopper_fp8.cu gemm_hopper_grouped.cu)
set_target_properties(trainmeter_hopper PROPERTIES CUDA_ARCHITECTURES 90a-real)
target_include_directories(trainmeter_hopper PRIVATE $<TARGET_PROPERTY:trainmeter_kernels,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(trainmeter_hopper PRIVATE trainmeter_flags CUDA::cudart_static)
target_sources(trainmeter_kernels PRIVATE $<TARGET_OBJECTS:trainmeter_hopper>)
