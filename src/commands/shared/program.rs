//! A spec whose runs are trained by somebody else's program: where it trains, and what decides what it does.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;

use super::device;
use crate::execute::rehearsal;
use crate::plan::PlannedRun;
use crate::spec::Spec;
use crate::trainer::{DeviceInfo, Trainer};

/// Whether runs on this device are the program's: a rehearsal trains nothing, by whatever program.
pub fn trains(spec: &Spec, device: &str) -> bool {
    !spec.train.command.is_empty() && device != rehearsal::DEVICE
}

/// The hash of the files that decide what the program of a spec does; nothing where there is no program.
pub fn inputs(spec: &Spec) -> anyhow::Result<Option<String>> {
    if spec.train.command.is_empty() {
        return Ok(None);
    }
    let mut hash = blake3::Hasher::new();
    for path in &spec.train.inputs {
        let cannot =
            || format!("train.inputs: cannot read {}; name files, relative to the current directory", path.display());
        let mut content = blake3::Hasher::new();
        let file = File::open(path).with_context(cannot)?;
        content.update_reader(file).with_context(cannot)?;
        // Each by its own hash, so that a file cannot pass a part of itself to the next.
        hash.update(content.finalize().as_bytes());
    }
    Ok(Some(hash.finalize().to_hex()[..16].to_owned()))
}

/// Where a program is told to train, where nobody says it: on NVIDIA's cards if there are any.
pub fn device(asked: &str, cards: usize) -> String {
    match asked {
        "auto" if cards > 0 => "cuda".to_owned(),
        "auto" => "cpu".to_owned(),
        other => other.to_owned(),
    }
}

/// What results will say of where the runs of a spec were trained.
#[cfg(unix)]
pub fn info(spec: &Spec, device: &str, threads: usize) -> DeviceInfo {
    crate::execute::program::device_info(&spec.train.command, device, threads)
}

/// Programs are started on Unix only.
#[cfg(not(unix))]
pub fn info(spec: &Spec, device: &str, threads: usize) -> DeviceInfo {
    let name = spec.train.command.join(" ");
    DeviceInfo { kind: "program".to_owned(), name, driver: device.to_owned(), threads, precision: String::new() }
}

/// The trainer of the runs of a folder: their program, or the device itself.
pub fn trainer(
    runs: &[PlannedRun],
    dir: &Path,
    (device, cache, threads): (&str, &Path, usize),
) -> anyhow::Result<Box<dyn Trainer>> {
    let program = runs.first().and_then(|planned| planned.run.program.as_ref());
    match program.filter(|_| device != rehearsal::DEVICE) {
        #[cfg(unix)]
        Some(program) => {
            Ok(Box::new(crate::execute::program::ProgramTrainer::new(dir, &program.command, device, threads)))
        }
        #[cfg(not(unix))]
        Some(_) => anyhow::bail!("train.command: programs are started on Unix only, not for {}", dir.display()),
        None => device::trainer(device, cache, threads),
    }
}
