//! Runs that were trained elsewhere as a sweep's folder.
//!
//! ```text
//! a folder of logs, MLflow's, TensorBoard's or W&B's -> what each run tells (`tracked`) -> a table (`gather`)
//! a table of runs                                    -> a sweep (`runs`)
//! ```
//!
//! A format is a file here: `log` (JSON Lines, CSV), `mlflow`, `tensorboard`, `trainer` (Hugging Face), `wandb`. `course` goes
//! through the steps of one run.

mod course;
mod gather;
mod log;
mod mlflow;
mod runs;
mod tensorboard;
mod tracked;
mod trainer;
mod wandb;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use gather::{Asked, Gathered, gather};
pub use runs::{Imported, Sweep, sweep};

/// Why runs cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A folder holds no runs.
    #[error(
        "{} holds no runs: give a folder with one log a run (*.jsonl, or *.csv with columns such as step and loss, each in the \
         folder or in one of its own), an mlruns folder of MLflow, a wandb folder of W&B, a folder of TensorBoard's event files, \
         one of Hugging Face's trainer_state.json, or a table of runs (CSV, JSON Lines, Parquet)",
        .0.display()
    )]
    NoRuns(PathBuf),
    /// A file has no line that tells anything.
    #[error(
        "{}: none of its {lines} lines tells anything; a log has lines such as {{\"step\": 100, \"loss\": 3.2}}, or is a CSV with \
         columns such as step and loss",
        path.display()
    )]
    NothingTold {
        /// The file.
        path: PathBuf,
        /// How many lines it has.
        lines: usize,
    },
    /// Two runs have one name.
    #[error("two runs are called {0:?}: give each a name of its own in a column `name`")]
    Twice(String),
    /// A count that no run has.
    #[error("row {row}: the run {name:?} has {what}; --columns gives a column its unit, as in tokens=tokens[M]")]
    Impossible {
        /// The row of its table.
        row: u64,
        /// The run.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// The spec of the folder cannot be made.
    #[error("the runs make no spec: {0}")]
    Spec(String),
}
