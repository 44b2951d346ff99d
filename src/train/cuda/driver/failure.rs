//! Errors of the driver.

use cudarc::driver::DriverError;

use crate::train::cuda::faults;
use crate::trainer::TrainError;

/// Error of the driver while doing `what`.
pub fn failed(what: &str) -> impl Fn(DriverError) -> TrainError + '_ {
    move |error| faults::failed(what, error.0 as u32)
}
