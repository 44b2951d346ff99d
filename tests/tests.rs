//! One integration test binary, because linking burn is slow.

mod claims;
mod comfort;
mod common;
mod data;
mod export;
mod faults;
mod fit;
mod help;
mod house;
mod output;
mod plan;
#[cfg(unix)]
mod program;
mod question;
mod recipes;
mod report;
#[cfg(unix)]
mod slurm;
mod spec;
mod sweep;
#[cfg(feature = "cpu")]
mod train;
mod trunks;
