//! The trainer of a device by its name on the command line. Here because `execute` knows no devices.

use std::path::Path;

use crate::execute::rehearsal::{self, Rehearsal};
use crate::trainer::{DeviceInfo, Trainer};

/// Opens a device: `rehearsal`, or one that this build can train on.
pub fn trainer(device: &str, cache: &Path, threads: usize) -> anyhow::Result<Box<dyn Trainer>> {
    if threads == 0 {
        anyhow::bail!("--threads 0 computes nothing; give 1 or more");
    }
    if device == rehearsal::DEVICE {
        return Ok(Box::new(Rehearsal));
    }
    real(device, cache, threads)
}

#[cfg(feature = "train")]
fn real(device: &str, cache: &Path, threads: usize) -> anyhow::Result<Box<dyn Trainer>> {
    Ok(crate::train::open(device, cache, threads)?)
}

#[cfg(not(feature = "train"))]
fn real(device: &str, _cache: &Path, _threads: usize) -> anyhow::Result<Box<dyn Trainer>> {
    anyhow::bail!(
        "device {device}: this build cannot train; build it with `cargo build --release --features cpu` (or wgpu, or \
         cuda), or rehearse the sweep with --device rehearsal"
    )
}

/// Every device with what it is, or the reason why it cannot be used.
pub fn list() -> Vec<(String, String)> {
    let rehearsal = "no training: losses of a known surface, to try out a sweep before paying for it";
    let mut devices = real_devices();
    devices.push((rehearsal::DEVICE.to_owned(), rehearsal.to_owned()));
    devices
}

#[cfg(feature = "train")]
fn real_devices() -> Vec<(String, String)> {
    crate::train::devices()
}

#[cfg(not(feature = "train"))]
fn real_devices() -> Vec<(String, String)> {
    ["cpu", "wgpu", "cuda"]
        .map(|name| (name.to_owned(), format!("not in this build; build it with --features {name}")))
        .to_vec()
}

/// Runs trained side by side: as asked for, or as many as the cores hold on the CPU, otherwise 1.
pub fn slots(asked: Option<usize>, device: &DeviceInfo, threads: usize) -> anyhow::Result<usize> {
    match asked {
        Some(0) => anyhow::bail!("--slots 0 trains nothing; give 1 or more"),
        Some(slots) => Ok(slots),
        None if device.kind == "cpu" || device.kind == rehearsal::DEVICE => Ok((cores() / threads).max(1)),
        None => Ok(1),
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
