# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The CUDA toolkit's cuobjdump for the tests of machine code: from the folders given, the path, or Python's packages."""
import glob
import os
import shutil
import subprocess
import sys
import sysconfig


class Cuobjdump:
    """Ends the test as skipped where there is none."""

    def __init__(self, folders):
        packages = glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "bin"))
        self.path = os.pathsep.join(folders + [os.environ.get("PATH", "")] + packages)
        self.tool = shutil.which("cuobjdump", path=self.path)
        if self.tool is None:
            print("skipped: no cuobjdump (of the CUDA toolkit, or the package nvidia-cuda-cuobjdump)")
            sys.exit(0)

    def functions(self, option, made):
        """What it prints of each function of an object file, from the name on."""
        text = subprocess.run([self.tool, option, made], capture_output=True, text=True, check=True,
                              env={**os.environ, "PATH": self.path}).stdout
        return text.split("Function : " if option == "-sass" else " Function ")[1:]
