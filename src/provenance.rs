//! What this program was built from, so that every result can say by what it was computed.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// `Cargo.lock` at build time; empty where there was none.
const LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/Cargo.lock"));

/// The build of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Git commit; nothing where it was built from files of no known commit.
    pub commit: Option<String>,
    /// Whether something that goes into the program differed from that commit.
    pub dirty: bool,
    /// SHA-256 of `Cargo.lock`, as `sha256sum` prints it: which version of each dependency.
    pub lock: Option<String>,
    /// The compiler; empty where only the commit was kept.
    pub rustc: String,
    /// Version of burn; nothing in a build without it.
    pub burn: Option<String>,
}

impl Build {
    /// The build of the running program.
    pub fn current() -> Self {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            commit: known(env!("RUNNER_COMMIT")),
            dirty: env!("RUNNER_DIRTY") == "true",
            lock: known(LOCK).map(|lock| sha256(lock.as_bytes())),
            rustc: env!("RUNNER_RUSTC").to_owned(),
            burn: if cfg!(feature = "burn") { locked("burn") } else { None },
        }
    }
}

impl Build {
    /// What [`Build`] prints, read back: the commit alone.
    pub fn short(text: &str) -> Option<Self> {
        let (commit, dirty) = text.strip_suffix("-dirty").map_or((text, false), |commit| (commit, true));
        let hex = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let commit = hex.then(|| commit.to_owned());
        let known = commit.is_some() || text == UNKNOWN;
        known.then(|| Self { commit, dirty, lock: None, rustc: String::new(), burn: None })
    }
}

/// What stands in place of a commit that is not known.
const UNKNOWN: &str = "unknown commit";

/// Prints as `0123456789ab`, `0123456789ab-dirty`, or `unknown commit`.
impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.commit {
            Some(commit) => {
                let short = commit.get(..12).unwrap_or(commit);
                write!(f, "{short}{}", if self.dirty { "-dirty" } else { "" })
            }
            None => f.write_str(UNKNOWN),
        }
    }
}

/// What `--version` tells: version, commit, compiler, burn.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let build = Build::current();
        let burn = build.burn.as_ref().map(|burn| format!(", burn {burn}")).unwrap_or_default();
        format!("{} ({build}, {}{burn})", env!("CARGO_PKG_VERSION"), build.rustc)
    });
    &VERSION
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The version of a package in `Cargo.lock`; nothing where there was no such file, or it is not in there.
pub(crate) fn locked(name: &str) -> Option<String> {
    let package = format!("name = \"{name}\"\nversion = \"");
    let (_, rest) = LOCK.split_once(&package)?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_is_the_one_of_the_repository() {
        let lock = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
        assert_eq!(Build::current().lock, Some(sha256(&lock)));
        assert!(sha256(b"").starts_with("e3b0c44298fc1c14"), "as sha256sum prints it");
        assert_eq!(locked("burn").as_deref(), Some("0.22.1"), "pinned in Cargo.toml");
        assert_eq!(locked("no-such-package"), None);
    }

    #[test]
    fn a_build_is_called_by_its_commit_and_whether_that_is_all_of_it() {
        let mut build = Build { commit: Some("0123456789abcdef".repeat(3)), dirty: false, ..Build::current() };
        assert_eq!(build.to_string(), "0123456789ab");
        build.dirty = true;
        assert_eq!(build.to_string(), "0123456789ab-dirty");
        build.commit = None;
        assert_eq!(build.to_string(), "unknown commit");
    }
}
