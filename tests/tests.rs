//! One integration test binary, because linking burn is slow.

mod asked;
mod chosen;
mod claims;
mod comfort;
mod common;
mod data;
mod export;
mod faults;
mod fit;
mod help;
mod house;
#[cfg(unix)]
mod import;
mod output;
#[cfg(unix)]
mod own;
mod plan;
#[cfg(unix)]
mod program;
mod question;
mod recipes;
mod rehearsed;
mod report;
mod reproduced;
#[cfg(unix)]
mod slurm;
mod spec;
#[cfg(unix)]
mod stopping;
mod sweep;
#[cfg(unix)]
mod told;
#[cfg(feature = "cpu")]
mod train;
#[cfg(unix)]
mod trainer;
mod trunks;
