#!/bin/sh
# Trains a small model on corpora/rfc.txt and writes the loss of each training document under it to corpora/rfc-scores.txt:
# scores for `data.keep_by = "file"` in sweeps/laws/pruning.toml. Some minutes of a core.
#
#   usage: scripts/corpus-scores.sh        RUNNER is the program (default: runner)
set -eu
cd "$(dirname "$0")/.."
runner=${RUNNER:-runner}
[ -f corpora/rfc.txt ] || { echo "there is no corpora/rfc.txt; scripts/corpus-rfc.sh makes it" >&2; exit 1; }
"$runner" train configs/scorer.toml --device cpu --keep-models
"$runner" data score results/scorer --out corpora/rfc-scores.txt
