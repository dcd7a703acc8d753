#!/usr/bin/env bash
# The portable folder as cpack packs it, unpacked in another root that has a C library and nothing else, and run there by somebody
# without rights:  package.sh SOURCE FOLDER [CMAKE ARGUMENT...]
# Built without GPU kernels into FOLDER, which is kept: the next time it takes seconds.
set -euo pipefail
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/out" 2>&1 || { echo "exit code $?: $*"; tail -n 40 "$work/out"; exit 1; }; }

quietly cmake --preset portable -S "$source" -B "$build" -DTRAINMETER_CUDA=OFF -DTRAINMETER_TESTS=OFF "${@:3}"
quietly cmake --build "$build"
quietly cpack --config "$build/CPackConfig.cmake" -B "$work"
package=$(echo "$work"/trainmeter-*.tar.gz)
name=$(basename "$package" .tar.gz)

# What every Linux has: the loader, the C library's parts, /dev, /proc and /sys. No shell, no C++ library.
root=$work/root
mkdir -p "$root"/{dev,proc,sys,tmp,opt,lib64,etc}
loader=$(readelf -l /bin/true | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
for file in "$loader" $(ldconfig -p | sed -n 's/.*[^ ]*\(libc\|libm\|libdl\|librt\|libpthread\)\.so\.[0-9]* .*x86-64.* => \(.*\)/\2/p'); do
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done
tar -C "$root/opt" -xzf "$package"
chmod 755 "$work"
chmod 1777 "$root/tmp"

# there PROGRAM ARGUMENT...: as nobody, who is root only in a namespace of his own.
there() {
  local program=$1; shift
  local as=()
  if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi
  "${as[@]}" unshare --map-root-user --mount bash -ec '
    root=$1 program=$2; shift 2
    for folder in dev proc sys; do mount --rbind "/$folder" "$root/$folder"; done
    exec chroot "$root" "$program" "$@"' - "$root" "/opt/$name/bin/$program" "$@"
}
if ! there trainmeter --version >"$work/out" 2>&1; then
  if grep -q 'unshare\|Operation not permitted' "$work/out"; then echo "skipped: no user namespaces here: $(head -n 1 "$work/out")"; exit; fi
  cat "$work/out"
  exit 1
fi
expect() {  # expect TEXT PROGRAM ARGUMENT...
  local text=$1; shift
  there "$@" >"$work/out" 2>"$work/err" || { echo "exit code $?: $*"; cat "$work/err"; exit 1; }
  grep -q -e "$text" "$work/out" || { echo "$* does not say $text:"; head -c 2000 "$work/out"; exit 1; }
}
quick=(--device=cpu --benchmark_min_time=0.01 --case_seconds=0.05 --cache=hot --out=/tmp/r.jsonl)
expect '"r1-press"' trainmeter claims --format json
expect 'CPU' trainmeter doctor
expect openblas gemm_bench "${quick[@]}" --dtype=fp32 --m=64 --n=64 --k=64
expect copy memory_bench "${quick[@]}" --bytes=1048576 --benchmark_filter=copy
expect 'measurements)' trainmeter report /tmp/r.jsonl --format md
WORLD_SIZE=2 RANK=1 TRAINMETER_PORT=29777 there collective_bench "${quick[@]}" --bytes=1024 >/dev/null 2>&1 &
WORLD_SIZE=2 RANK=0 TRAINMETER_PORT=29777 expect allreduce collective_bench "${quick[@]}" --bytes=1024
wait

# Every library in it belongs to a package whose licence is there.
licences=$root/opt/$name/share/doc/trainmeter/licences
for one in libopenblas0-openmp libstdc++6 libgomp1 libssl3 libboost1.74-dev libeigen3-dev; do
  [ -s "$licences/$one.txt" ] && grep -q "^$one [0-9]" "$licences/NOTICES.txt" || { echo "no licence of $one:"; cat "$licences/NOTICES.txt"; exit 1; }
done
if grep 'no Debian package' "$licences/NOTICES.txt"; then exit 1; fi
[ -s "$root/opt/$name/share/doc/trainmeter/LICENSE" ]
echo "$(basename "$package"): $(ls "$root/opt/$name/lib" | wc -l) libraries, runs in another root without rights"
