#!/bin/sh
# Installs a build with its manual pages and completions, so that `man runner-sweep` and the Tab key work.
#
# Usage: scripts/install.sh [PREFIX]     [default: /usr/local; ~/.local needs no root]
#   RUNNER   the program [default: the one beside this script, or target/release/runner]
set -eu
prefix=${1:-/usr/local}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ -n "${RUNNER:-}" ]; then runner=$RUNNER
elif [ -x "$here/runner" ]; then runner=$here/runner
else runner=${CARGO_TARGET_DIR:-$here/../target}/release/runner
fi
[ -x "$runner" ] || { echo "$runner is not there; build it with cargo build --release" >&2; exit 2; }
mkdir -p "$prefix/bin" "$prefix/share/man/man1" "$prefix/share/bash-completion/completions" \
    "$prefix/share/zsh/site-functions" "$prefix/share/fish/vendor_completions.d"
install -m 755 "$runner" "$prefix/bin/runner"
"$runner" man "$prefix/share/man/man1" >/dev/null
"$runner" completions bash >"$prefix/share/bash-completion/completions/runner"
"$runner" completions zsh >"$prefix/share/zsh/site-functions/_runner"
"$runner" completions fish >"$prefix/share/fish/vendor_completions.d/runner.fish"
echo "installed $prefix/bin/runner, its manual pages and completions"
