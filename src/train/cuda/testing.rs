//! A card and a small run, for tests. The card is emulated, or a real one if `RUNNER_TEST_CARD` has its number. Without a C++
//! compiler there is no emulated card, which is said.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::Cuda;
use super::opened::Opened;
use crate::data::Corpus;
use crate::plan::{PlannedRun, testing};
use crate::spec::{PowerRule, Spec};

/// Tokens of a sequence and sequences of a batch: no whole tile of any kernel.
const CONTEXT: usize = 35;
pub const SEQUENCES: usize = 2;

/// The shared object of the kernels, built once for all tests.
static OBJECT: LazyLock<Option<(tempfile::TempDir, PathBuf)>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let object = folder.path().join("emulated.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/train/cuda/kernels/emulator/emulated.cpp");
    // The last but one so that a kernel's name is not taken for a function of the C library.
    let flags = ["-std=c++20", "-O2", "-shared", "-fPIC", "-DON_CPU", "-Wl,-Bsymbolic", "-o"];
    let compiled = Command::new("c++").args(flags).arg(&object).arg(source).output();
    let Ok(compiled) = compiled else {
        tell!("skipped: no C++ compiler (c++)");
        return None;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some((folder, object))
});

/// Names a real card, by its number, that the tests of the engine run on.
const VARIABLE: &str = "RUNNER_TEST_CARD";

/// A card: a real one where one is named; nothing where an emulated one cannot be built.
pub fn card() -> Option<Cuda> {
    if let Ok(number) = std::env::var(VARIABLE) {
        return Some(super::open(number.parse().expect("the number of a card")).expect("a card"));
    }
    emulated()
}

/// An emulated card, for what depends on how little memory it has and on its lack of libraries; nothing where it cannot be
/// built, or where a real card is asked for.
pub fn emulated() -> Option<Cuda> {
    if std::env::var_os(VARIABLE).is_some() {
        tell!("skipped: not for a real card");
        return None;
    }
    let (_, object) = OBJECT.as_ref()?;
    Some(Cuda::on(Opened::Emulated(object.clone())).expect("an object"))
}

/// A run of a small model with odd sizes, and its corpus.
pub fn small(change: impl FnOnce(&mut Spec)) -> (PlannedRun, Corpus) {
    let planned = testing::small(|spec| {
        (spec.data.vocab, spec.model.context) = (Some(257), CONTEXT);
        (spec.model.width, spec.model.depth, spec.model.head_dim) = (Some(24), Some(2), 8);
        spec.optimizer.batch_tokens = PowerRule::constant((SEQUENCES * CONTEXT) as f64);
        (spec.schedule.flops, spec.schedule.tokens) = (None, Some((50 * SEQUENCES * CONTEXT) as f64));
        spec.schedule.warmup_max_fraction = 0.05;
        spec.eval.tokens = 20 * CONTEXT as u64;
        change(spec);
    });
    let cache = tempfile::tempdir().expect("a folder");
    let corpus = Corpus::prepare(&planned.run.data, CONTEXT, cache.path(), &mut |_| {}).expect("a language");
    (planned, corpus)
}
