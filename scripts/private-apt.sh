# Sourced by the corpus scripts: apt with lists, cache and sources in a temporary folder of their own.
# After `private_apt DIR SECTION`, $work is that folder (inside DIR, removed at exit) and apt commands use it.

fail() {
    echo "error: $*" >&2
    exit 1
}

need_command() {
    command -v "$1" >/dev/null || fail "$1 is missing; $2"
}

private_apt() {
    need_command apt-get 'this script fetches Debian packages, so it needs Debian'
    need_command dpkg-deb 'this script unpacks Debian packages, so it needs Debian'
    [ "$(id -u)" = 0 ] || fail "apt wants root; run this as root, for instance with sudo"
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$suite" ] || fail "/etc/os-release names no release; this script needs Debian 12 or later"
    mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' | awk -v suite="$suite" '$1 == suite { print $2; exit }')
    [ -n "$mirror" ] || fail "apt has no source for $suite on this machine; add one to /etc/apt/sources.list.d"
    work=$(mktemp -d "$1/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite $2" >"$work/sources.list"
    cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/nonexistent";
Dir::State::Lists "$work/lists";
Dir::Cache "$work";
APT::Sandbox::User "root";
CONF
    export APT_CONFIG="$work/apt.conf"
    echo "reading the package lists of $suite $2" >&2
    apt-get -qq update
}
