//! Files that a new spec names and that are not there yet: what they are, and how to make them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::data;
use crate::shell;
use crate::spec::{Source, Spec};

/// What is said of them, a line each; `text` is the one that was asked for.
pub fn told(spec: &Spec, text: Option<&Path>) -> Vec<String> {
    own_text(spec, text).into_iter().chain(scores(spec, text)).collect()
}

/// The text of this repository's specs, which a script makes.
const OURS: &str = "corpora/rfc.txt";

fn own_text(spec: &Spec, text: Option<&Path>) -> Option<String> {
    let path = spec.data.path.as_ref().filter(|_| spec.data.source != Source::Synthetic)?;
    if path.exists() || is_pattern(path) && data::files_of(path, spec.data.source).is_ok() {
        return None;
    }
    let shown = path.display();
    Some(if path == Path::new(OURS) {
        format!(
            "its text {shown} does not exist yet; `--text PATH` uses another, and scripts/corpus-rfc.sh of the repository \
             writes {OURS}"
        )
    } else if text.is_some() {
        format!(
            "its text {shown} does not exist yet, so nothing was sized to it: correct the path, or write this spec again when it \
             is there"
        )
    } else {
        format!("its text {shown} does not exist yet; `--text PATH` uses another")
    })
}

/// Whether a path stands for several files.
fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?'])
}

/// Scores of documents, each file with the split that it belongs to.
fn scores(spec: &Spec, text: Option<&Path>) -> Option<String> {
    let points = spec.points().unwrap_or_default();
    let pruned = points.iter().map(|point| &point.spec.data).filter(|data| data.keep.is_some_and(|keep| keep < 1.0));
    let files = pruned.filter_map(|data| Some((data.keep_file.as_ref().filter(|file| !file.exists())?, data.seed)));
    let files: BTreeMap<_, u64> = files.collect();
    let names: Vec<String> = files.keys().map(|file| file.display().to_string()).collect();
    if names.is_empty() {
        return None;
    }
    let mut said = format!(
        "the scores of its documents do not exist yet: {}. They are losses under a small model that was trained on the same \
         text, vocabulary and split. ",
        names.join(", ")
    );
    let Some(text) = text else { return Some(said + "scripts/corpus-scores.sh of the repository writes them") };
    let data = &spec.data;
    let fraction = data.validation_fraction.unwrap_or_default();
    let _ = write!(
        said,
        "To make them:\n  runner init run --text {} --out scorer.toml --set data.vocab={} --set \
         data.validation_fraction={fraction}",
        shell::quoted(&text.display().to_string()),
        data.vocab.unwrap_or_default()
    );
    for (file, seed) in files {
        let _ = write!(
            said,
            "\n  runner train scorer.toml --keep-models --set data.seed={seed} --out scorer-{seed} && runner data score \
             scorer-{seed} --out {}",
            file.display()
        );
    }
    Some(said)
}
