#!/usr/bin/env bash
# Checks wgpu through Mesa's software Vulkan. Needs Debian's packages (installed as root where missing) and a build with
# wgpu: about 25 minutes from nothing on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/runner/target-wgpu}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! ls /usr/share/vulkan/icd.d/lvp_icd*.json > /dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 > /dev/null
fi
cargo build --release --features wgpu
# The software driver, whatever else the machine has; compiled shaders are kept, they are nearly all of the time.
export VK_ICD_FILENAMES="$(ls /usr/share/vulkan/icd.d/lvp_icd*.json | head -1)"
export XDG_RUNTIME_DIR="$scratch" MESA_SHADER_CACHE_DIR="$HOME/.cache/runner/shaders"
mkdir -p "$MESA_SHADER_CACHE_DIR"
RUNNER="$CARGO_TARGET_DIR/release/runner" scripts/check-device.sh wgpu
