#!/bin/sh
# Makes the three texts of sweeps/laws/mixture.toml, each a sample of 30 MB of whole documents, in DIR: rfc-sample.txt,
# docs-sample.txt and linux-sample.txt. What is not there of rfc.txt, docs.txt and linux.txt is fetched first.
#
#   usage: scripts/corpus-mixture.sh [DIR]    DIR is `corpora` unless given
#
# Needs what scripts/corpus-rfc.sh, corpus-docs.sh and corpus-linux.sh need, which fetch the texts.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "${1:-corpora}"
dir=$(CDPATH='' cd -- "${1:-corpora}" && pwd)
megabytes=30

for name in rfc docs linux; do
    [ -f "$dir/$name.txt" ] || "$here/corpus-$name.sh" "$dir"
    python3 "$here/sample-documents.py" "$dir/$name.txt" "$megabytes" "$dir/$name-sample.txt.part"
    mv "$dir/$name-sample.txt.part" "$dir/$name-sample.txt"
    echo "$dir/$name-sample.txt"
done
