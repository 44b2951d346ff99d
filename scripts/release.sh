#!/usr/bin/env bash
# Builds a release for this machine: dist/runner-VERSION-TARGET.tar.gz with the program, manual pages, completions, README,
# licence and change log, and its SHA-256. Nothing is uploaded or tagged.
#
# Usage: scripts/release.sh [CARGO FLAGS...]     such as --features wgpu
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
target=$(rustc -vV | sed -n 's/^host: //p')
if ! grep -q "^## $version" CHANGELOG.md; then
    echo "CHANGELOG.md has no section $version: name the version there and in Cargo.toml first" >&2
    exit 2
fi
if [ -n "$(git status --porcelain)" ]; then
    echo "the working tree has changes: commit them, for the program names the commit that it was built from" >&2
    exit 2
fi
cargo build --profile dist --locked "$@"
runner="${CARGO_TARGET_DIR:-target}/dist/runner"
name="runner-$version-$target"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/$name/completions" dist
cp "$runner" README.md LICENSE CHANGELOG.md scripts/install.sh "$scratch/$name/"
"$runner" man "$scratch/$name/man"
for shell in bash zsh fish; do "$runner" completions "$shell" >"$scratch/$name/completions/runner.$shell"; done
tar -C "$scratch" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -czf "dist/$name.tar.gz" "$name"
(cd dist && sha256sum "$name.tar.gz" | tee "$name.tar.gz.sha256")
