//! Devices: which of cpu, wgpu and cuda there are, and which engine serves which.
//!
//! There is no silent fall-back, and every result records which one it was.

#[cfg(feature = "burn")]
use super::burn;
#[cfg(feature = "cuda")]
use super::cuda;
use super::engine::Engine;
use crate::plan::Run;
use crate::spec::Precision;
use crate::trainer::{Listed, Missing, TrainError};

/// The kinds of device, in the order in which `auto` of the command line tries them. The last is for comparison: burn on
/// the cards that `cuda` serves with an engine of its own.
const KINDS: [&str; 4] = ["cuda", "wgpu", "cpu", BURN_CUDA];

const BURN_CUDA: &str = "burn-cuda";

/// Opens a device by its name, such as `cuda:1`. On the CPU, `threads` holds for the whole process.
pub fn open(name: &str, threads: usize) -> Result<Box<dyn Engine>, TrainError> {
    let (kind, index) = resolve(name)?;
    if let Err(missing) = state(kind) {
        return Err(TrainError::Configuration(format!("--device {name}: {missing}")));
    }
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Box::new(cuda::open(index.unwrap_or(0))?)),
        #[cfg(feature = "burn")]
        _ => Ok(Box::new(burn::open(kind, index, threads))),
        #[cfg(not(feature = "burn"))]
        _ => unreachable!("{kind} {index:?} with {threads} threads was not checked"),
    }
}

/// Whether factors of products can have this precision on a kind of device of this machine.
pub fn computes_in(kind: &str, precision: Precision) -> bool {
    match kind {
        "cuda" => true,
        #[cfg(feature = "cpu")]
        "cpu" => burn::cpu_computes_in(precision),
        _ => precision == Precision::F32,
    }
}

/// Bytes of a device's own memory that a run takes, where its engine can tell without the device.
pub fn bytes(kind: &str, run: &Run) -> Option<usize> {
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => cuda::bytes(run),
        _ => None,
    }
}

/// Every kind of device, in the order of preference. What is only there for comparison is told where it is compiled in.
pub fn devices() -> Vec<Listed> {
    let listed = |kind| Listed { name: kind, state: state(kind), software: is_software(kind) };
    KINDS.into_iter().filter(|kind| *kind != BURN_CUDA || cfg!(feature = "burn-cuda")).map(listed).collect()
}

/// Whether a kind of device would be emulated on the CPU here.
#[cfg(feature = "wgpu")]
fn is_software(kind: &str) -> bool {
    kind == "wgpu" && super::adapters::only_software()
}

/// Without wgpu nothing is.
#[cfg(not(feature = "wgpu"))]
fn is_software(_: &str) -> bool {
    false
}

/// What a kind of device is on this machine, or why it cannot be used.
fn state(kind: &'static str) -> Result<String, Missing> {
    let compiled_in = match kind {
        "cpu" => cfg!(feature = "cpu"),
        "wgpu" => cfg!(feature = "wgpu"),
        "cuda" => cfg!(feature = "cuda"),
        _ => cfg!(feature = "burn-cuda"),
    };
    if !compiled_in {
        return Err(Missing::NotCompiled { feature: kind });
    }
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => cuda::description(),
        #[cfg(feature = "burn")]
        _ => burn::missing(kind).map_or_else(|| Ok(burn::description(kind)), Err),
        #[cfg(not(feature = "burn"))]
        _ => Err(Missing::NotCompiled { feature: kind }),
    }
}

/// Splits `cuda:1` into kind and index.
fn resolve(name: &str) -> Result<(&'static str, Option<usize>), TrainError> {
    let (kind, index) = name.split_once(':').map_or((name, None), |(kind, index)| (kind, Some(index)));
    let unknown = || {
        TrainError::Configuration(format!(
            "--device {name}: no such device here; write cpu, wgpu, cuda, or with an index cuda:1 (`runner devices` \
             shows which are there)"
        ))
    };
    let index = index.map(|text| text.parse().map_err(|_| unknown())).transpose()?;
    let kind = KINDS.into_iter().find(|known| *known == kind).ok_or_else(unknown)?;
    Ok((kind, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_is_an_error_that_names_the_known_ones() {
        for name in ["tpu", "cuda:x", "cpu:", ""] {
            let error = resolve(name).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains("write cpu, wgpu, cuda"), "{name}: {error}");
        }
    }

    #[test]
    #[cfg(not(feature = "burn-cuda"))]
    fn a_device_that_is_not_compiled_in_names_the_feature_that_brings_it() {
        let error = open("burn-cuda", 1).err().map(|e| e.to_string()).unwrap_or_default();
        // With the default features it would not compile.
        assert!(error.contains("cargo build --release --no-default-features --features cpu,burn-cuda"), "{error}");
    }
}
