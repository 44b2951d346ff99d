#!/bin/sh
# Fetches the prose of Debian's documentation (English, about 90 MB) into DIR/docs.txt: one page a document, a blank line between
# two.
#
#   usage: scripts/corpus-docs.sh [DIR]       DIR is `corpora` unless given
#
# Needs Debian 12 or later as root, python3, and about 1 GB of disk while it works. The packages come by apt from the mirror that
# this machine already uses, through a source list of this script's own: the system's is not touched. They are free, each under its
# own licence, and their versions are the release's newest: two machines may get different ones.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "${1:-corpora}"
dir=$(CDPATH='' cd -- "${1:-corpora}" && pwd)

# shellcheck source=scripts/private-apt.sh
. "$here/private-apt.sh"
need_command python3 'install it with: apt-get install python3'
private_apt "$dir" main

# Handbooks, manuals of programs and of languages, manual pages. Where the name has a version, the newest.
wanted='debian-handbook debian-policy debian-reference-en developers-reference installation-guide-amd64 freebsd-manpages manpages
manpages-dev gimp-help-en gnome-user-docs gnucash-docs libreoffice-help-en-us linux-doc-[0-9.]* llvm-[0-9]*-doc perl-doc
postgresql-doc-[0-9]* python3.[0-9]*-doc racket-doc rust-web-doc sqlite3-doc shorewall-doc erlang-doc git-doc
cppreference-doc-en-html qtbase5-doc-html python-scipy-doc python-django-doc gap-doc octave-doc apache2-doc'
packages=
set -f # what stands in * and [] are names of packages, not of files
for pattern in $wanted; do
    found=$(apt-cache search --names-only "^$pattern\$" | cut -d' ' -f1 | sort -V | tail -n 1)
    [ -n "$found" ] || echo "this Debian release has no $pattern: left out" >&2
    packages="$packages $found"
done
set +f
[ -n "${packages# }" ] || fail "none of the packages is in this Debian release"
echo "fetching$packages" >&2
(cd "$work" && apt-get -qq download $packages)
echo "cleaning" >&2
python3 "$here/clean-docs.py" "$work/docs.txt" "$work"/*.deb
mv "$work/docs.txt" "$dir/docs.txt"
echo "$dir/docs.txt"
