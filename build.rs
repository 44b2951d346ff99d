//! Tells the program what it is built from: git commit, compiler, `Cargo.lock`. Without git and without dependencies too.
//!
//! Cargo compiles the whole crate again whenever this file has run. So it runs again when something changed that is
//! compiled anyway, and besides only where the last build was of uncommitted changes, which a commit makes a lie.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What goes into the program.
const INPUTS: [&str; 7] = ["src", "templates", "sweeps", "configs", "build.rs", "Cargo.toml", "Cargo.lock"];

fn main() {
    // Told here, before the bindings fail to compile in words of their own.
    if ["CUDA", "BURN_CUDA"].iter().all(|name| env::var_os(format!("CARGO_FEATURE_{name}")).is_some()) {
        println!(
            "cargo::error=the features cuda and burn-cuda cannot be in one program: they need different bindings of CUDA; \
             write --no-default-features --features cpu,burn-cuda"
        );
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for input in INPUTS.iter().filter(|input| root.join(input).exists()) {
        println!("cargo::rerun-if-changed={input}");
    }
    let (commit, dirty) = from_git(&root).or_else(|| from_package(&root)).unwrap_or_default();
    println!("cargo::rustc-env=RUNNER_COMMIT={commit}");
    println!("cargo::rustc-env=RUNNER_DIRTY={dirty}");
    let rustc = env::var_os("RUSTC").and_then(|rustc| said(Command::new(rustc).arg("--version")));
    println!("cargo::rustc-env=RUNNER_RUSTC={}", rustc.unwrap_or_default());
    // Empty where there is none.
    let lock = fs::read(root.join("Cargo.lock")).unwrap_or_default();
    fs::write(out.join("Cargo.lock"), lock).expect("OUT_DIR can be written");
}

/// Commit and whether inputs differ from it, in a checkout of this very repository.
fn from_git(root: &Path) -> Option<(String, bool)> {
    let git = |args: &[&str]| said(Command::new("git").arg("-C").arg(root).args(args));
    // An unpacked package may lie in the repository of something else.
    let top = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if top != fs::canonicalize(root).ok()? {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed = git(&[&["status", "--porcelain", "--"][..], &INPUTS].concat())?;
    let dirty = !changed.is_empty();
    if dirty {
        // Grows with every commit; a file that is not there would count as changed for ever.
        let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).map(|log| root.join(log));
        if let Some(log) = log.filter(|log| log.exists()) {
            println!("cargo::rerun-if-changed={}", log.display());
        }
    }
    Some((commit, dirty))
}

/// Commit and dirtiness that `cargo package` noted.
fn from_package(root: &Path) -> Option<(String, bool)> {
    let info = fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let commit = info.split_once("\"sha1\"")?.1.split('"').nth(1)?.to_owned();
    Some((commit, info.contains("\"dirty\": true")))
}

/// What a command printed, where it did and ended well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
