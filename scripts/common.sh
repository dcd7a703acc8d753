# What run.sh, test.sh, gpu_suite.sh and validate_step.sh share: messages, packages, the build. Sourced, not run.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$2" >&2; exit "$1"; }

value_of() {  # value_of FLAG WHAT [VALUE]
  if [ -z "${3:-}" ]; then die 2 "$1: expected $2"; fi
  printf '%s' "$3"
}

case ${1:-} in -h | --help)  # of the script that sources this: what its head says
  sed -n '2,/^[^#]/{ /^# shellcheck/d; s/^# \{0,1\}//p; }' "$0"
  exit 0 ;;
esac

# Debian packages by name; docs/dependencies.md says why each.
packages=(g++ cmake ninja-build git ca-certificates
  libbenchmark-dev libcli11-dev nlohmann-json3-dev libfmt-dev libeigen3-dev libboost-dev libssl-dev
  libdnnl-dev libopenblas-openmp-dev libopenmpi-dev openmpi-bin libgloo-dev)
torch_packages=(python3-torch libopenblas0-openmp)  # without an OpenBLAS its fp32 GEMM is the reference one
test_packages=(libgtest-dev libgmock-dev python3 python3-venv chromium chromium-driver python3-selenium slurm-wlm munge environment-modules iproute2)
fuzz_packages=(clang libclang-rt-dev llvm)
long_packages=(buildah debootstrap)

# install_missing PACKAGE...: nothing where all are there, so that a set-up machine needs no network.
install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    printf 'Not a Debian system: install these packages (Debian names) yourself where the build misses them: %s\n' "$*" >&2
    return
  fi
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die 3 "these packages are missing and only root can install them: ${missing[*]}"
    as_root=(sudo)
  fi
  say "Installing ${#missing[@]} packages: ${missing[*]}"
  local quiet=-qq
  if [ -t 2 ]; then quiet=-q; fi
  "${as_root[@]}" apt-get "$quiet" update >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "$quiet" install -y --no-install-recommends "${missing[@]}" >&2
}

# cuDNN's own C++ headers, into build/cudnn-frontend/, where there is a CUDA toolkit with cuDNN's. Needed before CMake looks for them;
# without them, or without a network, the build leaves cuDNN out and says so.
set_up_cudnn_frontend() {
  local folder=$root/build/cudnn-frontend cudnn
  if [ -d "$folder/include" ]; then return; fi
  for cudnn in "${CUDNN_HOME:-}/include" "${CUDA_HOME:-}/include" /usr/local/cuda/include /usr/include; do
    [ -e "$cudnn/cudnn.h" ] || continue
    say "cuDNN's C++ headers in build/cudnn-frontend/"
    mkdir -p "$folder"
    python3 -m venv "$folder/venv" &&
      "$folder/venv/bin/pip" -q install --disable-pip-version-check --no-deps --target "$folder" nvidia-cudnn-frontend==1.32.0 &&
      rm -rf "$folder/venv" "$folder/cudnn"  # its Python, 100 MB
    return
  done
}

# build_with TESTS TARGET...: configures build/ with the default preset, tests ON or OFF, and builds.
build_with() {
  local tests=-DTRAINMETER_TESTS=$1
  shift
  set_up_cudnn_frontend || printf 'no cudnn-frontend: built without cuDNN\n' >&2
  say "Building in build/"
  cd "$root"
  local log=build/build.log
  mkdir -p build
  if [ -t 2 ]; then
    export NINJA_STATUS='[%f/%t, %e s] '
    cmake --preset default "$tests" >&2
    cmake --build build -j "$(nproc)" --target "$@" >&2
  else  # keep a log that is read by nobody short
    { cmake --preset default "$tests" && cmake --build build -j "$(nproc)" --target "$@"; } >"$log" 2>&1 ||
      { tail -n 40 "$log" >&2; die 1 "the build failed; all of it is in $log"; }
    grep -E '^-- CUDA:' "$log" >&2 || true
  fi
}

# build_preset PRESET [TARGET...]: configures build-PRESET/, and builds the targets or all of it.
build_preset() {
  local folder=$root/build-$1 targets=("${@:2}")
  say "Building in build-$1/"
  mkdir -p "$folder"
  { cmake --preset "$1" && cmake --build "$folder" -j "$(nproc)" ${targets[@]:+--target "${targets[@]}"}; } >"$folder/build.log" 2>&1 ||
    { tail -n 40 "$folder/build.log" >&2; die 1 "the build failed; all of it is in $folder/build.log"; }
}

# What the report's charts need, into build/charts/: a page carries vega.js, Markdown's pictures are drawn by draw.py.
# Without a network reports keep their tables and say so.
set_up_charts() {
  local folder=$root/build/charts
  if [ -s "$folder/vega.js" ] && cmp -s "$root/scripts/charts.py" "$folder/draw.py"; then return; fi
  say "Charts in build/charts/"
  mkdir -p "$folder"
  python3 -m venv "$folder/venv" &&
    "$folder/venv/bin/pip" -q install --disable-pip-version-check vl-convert-python==1.9.0.post1 &&
    "$folder/venv/bin/python" "$root/scripts/charts.py" --library >"$folder/vega.js.part" &&
    mv "$folder/vega.js.part" "$folder/vega.js" &&
    cp "$root/scripts/charts.py" "$folder/draw.py"
}

# What the test of the GPU kernels' machine code reads it with, into build/disassembler/. Where nothing was built for a GPU,
# or without a network, that test says that it is skipped.
set_up_disassembler() {
  local folder=$root/build/disassembler
  if [ ! -d "$root/build/kernels/CMakeFiles/trainmeter_hopper.dir" ] || [ -d "$folder/nvidia" ]; then return; fi
  say "Disassembler in build/disassembler/"
  python3 -m venv "$folder/venv" &&
    "$folder/venv/bin/pip" -q install --disable-pip-version-check --target "$folder" nvidia-cuda-cuobjdump==13.5.37 nvidia-cuda-nvdisasm==13.5.37
}
