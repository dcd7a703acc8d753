# The GPU's part of the layer; included where a CUDA toolkit was found.
target_sources(trainmeter_kernels PRIVATE
  allreduce_cuda.cu attention_cuda.cpp attention_mma.cu co_runner_cuda.cu co_runner_gpus.cpp collective_cuda.cpp collective_gpus.cpp collective_nccl.cpp collective_nccl_ranks.cpp collective_peer.cpp collective_peer_ranks.cpp
  cublaslt_library_cuda.cpp cuda_support.cpp
  fastest.cpp gemm_cublaslt.cpp gemm_cublaslt_grouped.cpp gemm_cublaslt_product.cpp gemm_cuda.cpp gemm_grouped_cuda.cpp
  gemm_mma.cu gemm_reference.cu gpu_timer.cu gpus.cpp ipc_memory_cuda.cpp memory_copy_cuda.cu memory_cuda.cu runtime_library.cpp sm_share_cuda.cpp step_cuda.cu step_cuda_cast.cu
  transfer_cuda.cu)
target_link_libraries(trainmeter_kernels PUBLIC CUDA::cudart_static)
set_property(SOURCE cublaslt_library_cuda.cpp PROPERTY COMPILE_DEFINITIONS TRAINMETER_CUBLASLT_FOLDER="${cublaslt_folder}")
if(TRAINMETER_HAS_CUDNN)
  target_sources(trainmeter_kernels PRIVATE attention_cudnn.cpp attention_cudnn_plan.cpp cudnn_library.cpp)
  target_link_libraries(trainmeter_kernels PRIVATE trainmeter_cudnn)
  # Everything of cuDNN's by dlsym; without what writes graphs as JSON.
  # Its headers take a minute to optimise, and what they do is prepare.
  set_source_files_properties(attention_cudnn_plan.cpp PROPERTIES COMPILE_OPTIONS "-O1;-g0")
  set_property(SOURCE attention_cudnn_plan.cpp PROPERTY COMPILE_DEFINITIONS NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING CUDNN_FRONTEND_SKIP_JSON_LIB)
endif()
if(TRAINMETER_HAS_NCCL)
  target_sources(trainmeter_kernels PRIVATE nccl_communicator.cpp)
  target_link_libraries(trainmeter_kernels PRIVATE trainmeter_nccl)
endif()

# Our GEMMs for Hopper: their instructions exist on 90a alone.
add_library(trainmeter_hopper OBJECT gemm_hopper.cu gemm_hopper_fp8.cu gemm_hopper_grouped.cu)
# What ptxas says of them is kept beside each object: tests/kernels/hopper_ptxas.py reads it.
set_target_properties(trainmeter_hopper PROPERTIES CUDA_ARCHITECTURES 90a-real
  RULE_LAUNCH_COMPILE "sh ${PROJECT_SOURCE_DIR}/cmake/keep_said.sh <OBJECT>")
target_compile_options(trainmeter_hopper PRIVATE -Xptxas=-v)
target_include_directories(trainmeter_hopper PRIVATE $<TARGET_PROPERTY:trainmeter_kernels,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(trainmeter_hopper PRIVATE trainmeter_flags CUDA::cudart_static)
target_sources(trainmeter_kernels PRIVATE $<TARGET_OBJECTS:trainmeter_hopper>)
