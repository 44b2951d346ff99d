#!/bin/sh
# Fetches the prose of all RFCs (English, about 230 MB) into DIR/rfc.txt: one RFC a document, a blank line between two.
#
#   usage: scripts/corpus-rfc.sh [DIR]        DIR is `corpora` unless given
#
# Needs Debian 12 or later as root, python3, and about 1 GB of disk while it works. The packages come by apt from the
# mirror that this machine already uses, through a source list of this script's own: the system's is not touched.
# The RFCs are in Debian's non-free section, because only verbatim copies may be passed on: fetch them, never commit them.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "${1:-corpora}"
dir=$(CDPATH='' cd -- "${1:-corpora}" && pwd)

# shellcheck source=scripts/private-apt.sh
. "$here/private-apt.sh"
need_command python3 'install it with: apt-get install python3'
private_apt "$dir" non-free

packages=$(apt-cache search --names-only '^doc-rfc-' | cut -d' ' -f1 | sort)
[ -n "$packages" ] || fail "no package doc-rfc-* in the non-free section of this Debian release"
echo "fetching" $packages >&2
(cd "$work" && apt-get -qq download $packages)
mkdir "$work/rfc"
for package in "$work"/doc-rfc-*.deb; do
    # A package without text files (the metapackage) is no error.
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/rfc" --wildcards '*/rfc*.txt.gz' '*/rfc*.txt' 2>/dev/null || true
done
echo "cleaning" >&2
python3 "$here/clean-rfc.py" "$work/rfc" "$work/rfc.txt"
mv "$work/rfc.txt" "$dir/rfc.txt"
echo "$dir/rfc.txt"
