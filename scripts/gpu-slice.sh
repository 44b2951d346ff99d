#!/usr/bin/env bash
# A sweep on a machine that is lent for a quarter of an hour at a time: what it needs goes there in packages, what the next
# slice needs comes back, on another machine too.
#
#   gpu-slice.sh pack SPEC FOLDER   here: program, spec, texts, tokenizer and results so far, as FOLDER/in.00 and so on
#   gpu-slice.sh SECONDS FOLDER     there: trains until its time is over; what came of it is FOLDER/out.00 and so on
#   gpu-slice.sh take SPEC FOLDER   here: brings that into the results folder
#
# SECONDS ends as the sweep does: 0 all is done, 75 runs wait in checkpoints for the next slice. Paths in the spec are taken
# from the folder in which `pack` is called, and results lie in results/NAME there.
#
#   RUNNER  the program [default: target/release/runner]   DEVICE  to train on [default: cuda]   SLOTS  runs at once [default: 4]
#   RESERVE seconds for checkpoints and packing [default: 30]
#   LEVEL   of xz [default: 6]
#   IN_MIB, OUT_MIB  largest package there and back [default: 64, 16]; OUT_FILES  most packages back [default: 8]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "gpu-slice.sh: $*" >&2; exit 2; }
for tool in xz tar split; do command -v "$tool" > /dev/null || fail "$tool is missing; install it with: apt-get install xz-utils tar coreutils"; done

