//! Which card an engine works on, for whoever opens it once more.

use std::path::PathBuf;

use super::gpu::Gpu;
use super::{driver, emulator};
use crate::trainer::TrainError;

/// A card by its number, or the shared object of an emulated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// One of the driver's.
    Card(usize),
    /// One that is not there. For tests.
    Emulated(PathBuf),
}

impl Opened {
    /// The card of a number, or the emulated one where the environment names one.
    pub fn named(index: usize) -> Self {
        emulator::named().map_or(Self::Card(index), Self::Emulated)
    }

    /// A stream of it.
    pub fn gpu(&self) -> Result<Box<dyn Gpu>, TrainError> {
        match self {
            Self::Card(index) => Ok(Box::new(driver::Driver::open(*index)?)),
            Self::Emulated(object) => Ok(Box::new(emulator::Emulator::open(object)?)),
        }
    }
}
