#!/bin/sh
# Fetches the C source of Debian's Linux kernel (about 550 MB) into DIR/linux.txt: one file a document, a blank line
# between two.
#
#   usage: scripts/corpus-linux.sh [DIR]      DIR is `corpora` unless given
#
# Needs Debian 12 or later as root, python3, and about 1 GB of disk while it works. The package comes by apt from the
# mirror that this machine already uses, through a source list of this script's own: the system's is not touched.
# The source is under GPL-2, and its version is the release's newest: two machines may get different ones.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "${1:-corpora}"
dir=$(CDPATH='' cd -- "${1:-corpora}" && pwd)

# shellcheck source=scripts/private-apt.sh
. "$here/private-apt.sh"
need_command python3 'install it with: apt-get install python3'
private_apt "$dir" main

package=$(apt-cache search --names-only '^linux-source-[0-9.]*$' | cut -d' ' -f1 | sort -V | tail -n 1)
[ -n "$package" ] || fail "no package linux-source-* in this Debian release"
echo "fetching $package" >&2
(cd "$work" && apt-get -qq download "$package")
dpkg-deb --fsys-tarfile "$work"/linux-source-*.deb | tar -x -C "$work" --wildcards '*/linux-source-*.tar.xz'
echo "cleaning" >&2
python3 "$here/clean-c.py" "$work"/usr/src/linux-source-*.tar.xz "$work/linux.txt"
mv "$work/linux.txt" "$dir/linux.txt"
echo "$dir/linux.txt"
