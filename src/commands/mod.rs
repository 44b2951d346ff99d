//! One file a command: load, call one stage, print. The only place that writes to stdout, and the only one
//! that uses anyhow.

pub mod allocate;
pub mod data;
pub mod device;
pub mod devices;
pub mod fit;
mod fit_law;
mod fit_table;
mod law_table;
pub mod plan;
pub mod planning;
pub mod predict;
mod results;
mod surface;
pub mod sweep;
pub mod throughput;
pub mod train;
pub mod worker;

/// Said where stdout cannot be written.
const STDOUT: &str = "cannot write to stdout";
