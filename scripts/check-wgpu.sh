#!/usr/bin/env bash
# Checks wgpu through Mesa's software Vulkan: losses beside the CPU's, going on from a checkpoint, and that nobody trains in
# software without being told. Needs Debian's packages (installed as root where missing) and a build with wgpu.
#
#   RUNNER   the program [default: it is built here, about 25 minutes from nothing on two cores]
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/runner/target-wgpu}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! ls /usr/share/vulkan/icd.d/lvp_icd*.json > /dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 > /dev/null
fi
[ -n "${RUNNER:-}" ] || { cargo build --release --features wgpu; RUNNER="$CARGO_TARGET_DIR/release/runner"; }
export RUNNER
# The software driver, whatever else the machine has; compiled shaders are kept, they are nearly all of the time.
export VK_ICD_FILENAMES="$(ls /usr/share/vulkan/icd.d/lvp_icd*.json | head -1)"
export XDG_RUNTIME_DIR="$scratch" MESA_SHADER_CACHE_DIR="${MESA_SHADER_CACHE_DIR:-$HOME/.cache/runner/shaders}"
mkdir -p "$MESA_SHADER_CACHE_DIR"

echo "== software is named, not chosen by auto, and taken with a line that says so"
"$RUNNER" devices | tee "$scratch/devices"
grep -q "^wgpu .*in software on the CPU" "$scratch/devices"
"$RUNNER" bench --config configs/small.toml --device auto --seconds 0.1 --slots-per-device 1 2>&1 | tee "$scratch/auto"
grep -q "auto chose cpu: .*wgpu is not available (only in software" "$scratch/auto"

scripts/check-device.sh wgpu 2>&1 | tee "$scratch/wgpu"
grep -q "no GPU but software on the CPU" "$scratch/wgpu"
