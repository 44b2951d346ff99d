#!/bin/sh
# Each figure of a results folder as PNG beside its SVG, for slides. By librsvg's rsvg-convert, which is installed from Debian
# where it is missing; on macOS: brew install librsvg.
#
# Usage: scripts/figures-png.sh DIR [WIDTH]     [default width: 1920 pixels]
set -eu
[ $# -ge 1 ] || { sed -n '5s/^# //p' "$0" >&2; exit 2; }
dir=$1 width=${2:-1920}
ls "$dir"/figures/*.svg >/dev/null 2>&1 || { echo "$dir has no figures/*.svg; runner ledger rebuild DIR writes them" >&2; exit 2; }
command -v rsvg-convert >/dev/null 2>&1 || { apt-get update -q && apt-get install -y -q --no-install-recommends librsvg2-bin fonts-dejavu-core; } >&2
for figure in "$dir"/figures/*.svg; do
    rsvg-convert --width "$width" --keep-aspect-ratio --output "${figure%.svg}.png" "$figure"
    echo "${figure%.svg}.png"
done
