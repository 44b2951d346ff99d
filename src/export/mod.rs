//! What other programs read: runs and curves as tables, event files, import scripts, and trained models.
//!
//! ```text
//! results folder, or RUNS.csv -> tables (typed columns) -> jsonl, parquet
//!                                -> runs (one value each) -> tensorboard, trackers (MLflow, W&B)
//! kept weights of a run                                 -> transformers
//! ```
//!
//! Every export is a function of its input alone: the same results give the same bytes.
//!
//! | module | owns |
//! |---|---|
//! | [`table`] | columns of text, whole numbers and numbers, from CSV |
//! | [`jsonl`], [`parquet`] | tables as files |
//! | [`runs`] | one run with settings, results and curve, out of the tables |
//! | [`tensorboard`] | event files, with hyper-parameters |
//! | [`trackers`] | runs with a script that hands them to MLflow or W&B |
//! | [`transformers`] | a model as `config.json` and safetensors |

mod error;
pub mod jsonl;
pub mod parquet;
pub mod runs;
pub mod table;
pub mod tensorboard;
pub mod trackers;
pub mod transformers;

pub use error::ExportError;
