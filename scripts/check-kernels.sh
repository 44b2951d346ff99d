#!/usr/bin/env bash
# The CUDA kernels without a card: each against its plain loop on the emulator, then once more with each barrier taken out
# in turn, which must be found every time. Needs a C++ compiler.
#
#   usage: scripts/check-kernels.sh [--quick]        --quick leaves the barriers in
set -euo pipefail
kernels=$(cd "$(dirname "$0")/../src/train/cuda/kernels" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
compile() { "${CXX:-c++}" -std=c++20 -O1 -DON_CPU -w -x c++ -o "$2" "$1/emulator/check.cpp"; }

compile "$kernels" "$scratch/check"
"$scratch/check"
[ "${1:-}" = --quick ] && exit

# `file:line` of every barrier that a kernel has.
barriers=$(cd "$kernels" && grep -nE '__sync(threads|warp)\(\);' ./*.cuh ./*.cu | cut -d: -f1,2)
missed=()
try() {
    local name=${1%:*} line=${1#*:} copy="$scratch/${1//[:\/]/-}"
    cp -r "$kernels" "$copy"
    sed -i -E "${line}s/__sync(threads|warp)\(\);//" "$copy/$name"
    compile "$copy" "$copy/check" && ! "$copy/check" > "$copy/out" && grep -q barrier "$copy/out"
}
for barrier in $barriers; do
    try "$barrier" || missed+=("$barrier")
done
[ ${#missed[@]} -eq 0 ] || { echo "taken out and not noticed: ${missed[*]}"; exit 1; }
echo "each of $(wc -w <<< "$barriers") barriers was missed when it was taken out"