key() { sed -n "s/^$2 *= *\"\([^\"]*\)\".*/\1/p" "$1" | head -n 1; } # the value of a key that is a text
results() { echo "results/$(key "$1" name)"; }
# The newest checkpoint of each run in a results folder: that of its last attempt that wrote one.
newest() {
    local run
    for run in "$1"/runs/*/; do
        find "$run" -name checkpoint.safetensors | sort -V | tail -n 1
    done
}

pack() {
    local spec=$1 folder=$2 runner=${RUNNER:-${CARGO_TARGET_DIR:-$here/target}/release/runner}
    [ -f "$spec" ] || fail "no spec $spec"
    [ -x "$runner" ] || fail "no program at $runner; build it (cargo build --release), or name it by RUNNER"
    local name kept
    name=$(key "$spec" name)
    kept=$(results "$spec")
    [ -n "$name" ] || fail "$spec has no name"
    rm -rf "$folder"
    mkdir -p "$folder/tree"
    cp "$runner" "$folder/tree/runner"
    cp "$spec" "$folder/tree/spec.toml"
    local text tokenizer
    text=$(key "$spec" path) tokenizer=$(key "$spec" tokenizer)
    # The path of a text may be a pattern.
    # shellcheck disable=SC2086
    if [ -n "$text$tokenizer" ]; then
        tar -cf - $text $tokenizer | tar -xf - -C "$folder/tree" || fail "the files that $spec names are not here"
    fi
    if [ -d "$kept" ]; then
        # Locks are those of this machine.
        tar -cf - --exclude=lock --exclude='checkpoint*' "$kept" | tar -xf - -C "$folder/tree"
        newest "$kept" | tar -cf - -T - | tar -xf - -C "$folder/tree"
    fi
    tar -cf - -C "$folder/tree" . | xz -T0 -${LEVEL:-6} | split -d -a 2 -b "${IN_MIB:-64}M" - "$folder/in."
    rm -rf "$folder/tree"
    echo "$(find "$folder" -name 'in.*' | wc -l) packages of $(du -ch "$folder"/in.* | tail -n 1 | cut -f1), each to be carried by itself"
}

# What the ledger needs, as packages: results and curves all, then checkpoints, the smallest first, as far as there is room.
bring() { # results folder, folder
    local kept=$1 folder=$2 room used file
    room=$((${OUT_MIB:-16} * ${OUT_FILES:-8} * 1024 * 1024))
    rm -rf "$folder"/out.* "$folder/back"
    mkdir -p "$folder/back/checkpoints"
    tar -cf - --exclude=lock --exclude='checkpoint*' "$kept" | xz -T0 -${LEVEL:-6} > "$folder/back/results.tar.xz"
    used=$(stat -c %s "$folder/back/results.tar.xz")
    [ "$used" -le "$room" ] || fail "results without checkpoints are $((used >> 20)) MiB, more than there is room for"
    while read -r _ file; do
        # Half of a checkpoint hardly shrinks: the last bits of its numbers are noise.
        local packed="$folder/back/checkpoints/${file//\//%}.xz"
        xz -T0 -1 -c "$file" > "$packed"
        used=$((used + $(stat -c %s "$packed") + 2048))
        if [ "$used" -gt $((room - 65536)) ]; then
            echo "no room for $file: that run starts again from step 0"
            used=$((used - $(stat -c %s "$packed") - 2048))
            rm "$packed"
        fi
    done < <(newest "$kept" | xargs -r stat -c '%s %n' | sort -n)
    tar -cf - -C "$folder/back" . | split -d -a 2 -b "${OUT_MIB:-16}M" - "$folder/out."
    rm -rf "$folder/back"
}

run() {
    local seconds=$1 folder=$2 code=0 kept left
    compgen -G "$folder/in.*" > /dev/null || fail "no packages in $folder (gpu-slice.sh pack)"
    cd "$folder"
    # What an earlier slice left on this machine goes on from there.
    [ -x work/runner ] || { mkdir -p work && cat in.* | xz -dc -T0 | tar -xf - -C work; }
    cd work
    kept=$(results spec.toml)
    left=$((seconds - SECONDS - ${RESERVE:-30}))
    [ "$left" -gt 0 ] || fail "$seconds s are over before anything is trained"
    timeout --preserve-status --signal=TERM --kill-after="${RESERVE:-30}" "$left" \
        ./runner sweep spec.toml --device "${DEVICE:-cuda}" --slots-per-device "${SLOTS:-4}" --cache cache --out "$kept" || code=$?
    # Its time was over before the sweep listened to signals: nothing was trained, and nothing is lost.
    [ $code != 143 ] || code=75
    # After an error too, what there is comes back.
    [ ! -d "$kept" ] || bring "$kept" ..
    echo "exit $code after $SECONDS s; back goes $(du -ch ../out.* 2> /dev/null | tail -n 1 | cut -f1)"
    return $code
}

take() {
    local spec=$1 folder=$2 back file
    compgen -G "$folder/out.*" > /dev/null || fail "nothing came back in $folder"
    back=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$back'" EXIT
    cat "$folder"/out.* | tar -xf - -C "$back"
    [ "$(tar -tJf "$back/results.tar.xz" | head -n 1)" = "$(results "$spec")/" ] || fail "$folder holds results of another sweep"
    # A run's checkpoint is that of the slice that came back: an older one of a run that has ended would be in the way.
    [ ! -d "$(results "$spec")" ] || find "$(results "$spec")" -name 'checkpoint*' -delete
    tar -xJf "$back/results.tar.xz"
    for file in "$back"/checkpoints/*.xz; do
        [ -e "$file" ] || continue
        local name=${file##*/}
        name=${name%.xz}
        xz -dc "$file" > "${name//%//}"
    done
    echo "$(results "$spec"): $(find "$(results "$spec")" -name result.json | wc -l) results, $(find "$(results "$spec")" -name checkpoint.safetensors | wc -l) runs under way"
}

case "${1:-}" in
pack | take) [ $# = 3 ] || fail "usage: gpu-slice.sh $1 SPEC FOLDER" ; "$@" ;;
'' | *[!0-9]*) fail "usage: gpu-slice.sh pack SPEC FOLDER | gpu-slice.sh SECONDS FOLDER | gpu-slice.sh take SPEC FOLDER" ;;
*) [ $# = 2 ] || fail "usage: gpu-slice.sh SECONDS FOLDER" ; run "$@" ;;
esac
