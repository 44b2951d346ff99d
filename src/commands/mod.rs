//! One file or folder a command: load, call one stage, print. The only place that writes to stdout, and the only one that
//! uses anyhow. What several of them do is in `shared/`, which
//! knows none of them; `results/` is what follows from the runs of a sweep.

pub mod allocate;
#[cfg(feature = "train")]
pub mod bench;
pub mod cancel;
pub mod choose;
pub mod compare;
pub mod completions;
pub mod coord_check;
pub mod data;
pub mod devices;
pub mod explain;
pub mod export;
pub mod fit;
pub mod import;
pub mod init;
pub mod ledger;
pub mod ls;
pub mod merge;
pub mod plan;
pub mod predict;
mod results;
pub mod schema;
mod shared;
pub mod show;
pub mod slurm_task;
pub mod status;
pub mod stop_early;
pub mod sweep;
pub mod train;
pub mod watch;
pub mod worker;

/// A number of seconds from the command line.
fn seconds(flag: &str, value: f64) -> anyhow::Result<std::time::Duration> {
    std::time::Duration::try_from_secs_f64(value)
        .map_err(|_| anyhow::anyhow!("--{flag} {value} is not a number of seconds; give 0 or more"))
}

/// A number from the command line that must be above zero.
fn positive(flag: &str, value: f64) -> anyhow::Result<f64> {
    anyhow::ensure!(value.is_finite() && value > 0.0, "--{flag} {value}: write a number above zero");
    Ok(value)
}
