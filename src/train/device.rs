//! Devices: which of cpu, wgpu and cuda there are, and which engine serves which.
//!
//! There is no silent fall-back, and every result records which one it was.

use super::burn;
use super::engine::Engine;
use crate::trainer::{Listed, TrainError};

/// The kinds of device, in the order in which `auto` of the command line tries them.
pub const KINDS: [&str; 3] = ["cuda", "wgpu", "cpu"];

/// Opens a device by its name, such as `cuda:1`. On the CPU, `threads` holds for the whole process.
pub fn open(name: &str, threads: usize) -> Result<Box<dyn Engine>, TrainError> {
    let (kind, index) = resolve(name)?;
    if let Some(missing) = burn::missing(kind) {
        return Err(TrainError::Configuration(format!("--device {name}: {missing}")));
    }
    Ok(Box::new(burn::open(kind, index, threads)))
}

/// What a kind of device is on this machine, or why it cannot be used.
pub fn listed(kind: &'static str) -> Listed {
    let state = match burn::missing(kind) {
        Some(missing) => Err(missing),
        None => Ok(burn::description(kind)),
    };
    Listed { name: kind, state }
}

/// Splits `cuda:1` into kind and index.
fn resolve(name: &str) -> Result<(&'static str, Option<usize>), TrainError> {
    let (kind, index) = name.split_once(':').map_or((name, None), |(kind, index)| (kind, Some(index)));
    let unknown = || {
        TrainError::Configuration(format!(
            "--device {name}: no such device here; write cpu, wgpu, cuda, or with an index cuda:1 (`runner devices` tells \
             which are there)"
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
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_is_not_compiled_in_names_the_feature_that_brings_it() {
        let error = open("cuda", 1).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
