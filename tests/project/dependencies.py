# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""docs/dependencies.md is complete and true: every package and every pinned version of scripts/common.sh is in it, each library has a
licence there that Debian's packages of it name, too, and CMake's least versions are the table's. The container file installs what
scripts/common.sh names, by calling it, and names no package itself.
    dependencies.py SOURCE"""

import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(sys.argv[1])
page = (SOURCE / "docs/dependencies.md").read_text()
common = (SOURCE / "scripts/common.sh").read_text()

arrays = ("packages", "torch_packages", "test_packages")
tools = ("fuzz_packages", "long_packages")  # whose libraries are in no program


def named_by(names):
    shell = f"source '{SOURCE}/scripts/common.sh'; " + "; ".join(f'echo "${{{name}[*]}}"' for name in names)
    return subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout.split()


packages = named_by(arrays)
assert {"g++", "libssl-dev", "libgtest-dev", "python3-torch"} <= set(packages), packages
pins = re.findall(r"([\w-]+)==([\w.]+)", common)
assert len(pins) >= 3, pins

words = set(re.findall(r"`([^`]+)`", page))
for package in packages + named_by(tools):
    assert package in words, f"docs/dependencies.md: expected `{package}`, which scripts/common.sh installs"
for name, version in pins:
    assert f"{name}=={version}" in words, f"docs/dependencies.md: expected `{name}=={version}`, which scripts/common.sh pins"

# Rows of "Licences": | what | packages | licence | least version |
rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.partition("## Licences")[2].splitlines() if line.startswith("|")][2:]
SAYS = {"Apache-2.0": "Apache", "BSD-3-Clause": "BSD-3|Redistribution and use in source and binary", "MIT": "Expat|MIT|Permission is hereby granted",
        "BSL-1.0": "Boost Software License", "MPL-2.0": "MPL-2|Mozilla Public License", "GPL-3.0 with the GCC exception": "Runtime Library Exception",
        "Apache-2.0 and MIT": "Apache|Permission is hereby granted"}
licensed, looked_at = set(), 0
for what, names, licence, *_ in rows:
    assert licence in SAYS, f"docs/dependencies.md, {what}: licence '{licence}': expected one of {sorted(SAYS)}"
    found = re.findall(r"`([^`]+)`", names)
    licensed.update(found)
    files = [file for name in found if (file := pathlib.Path("/usr/share/doc") / name / "copyright").exists()]
    looked_at += bool(files)  # libboost-dev is but a name for libboost1.74-dev, with a licence of its own
    assert not files or any(re.search(SAYS[licence], file.read_text(errors="replace")) for file in files), f"{what}: {files} say nothing of {licence}"
libraries = [package for package in packages if package.startswith("lib") or package.startswith("nlohmann")]
missing = [package for package in libraries if package not in licensed]
assert not missing, f"docs/dependencies.md, Licences: expected {missing}"

# find_package(NAME VERSION) of CMake.
for name, version in re.findall(r"^find_package\((\w+) ([\d.]+)", (SOURCE / "cmake/Dependencies.cmake").read_text(), re.MULTILINE):
    assert any(row[0].startswith(name + " ") and row[3] == version or row[0] == name and row[3] == version for row in rows), \
        f"docs/dependencies.md, Licences: expected a row '{name}' with least version {version}, as in cmake/Dependencies.cmake"

container = (SOURCE / "scripts/Containerfile").read_text()
assert "source scripts/common.sh && install_missing \"${packages[@]}\"" in container
named = [package for package in packages if re.search(rf"(?<![\w/.-]){re.escape(package)}(?![\w/.-])", re.sub(r"(?m)^#.*|cmake --\S+", "", container))]
assert not named, f"scripts/Containerfile names {named}: scripts/common.sh does"
presets = (SOURCE / "CMakePresets.json").read_text()
for preset in re.findall(r"--preset (\w+)", container):
    assert f'"name": "{preset}"' in presets, f"scripts/Containerfile: no preset '{preset}'"
for copied in re.findall(r"COPY (?:--from=\w+ )?(\S+)", container):
    assert copied == "." or copied.endswith("build-portable/trainmeter"), copied
print(f"{len(packages)} packages, {len(pins)} pins, {len(rows)} licences, {looked_at} looked at in Debian's files")
