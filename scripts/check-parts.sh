#!/usr/bin/env bash
# Trains a small model of every part and computes its validation loss again with PyTorch's own layers from the same weights:
# they must agree to 1e-5.
#
# Usage: check-parts.sh [NAME...]         (default: all; the names are those of the table below)
#   RUNNER   the program [default: target/release/runner, built if it is missing]
#   PYTHON   a Python that has torch and numpy [default: that of check-export.sh, into which torch is installed]
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

runner=${RUNNER:-${CARGO_TARGET_DIR:-target}/release/runner}
[ -x "$runner" ] || cargo build --release
runner=$(realpath "$runner")
if [ -z "${PYTHON:-}" ]; then
    venv="$HOME/.cache/runner/venv-export"
    PYTHON="$venv/bin/python"
    [ -x "$PYTHON" ] || python3 -m venv "$venv"
    "$PYTHON" -c "import torch, numpy" 2> /dev/null || "$venv/bin/pip" install -q torch numpy
fi
export RUNNER_CACHE="$scratch/cache"

parts() { # name, then keys
    cat <<'TABLE'
first
swiglu              model.mlp="swiglu"
geglu               model.mlp="geglu"
bilinear            model.mlp="bilinear"
squared-relu        model.mlp="squared-relu"
tied                model.embedding="tied"
layer-norm          model.norm="layer"
qk-norm             model.qk_norm=true
after               model.norm_place="after"
learned             model.positions="learned"
no-positions        model.positions="none"
grouped             model.kv_sharing=2
experts             model.experts={count=8,active=2,shared=1,granularity=2,balance=0.01}
experts-swiglu      model.mlp="swiglu" model.experts={count=4,active=2,balance=0.01}
lstm                model.mixer="lstm"
mingru              model.mixer="mingru"
together            model.mlp="swiglu" model.qk_norm=true model.kv_sharing=2 model.embedding="tied" model.norm="layer"
TABLE
}

cat src/*/*.rs > "$scratch/corpus.txt"
cp scripts/small-model.toml "$scratch/model.toml"

while read -r name keys; do
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    # Half as long as for the exports: each part is trained, and only its losses are compared.
    set_keys=(--set schedule.tokens=150000 --set eval.tokens=16384)
    for key in $keys; do set_keys+=(--set "$key"); done
    (cd "$scratch" && "$runner" train model.toml --device cpu --out "$name" --keep-models "${set_keys[@]}" > /dev/null 2> log) \
        || { cat "$scratch/log"; exit 1; }
    "$PYTHON" scripts/check-parts.py "$name" "$scratch/$name/runs/"* "$(dirname "$(ls "$scratch"/cache/*/validation.u16)")"
done < <(parts)
echo "parts: all good"
