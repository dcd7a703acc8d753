// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// cuBLASLt as it is loaded at run time: only when it is asked for, and each function that is called
// is in it. None of this needs a GPU.
#include "kernels/cublaslt_library_cuda.hpp"
#include "kernels/machine.hpp"
#include "kernels/operation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>
#include <filesystem>
#include <string>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

#define SKIP_WITHOUT_THE_LIBRARY()                                       \
  if (const std::string& why = cublaslt_library().why_not; !why.empty()) \
  GTEST_SKIP() << "skipped: " << why

TEST(CublasLtLibrary, ItsVersionIsInTheUsualForm) {
  EXPECT_EQ(library_version(130002), "13.0.2");
  EXPECT_EQ(library_version(120903), "12.9.3");
  SKIP_WITHOUT_THE_LIBRARY();
  EXPECT_EQ(cublaslt_library().version / 10000, std::size_t{CUBLAS_VER_MAJOR});
}

TEST(RuntimeLibrary, IsLookedForInTheFolderWhereTheLoaderKnowsOfNone) {
  Dl_info where{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&::dlerror), &where), 0);
  const std::filesystem::path folder = ::testing::TempDir() + "runtime_library";
  const std::string name = "libtrainmeter_elsewhere.so.1";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  std::filesystem::create_symlink(where.dli_fname, folder / name);
  EXPECT_THAT(open_library("it", name, "", "f").why_not, HasSubstr("it: " + name + " isn't found"));
  EXPECT_THAT(open_library("it", name, "/nowhere", "f").why_not, HasSubstr("isn't found"));
  const RuntimeLibrary found = open_library("it", name, folder.string(), "f");
  EXPECT_EQ(found.why_not, "");
  EXPECT_NE(found.handle, nullptr);
  EXPECT_EQ(found.version, 0U);  // it has no such function
  std::filesystem::remove_all(folder);
}

// By ctest in a process of its own, in which nobody has asked for it before.
TEST(CublasLtLibrary, ARecordsVersionsLoadItForNobody) {
  const std::string name = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
  if (loaded_cublaslt_library() == nullptr) {
    EXPECT_FALSE(library_versions().contains("cuBLASLt"));
    EXPECT_EQ(::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD), nullptr);
  }
  const RuntimeLibrary& library = cublaslt_library();
  EXPECT_EQ(library.why_not.empty(), library.handle != nullptr);
  EXPECT_EQ(library_versions().contains("cuBLASLt"), library.handle != nullptr);
}

TEST(CublasLtLibrary, EveryFunctionIsInIt) {
  SKIP_WITHOUT_THE_LIBRARY();
  for (const char* name :
       {"cublasLtCreate", "cublasLtDestroy", "cublasLtGetStatusName", "cublasLtMatmul",
        "cublasLtMatmulAlgoConfigGetAttribute", "cublasLtMatmulAlgoGetHeuristic",
        "cublasLtMatmulDescCreate", "cublasLtMatmulDescDestroy", "cublasLtMatmulDescSetAttribute",
        "cublasLtMatmulPreferenceCreate", "cublasLtMatmulPreferenceDestroy",
        "cublasLtMatmulPreferenceSetAttribute", "cublasLtMatrixLayoutCreate",
        "cublasLtMatrixLayoutDestroy", "cublasLtMatrixLayoutSetAttribute"}) {
    EXPECT_NE(cublaslt::looked_up(name), nullptr) << name;
  }
  try {
    (void)cublaslt::looked_up("cublasLtNoSuchFunction");
    ADD_FAILURE() << "found";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), HasSubstr(library_version(cublaslt_library().version) +
                                        " lacks cublasLtNoSuchFunction"));
  }
}

// Calls go through with their arguments: what is set is what the library gives back.
TEST(CublasLtLibrary, ItsFunctionsAreCalledByTheirNames) {
  SKIP_WITHOUT_THE_LIBRARY();
  EXPECT_STREQ(cublaslt::cublasLtGetStatusName(CUBLAS_STATUS_NOT_SUPPORTED),
               "CUBLAS_STATUS_NOT_SUPPORTED");
  cublasLtMatrixLayout_t layout = nullptr;
  ASSERT_EQ(cublaslt::cublasLtMatrixLayoutCreate(&layout, CUDA_R_16BF, 48, 32, 64),
            CUBLAS_STATUS_SUCCESS);
  const std::int32_t count = 5;
  EXPECT_EQ(cublaslt::cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                       &count, sizeof count),
            CUBLAS_STATUS_SUCCESS);
  const auto get = reinterpret_cast<decltype(&::cublasLtMatrixLayoutGetAttribute)>(
      cublaslt::looked_up("cublasLtMatrixLayoutGetAttribute"));
  std::int32_t batches = 0;
  std::uint64_t rows = 0;
  std::int64_t leading = 0;
  std::size_t written = 0;
  EXPECT_EQ(get(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches, sizeof batches, &written),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(get(layout, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows, &written),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(get(layout, CUBLASLT_MATRIX_LAYOUT_LD, &leading, sizeof leading, &written),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(batches, 5);
  EXPECT_EQ(rows, 48U);
  EXPECT_EQ(leading, 64);
  EXPECT_EQ(cublaslt::cublasLtMatrixLayoutDestroy(layout), CUBLAS_STATUS_SUCCESS);
}

}  // namespace
}  // namespace trainmeter
