#!/bin/sh
# Trains and answers every question of sweeps/laws: claims about scaling, each with a spec that says what is expected. Results
# go to reproduced/laws-NAME (results/ has ours). Interrupt it whenever you like: the same command goes on where it was.
#
#   usage: scripts/laws.sh [--plan] [NAME...]      all of them unless named, such as depth; --plan tells the hours and trains nothing
#
# RUNNER is the program (default: runner), RUNNER_FLAGS go to `runner sweep` (default: --device cpu), FLOPS_PER_SECOND is the speed
# of one slot by which hours are told (default: measured).
set -eu
cd "$(dirname "$0")/.."
runner=${RUNNER:-runner}
plan=
if [ "${1:-}" = --plan ]; then
    plan=yes
    shift
fi
if [ $# -eq 0 ]; then
    set -- $(ls sweeps/laws | sed 's/\.toml$//')
fi
for name; do
    if [ ! -f "sweeps/laws/$name.toml" ]; then
        echo "there is no sweeps/laws/$name.toml; there are: $(ls sweeps/laws | sed 's/\.toml$//' | tr '\n' ' ')" >&2
        exit 2
    fi
done
for name; do
    echo "== $name"
    sed -n 's/^# //p' "sweeps/laws/$name.toml" | sed '/^Source/,$d'
    "$runner" plan "sweeps/laws/$name.toml" ${FLOPS_PER_SECOND:+--flops-per-second "$FLOPS_PER_SECOND"} | tail -n 4
done
[ -z "$plan" ] || exit 0
failed=
for name; do
    # What stops one question, such as a processor without bf16 or a corpus that is not there, does not stop the others.
    # shellcheck disable=SC2086
    { ! grep -q corpora/rfc-scores "sweeps/laws/$name.toml" || RUNNER=$runner scripts/corpus-scores.sh; } &&
        "$runner" sweep "sweeps/laws/$name.toml" --out "reproduced/laws-$name" ${RUNNER_FLAGS:---device cpu} || failed="$failed $name"
done
[ -z "$failed" ] || { echo "not answered:$failed; what to do stands above" >&2; exit 1; }
