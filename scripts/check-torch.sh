#!/usr/bin/env bash
# Trains the IsoFLOP grid of examples/torch/isoflop.toml by PyTorch and by the built-in model: the optima must agree within their
# intervals. About 1.6e13 FLOPs in all, of which PyTorch takes its half on one core in some twenty minutes.
#
# Usage: check-torch.sh [OUT]      where the two folders of results go [default: a folder that is removed]
#   RUNNER   the program [default: target/release/runner, built if it is missing]
#   PYTHON   a Python that has torch and numpy [default: that of check-export.sh, into which torch is installed]
#   TEXT     the text [default: corpora/rfc-24mb.txt, of which examples/torch/isoflop.toml tells how to get it]
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
out=${1:-$scratch}
text=${TEXT:-corpora/rfc-24mb.txt}
[ -f "$text" ] || { echo "$text is missing; examples/torch/isoflop.toml tells how to get it" >&2; exit 2; }
runner=${RUNNER:-${CARGO_TARGET_DIR:-target}/release/runner}
[ -x "$runner" ] || cargo build --release
if [ -z "${PYTHON:-}" ]; then
    venv="$HOME/.cache/runner/venv-export"
    PYTHON="$venv/bin/python"
    [ -x "$PYTHON" ] || python3 -m venv "$venv"
    "$PYTHON" -c "import torch, numpy" 2> /dev/null || "$venv/bin/pip" install -q torch numpy
fi
PATH="$(dirname "$(realpath -s "$PYTHON")"):$PATH"
spec=examples/torch/isoflop.toml
keys=(--set "data.path=\"$text\"")
"$runner" sweep "$spec" "${keys[@]}" --device cpu --out "$out/torch"
"$runner" sweep "$spec" "${keys[@]}" --set train.command= --set train.inputs= --set name=torch-builtin \
    --device cpu --out "$out/torch-builtin"
"$PYTHON" scripts/check-torch.py "$out/torch/fits.json" "$out/torch-builtin/fits.json"
