# The GPU's part of the layer; included where a CUDA toolkit was found.
target_sources(trainmeter_kernels PRIVATE
  collective_nccl.cpp cuda_support.cpp gemm_cublaslt.cpp gpu_timer.cu gpus.cpp memory_copy_cuda.cu
  memory_cuda.cu step_cuda.cu transfer_cuda.cu)
target_link_libraries(trainmeter_kernels PUBLIC CUDA::cudart_static PRIVATE CUDA::cublasLt)
if(TRAINMETER_HAS_NCCL)
  target_link_libraries(trainmeter_kernels PRIVATE trainmeter_nccl)
endif()
