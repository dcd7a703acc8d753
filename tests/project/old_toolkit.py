# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""A CUDA toolkit that is too old is left out with its version, and with TRAINMETER_CUDA=ON ends the configuration.
old_toolkit.py SOURCE_FOLDER CMAKE"""
import pathlib
import subprocess
import sys
import tempfile

root, cmake = sys.argv[1:]
PROJECT = f"""cmake_minimum_required(VERSION 3.25)
project(old_toolkit LANGUAGES CXX)
include("{root}/cmake/Cuda.cmake")
message(STATUS "has CUDA: ${{TRAINMETER_HAS_CUDA}}")
"""

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    toolkit = folder / "cuda"
    for file in ("include/cuda_runtime.h", "lib64/libcudart.so", "bin/nvcc"):
        (toolkit / file).parent.mkdir(parents=True)
        (toolkit / file).touch()
    (toolkit / "bin" / "nvcc").write_text('#!/bin/sh\necho "Cuda compilation tools, release 12.3, V12.3.107"\n')
    (toolkit / "bin" / "nvcc").chmod(0o755)
    (folder / "CMakeLists.txt").write_text(PROJECT)

    def configured(build, how):
        made = subprocess.run([cmake, "-S", folder, "-B", folder / build, f"-DTRAINMETER_CUDA={how}", f"-DCUDAToolkit_ROOT={toolkit}"],
                              capture_output=True, text=True, check=False)
        return made.returncode, " ".join((made.stdout + made.stderr).split())

    older = "toolkit 12.3.107 found, which is older than 12.4"
    code, said = configured("auto", "AUTO")
    assert code == 0 and f"CUDA: {older}; leaving out the GPU kernels" in said and "has CUDA: OFF" in said, said
    code, said = configured("on", "ON")
    assert code == 1 and f"TRAINMETER_CUDA=ON: {older}" in said, said
