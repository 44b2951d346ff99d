//! One file a command: load, call one stage, print. The only place that prints, and the only one that uses anyhow.

pub mod allocate;
pub mod data;
pub mod devices;
pub mod fit;
mod fit_table;
pub mod plan;
pub mod predict;
mod surface;
pub mod sweep;
pub mod train;
pub mod worker;
