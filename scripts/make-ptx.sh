#!/usr/bin/env bash
# Makes the CUDA kernels as the driver takes them, so that users need the driver alone: kernels.ptx.zst, text for every card,
# and kernels.sm_90.zst, machine code for Hopper, both in src/train/cuda/kernels. The compiler is NVRTC of PyPI, in a version
# whose PTX (8.4) drivers from 550 (early 2024) load; no card is needed.
#
#   usage: scripts/make-ptx.sh [--check]        --check makes it anew and compares
#
# NVRTC may name a folder where pip put the packages before; otherwise they are fetched into a folder that goes again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kernels="$here/../src/train/cuda/kernels"
command -v zstd > /dev/null || { echo "zstd is missing; install it with: apt-get install zstd"; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
packages="${NVRTC:-$scratch/packages}"
[ -n "${NVRTC:-}" ] || python3 -m pip install --quiet --root-user-action=ignore --target "$packages" nvidia-cuda-nvrtc-cu12==12.4.127

for kind in ptx sm_90; do
    [ $kind = ptx ] && architecture=compute_80 || architecture=$kind
    python3 "$here/make-ptx.py" "$packages" "$kernels/all.cu" $architecture "$scratch/kernels.$kind"
    kept="$kernels/kernels.$kind.zst"
    if [ "${1:-}" = --check ]; then
        zstd -q -d -c "$kept" | cmp - "$scratch/kernels.$kind" || {
            echo "$kept is not made of the kernels as they are now; run scripts/make-ptx.sh and commit it"
            exit 1
        }
    else
        zstd -q -19 -f "$scratch/kernels.$kind" -o "$kept"
        ls -l "$kept"
    fi
done
[ "${1:-}" != --check ] || echo "PTX and machine code are those of the kernels"
