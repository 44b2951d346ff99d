//! What tests of the whole program share: outputs and their codes, patience, a tiny model.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

/// One run of a tiny model, trained in about half a second; a `[sweep]` may follow.
pub const TINY: &str = r#"name = "tiny"
[data]
source = "synthetic"
vocab = 256
max_epochs = 1.0
seed = 3
[model]
parameterization = "standard"
context = 32
head_dim = 8
width = 32
depth = 2
base_width = 32
base_depth = 2
base_head_dim = 8
[optimizer]
kind = "adamw"
learning_rate = 0.01
batch_tokens = 2560
beta1 = 0.9
beta2 = 0.99
epsilon = 1e-8
weight_decay = 0.1
clip_norm = 1.0
[schedule]
kind = "cosine"
floor = 0.1
warmup_tokens_per_param = 1.0
warmup_max_fraction = 0.2
flops = 3e10
[eval]
tokens = 8192
curve_points = 10
"#;

/// What a program wrote, which must be text.
#[track_caller]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The exit code; where it is another, all that was said.
#[track_caller]
pub fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// These words on standard error.
#[track_caller]
pub fn assert_said(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

/// A refusal: exit code 2 and these words on standard error.
#[track_caller]
pub fn assert_refused(output: &Output, words: &[&str]) {
    assert_code(output, 2);
    assert_said(output, words);
}

/// Waits for what must come. It gives up after minutes, which a machine under load may well need.
pub fn wait_for(what: &str, mut come: impl FnMut() -> bool) {
    let started = Instant::now();
    while !come() {
        assert!(started.elapsed() < Duration::from_mins(5), "waited five minutes for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every spec and config of the repository.
pub fn specs() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    for folder in ["sweeps", "configs"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    assert!(found.len() >= 10, "{found:?}");
    found
}
