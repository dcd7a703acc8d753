// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One function, compiled for several vector widths; the loader picks the widest that the processor
// has. The programs so run on any x86-64 and use what a machine has. By feature, not by
// "arch=haswell": GCC tests such a name against the processor's model, so that on another maker's
// processor it never matches and the narrowest version runs. The thread sanitizer isn't there yet
// when the loader picks.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__)
#define TRAINMETER_TARGET_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TRAINMETER_TARGET_CLONES
#endif
