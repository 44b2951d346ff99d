#!/bin/sh
# For each split of corpora/rfc.txt in sweeps/laws/pruning.toml: trains a small model and writes the loss of each training
# document under it to corpora/rfc-scores-SEED.txt, for `data.keep_by = "file"`. Some three minutes of a core each.
#
#   usage: scripts/corpus-scores.sh        RUNNER is the program (default: runner)
set -eu
cd "$(dirname "$0")/.."
runner=${RUNNER:-runner}
[ -f corpora/rfc.txt ] || { echo "there is no corpora/rfc.txt; scripts/corpus-rfc.sh makes it" >&2; exit 1; }
for seed in 1 2 3; do
  [ ! -f "corpora/rfc-scores-$seed.txt" ] || continue
  "$runner" train configs/scorer.toml --device cpu --keep-models --set data.seed=$seed --out "results/scorer-$seed"
  "$runner" data score "results/scorer-$seed" --out "corpora/rfc-scores-$seed.txt"
done
