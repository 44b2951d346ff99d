#!/bin/sh
# Makes the committed numbers of results/ again. Interrupt it whenever you like: the same command goes on where it was.
#
#   usage: scripts/reproduce.sh --check [NAME...]    derives tables and fits again from the committed tables of runs, and compares bytes;
#                                                    without a NAME also the README's picture of a terminal
#          scripts/reproduce.sh --update [NAME...]   the same, and puts what has changed into results/, but reports
#          scripts/reproduce.sh --plan [NAME...]     tells what training all of it costs, and trains nothing
#          scripts/reproduce.sh [NAME...]            trains every run again, into reproduced/NAME, and compares the losses
#
# NAME is a folder of results/; all of those with a table of runs unless named. RUNNER is the program (default: runner),
# RUNNER_FLAGS go to `runner sweep` (default: --device cpu), FLOPS_PER_SECOND is the speed of one slot by which hours are told
# (default: measured), TOLERANCE the nats by which losses may differ (default: 0.02, the scatter of seeds; 0 on the same type of
# processor). Reports are not compared: each holds the whole page that draws it.
set -eu
cd "$(dirname "$0")/.."
runner=${RUNNER:-runner}
mode=train
case ${1:-} in
--check | --update | --plan)
    mode=${1#--}
    shift
    ;;
esac
whole=$([ $# -gt 0 ] || echo yes)
[ $# -gt 0 ] || set -- $(cd results && ls -d */runs.csv | sed 's|/runs.csv||')
for name; do
    [ -f "results/$name/runs.csv" ] || { echo "there is no results/$name/runs.csv" >&2; exit 2; }
done

# What training costs is told first.
if [ "$mode" = plan ] || [ "$mode" = train ]; then
    for name; do
        echo "== $name"
        "$runner" plan "results/$name/spec.toml" ${FLOPS_PER_SECOND:+--flops-per-second "$FLOPS_PER_SECOND"} | tail -n 4
    done
fi
[ "$mode" != plan ] || exit 0

code=0
if [ "$mode" = train ]; then
    for name; do
        # shellcheck disable=SC2086
        "$runner" sweep "results/$name/spec.toml" --out "reproduced/$name" ${RUNNER_FLAGS:---device cpu}
        python3 scripts/compare-losses.py "results/$name" "reproduced/$name" "${TOLERANCE:-0.02}" || code=1
    done
    exit $code
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name; do
    cp -r "results/$name" "$scratch/$name"
    "$runner" ledger rebuild "$scratch/$name" > "$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
    rm "$scratch/$name/report.html"
    changed=$(diff -rq -x report.html "results/$name" "$scratch/$name") || true
    [ -n "$changed" ] || { echo "$name: the same"; continue; }
    echo "$changed"
    code=1
    [ "$mode" = check ] || cp -r "$scratch/$name/." "results/$name/"
done
if [ -n "$whole" ]; then
    # The README's picture of a fit.
    LINES=24 python3 scripts/terminal-picture.py "$scratch/terminal.svg" runner fit results/isoflop/runs.csv --approach 2
    cmp "$scratch/terminal.svg" docs/terminal.svg || code=1
    [ "$mode" = check ] || cp "$scratch/terminal.svg" docs/terminal.svg
fi
[ "$mode" = check ] || exit 0
[ $code = 0 ] || echo "tables differ from what this program derives: scripts/reproduce.sh --update writes them"
exit $code
