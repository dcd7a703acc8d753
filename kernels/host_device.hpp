// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a function or a loop of code that the CPU compiles too is on a GPU.
#pragma once

#ifdef __CUDACC__
#define TRAINMETER_BOTH __host__ __device__ constexpr
#define TRAINMETER_DEVICE __device__ __forceinline__
#define TRAINMETER_UNROLL _Pragma("unroll")
#define TRAINMETER_UNROLL_TWICE _Pragma("unroll 2")
#define TRAINMETER_ROLLED _Pragma("unroll 1")
#else
#define TRAINMETER_BOTH constexpr
#define TRAINMETER_DEVICE inline
#define TRAINMETER_UNROLL
#define TRAINMETER_UNROLL_TWICE
#define TRAINMETER_ROLLED
#endif
