#!/usr/bin/env bash
# scripts/Containerfile built and run, on a bare Debian in place of NVIDIA's images, which no package brings:
#   container.sh SOURCE [CUDA]     CUDA: a toolkit's folder that the build sees as its own; without it no GPU kernel is built
# Needs buildah, debootstrap, and root; the image is removed afterwards.
set -euo pipefail
source=$1 cuda=${2:-}
for needed in buildah debootstrap; do
  command -v "$needed" >/dev/null || { echo "skipped: no $needed here"; exit; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: debootstrap needs root"; exit; }
work=$(mktemp -d)
# A store of its own, and no more isolation than a test's sandbox allows.
images=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
export BUILDAH_ISOLATION=chroot
trap '"${images[@]}" rm --all >/dev/null 2>&1
  umount -l "$work"/debian/{proc,sys} 2>/dev/null  # which debootstrap leaves where it is interrupted
  rm -rf --one-file-system "$work"' EXIT
quietly() { "$@" >"$work/out" 2>&1 || { echo "exit code $?: $*"; tail -n 40 "$work/out"; exit 1; }; }

mirror=$(apt-get indextargets --format '$(SITE)' | head -n 1)  # the one that this machine's packages come from
quietly debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$work/debian" "$mirror"
mounts=()
if [ -n "$cuda" ]; then
  cuda=$(realpath "$cuda")
  mkdir -p "$work/debian$cuda"
  ln -s "$cuda" "$work/debian/usr/local/cuda"
  mounts=(--volume "$cuda:$cuda:ro")
fi
bare=$("${images[@]}" from scratch)
quietly "${images[@]}" add "$bare" "$work/debian" /
quietly "${images[@]}" commit "$bare" localhost/bare
rm -rf --one-file-system "$work/debian"
quietly "${images[@]}" bud ${mounts[@]:+"${mounts[@]}"} --build-arg BUILD_ON=localhost/bare --build-arg RUN_ON=localhost/bare \
  --file "$source/scripts/Containerfile" --tag localhost/trainmeter "$source"

image=$("${images[@]}" from localhost/trainmeter)
there() { "${images[@]}" run "$image" -- "$@"; }
expect() {  # expect TEXT PROGRAM ARGUMENT...
  local text=$1; shift
  there "$@" >"$work/out" 2>"$work/err" || { echo "exit code $?: $*"; cat "$work/err"; exit 1; }
  grep -q -e "$text" "$work/out" || { echo "$* does not say $text:"; head -c 2000 "$work/out"; exit 1; }
}
expect CPU trainmeter doctor  # found by the image's own PATH
expect '"r1-press"' trainmeter claims --format json
expect openblas gemm_bench --device=cpu --benchmark_min_time=0.01 --case_seconds=0.05 --cache=hot --dtype=fp32 --m=64 --n=64 --k=64 --out=/tmp/r.jsonl
expect '1 measurement)' trainmeter report /tmp/r.jsonl --format md
if [ -n "$cuda" ]; then
  there gemm_bench --device=gpu --out=/tmp/g.jsonl >"$work/out" 2>&1 || true
  grep -q 'no CUDA device\|driver' "$work/out" || { echo "gemm_bench --device=gpu does not look for a GPU:"; cat "$work/out"; exit 1; }
fi
echo "$(du -sh "$("${images[@]}" mount "$image")/opt/trainmeter" | cut -f 1)B in /opt/trainmeter of the image; its programs run${cuda:+, built with GPU kernels}"
