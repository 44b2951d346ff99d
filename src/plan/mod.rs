//! From a spec to the grid of runs: shapes, counts, FLOPs, steps, identity. Pure: no files, no training.

mod flops;
mod params;
mod run;

pub use flops::FlopsPerToken;
pub use params::ParamCounts;
pub use run::{CorpusFacts, LeftOut, Plan, PlannedRun, Run, RunId, RunOptimizer, RunSchedule, Shape};
