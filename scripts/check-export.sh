#!/usr/bin/env bash
# Exports a rehearsed sweep and a trained model in every format and reads them with the packages that they are for:
# pyarrow, tensorboard, mlflow, wandb, and transformers with torch for the CPU. What tensorboard and wandb write is imported again.
#
# Usage: check-export.sh [FORMAT...]      (default: all of jsonl parquet tensorboard mlflow wandb transformers)
#   RUNNER   the program [default: target/release/runner, built if it is missing]
#   PYTHON   a Python that has the packages [default: one in ~/.cache/runner/venv-export that gets from PyPI what the
#            formats need: 310 MB to download for all but transformers, some gigabytes with its torch]
# Without a device to train on (a build without default features) transformers is left out, which is told.
set -euo pipefail
cd "$(dirname "$0")/.."
formats=("$@")
[ $# -gt 0 ] || formats=(jsonl parquet tensorboard mlflow wandb transformers)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

runner=${RUNNER:-${CARGO_TARGET_DIR:-target}/release/runner}
[ -x "$runner" ] || cargo build --release
if [ -z "${PYTHON:-}" ]; then
    venv="$HOME/.cache/runner/venv-export"
    PYTHON="$venv/bin/python"
    packages=()
    for format in "${formats[@]}"; do
        case $format in
            jsonl) ;;
            parquet) packages+=(pyarrow) ;;
            transformers) packages+=(transformers torch numpy) ;;
            *) packages+=("$format") ;;
        esac
    done
    [ -x "$PYTHON" ] || python3 -m venv "$venv"
    missing=()
    for package in "${packages[@]}"; do
        "$PYTHON" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$package') is None)" || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] || "$venv/bin/pip" install -q "${missing[@]}"
fi
# The document that is encoded last is longer than a context, which transformers would warn of.
export TRANSFORMERS_VERBOSITY=error WANDB_MODE=offline WANDB_SILENT=true HF_HUB_OFFLINE=1 TF_CPP_MIN_LOG_LEVEL=3 RUNNER_CACHE="$scratch/cache"
check() { "$PYTHON" scripts/check-export.py "$@"; }

results="$scratch/results"
"$runner" sweep sweeps/quickstart.toml --device rehearsal --out "$results" > /dev/null 2> "$scratch/log" || { cat "$scratch/log"; exit 1; }

back() { # FOLDER RESULTS: what another program's files tell is imported as what was exported
    "$runner" import "$1" --out "$1-back" > /dev/null 2> "$scratch/log" || { cat "$scratch/log"; exit 1; }
    check back "$2" "$1-back"
}

trained() { # NAME MLP [KEY=VALUE...]: a model whose parameterization multiplies everything that it can
    local name=$1 set=(--set "model.mlp=\"$2\"") key
    for key in "${@:3}"; do set+=(--set "$key"); done
    (cd "$scratch" && "$runner" train model.toml "${set[@]}" --device cpu --out "$name" --keep-models > /dev/null)
}

for format in "${formats[@]}"; do
    echo "== $format"
    out="$scratch/$format"
    case $format in
        jsonl | parquet)
            "$runner" export "$format" "$results" --out "$out-runs"
            "$runner" export "$format" "$results/runs.csv" --curves --out "$out-curves"
            check "$format" "$results/runs.csv" "$out-runs"
            check "$format" "$results/curves.csv" "$out-curves"
            ;;
        tensorboard)
            "$runner" export tensorboard "$results" --out "$out"
            check tensorboard "$results" "$out"
            back "$out" "$results"
            # Written by the package itself.
            check tensorboard-writer "$results" "$out-written"
            back "$out-written" "$results"
            ;;
        mlflow)
            "$runner" export mlflow "$results" --out "$out"
            store="sqlite:///$scratch/mlflow.db"
            (cd "$scratch" && "$PYTHON" "$out/import.py" "$store" 2> "$scratch/log") || { cat "$scratch/log"; exit 1; }
            # Again: nothing comes twice.
            (cd "$scratch" && "$PYTHON" "$out/import.py" "$store" 2> /dev/null) | grep -q '^0 runs'
            check mlflow "$results" "$out" "$store" 2> /dev/null
            ;;
        wandb)
            "$runner" export wandb "$results" --out "$out"
            (cd "$out" && "$PYTHON" import.py check)
            check wandb "$results" "$out"
            back "$out/wandb" "$results"
            ;;
        transformers)
            if ! "$runner" devices | grep -q '^ *cpu .*flex'; then
                echo "left out: this build cannot train on the CPU"
                continue
            fi
            runner=$(realpath "$runner")
            cat src/*/*.rs > "$scratch/corpus.txt"
            cp scripts/small-model.toml "$scratch/model.toml"
            experts='model.experts={count=4,active=2,granularity=2,balance=0.01}'
            while read -r mlp architecture more; do
                name=$mlp$(tr -cd 'a-z_' <<< "$more")
                # shellcheck disable=SC2086
                [ -d "$scratch/$name" ] || trained "$name" "$mlp" $more
                to="$out-$name-$architecture" run=$(echo "$scratch/$name/runs/"*)
                "$runner" export transformers "$scratch/$name" --architecture "$architecture" --out "$to"
                corpus=$(dirname "$(ls "$scratch"/cache/*/validation.u16)")
                check transformers "$to" "$run/model.safetensors" "$run/config.json" "$corpus" "$run/result.json"
            done < <(printf '%s\n' "gelu arcee" "gelu llama" "swiglu llama" "geglu llama" "bilinear llama" \
                "swiglu qwen3 model.qk_norm=true model.kv_sharing=2" "swiglu mixtral $experts" \
                "geglu qwen3-moe model.qk_norm=true $experts")
            ;;
        *)
            echo "no format $format; choose among jsonl parquet tensorboard mlflow wandb transformers"
            exit 2
            ;;
    esac
done
echo "export: all good"
