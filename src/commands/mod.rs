//! One file a command: load, call one stage, print. The only place that prints, and the only one that uses anyhow.

pub mod data;
pub mod device;
pub mod devices;
pub mod fit;
pub mod plan;
pub mod planning;
mod results;
pub mod sweep;
pub mod throughput;
pub mod train;
pub mod worker;
