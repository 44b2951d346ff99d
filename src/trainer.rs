//! The seam between orchestration and training. Behind it stand the engines of `train` (burn on the CPU and on wgpu, our own on
//! CUDA), somebody else's program, and the rehearsal, whose losses come from a known surface.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::is_default;
use crate::plan::PlannedRun;

/// Trains one run at a time on one device.
pub trait Trainer {
    /// The device and what runs on it; recorded with every result.
    fn device(&self) -> DeviceInfo;

    /// Trains a run to its end, from its newest checkpoint where it has one; the points of the curve before that are told
    /// again, so that every attempt tells the whole curve. `on_progress` is called a few times a second and at every
    /// point of the curve; where it answers `Break`, the state is checkpointed and the run ends as
    /// [`TrainError::Interrupted`].
    fn train(&mut self, job: Job<'_>, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError>;

    /// What goes on before the first step of a run, for people who wait for it.
    fn preparing(&self) -> &'static str {
        "getting ready"
    }

    /// Whether the process may end, without a word to the trainer, while its run is before the first step.
    fn may_be_left(&self) -> bool {
        true
    }
}

/// Hears of progress and says whether to go on.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// One attempt at a run.
pub struct Job<'a> {
    /// The run.
    pub run: &'a PlannedRun,
    /// Parts into which each batch is cut, whose gradients are summed: more of them need less memory. The same
    /// mathematics, not the same bits.
    pub micro_batches: usize,
    /// Runs that may be trained side by side in this process, this one among them, and whose steps are the same work
    /// ([`crate::plan::Run::steps_as`]).
    pub alike: usize,
    /// Where the state is kept.
    pub checkpoints: &'a mut dyn Checkpoints,
    /// Least time between two checkpoints. The cost of writing may make it longer.
    pub checkpoint_every: Duration,
}

/// The checkpoints of one run. What is in them only the trainer knows.
pub trait Checkpoints {
    /// Opens the checkpoints, newest first, until `read` accepts one; tells whether one was. Whoever implements this
    /// tells people which ones were not, and why.
    fn load(&mut self, read: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool;

    /// Keeps what `write` writes, durably, and the checkpoint before it; nothing of it where it fails, which people are
    /// told by whoever implements this.
    fn save(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()>;

    /// Opens what other runs left at the ends of a stable phase that this run shares with them, longest first, until `read`
    /// accepts one, as `load` does.
    fn load_trunk(&mut self, read: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool;

    /// Keeps the state at the end of this run's stable phase for those that go on from there, if there are any.
    fn save_trunk(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()>;

    /// Keeps the weights of a finished run that `write` writes, where models are kept at all. As above people are told of
    /// a failure.
    fn keep_model(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()>;
}

/// No checkpoints: for measurements and tests.
impl Checkpoints for () {
    fn load(&mut self, _: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool {
        false
    }

    fn save(&mut self, _: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }

    fn load_trunk(&mut self, _: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool {
        false
    }

    fn save_trunk(&mut self, _: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }

    fn keep_model(&mut self, _: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }
}

/// Where a result was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, `wgpu`, `cuda`, or `rehearsal` for losses that no training produced.
    pub kind: String,
    /// Model of the processor or adapter.
    pub name: String,
    /// Version of the driver or of the instruction set used.
    pub driver: String,
    /// Threads that one run uses.
    pub threads: usize,
    /// Number format of weights and products.
    pub precision: String,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, driver, threads: _, precision } = self;
        write!(f, "{kind}: {name} ({driver}, {precision})")
    }
}

/// A kind of device, and what is known of it before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, or why it cannot be used.
    pub state: Result<String, Missing>,
    /// Whether it computes on the CPU what it is named for: nobody but a person chooses it.
    pub software: bool,
}

/// Why a kind of device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// This build has no code for it.
    #[error("not compiled in; build with: cargo build --release {}", flags(feature))]
    NotCompiled {
        /// What brings it.
        feature: &'static str,
    },
    /// This machine does not have it, or not what drives it.
    #[error("{what}; {remedy}")]
    Absent {
        /// What is not there.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// What cargo is told to bring a feature. The bindings of CUDA that burn and our engine want cannot be in one program.
fn flags(feature: &str) -> String {
    match feature {
        "burn-cuda" => "--no-default-features --features cpu,burn-cuda".to_owned(),
        feature => format!("--features {feature}"),
    }
}

/// What a run tells while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Mean training loss over the interval that the last point of the curve closed, in nats per token; NaN before.
    pub train_loss: f64,
    /// Learning rate of the last step, where it is told.
    pub learning_rate: Option<f64>,
    /// Training tokens per second so far; NaN of a point that an earlier attempt has told.
    pub tokens_per_second: f64,
    /// Wall-clock seconds of the run so far, those of earlier attempts included.
    pub seconds: f64,
    /// Whether this is a point of the recorded curve.
    pub curve_point: bool,
    /// Whether an earlier attempt has told it: nothing was trained for it now.
    pub again: bool,
}

/// How a run ended. Divergence is a result, not an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// Trained to the end.
    Finished {
        /// Loss on the validation tokens, in nats per token.
        val_loss: f64,
        /// Its standard error over the sequences of the fixed set: what another draw of sequences from the same held-out
        /// documents would change. All runs see the same tokens, so differences between runs are known better.
        val_loss_se: f64,
        /// Mean training loss over the last point of the curve; none where no curve is known.
        train_loss: Option<f64>,
        /// Training tokens per second, evaluation not counted.
        tokens_per_second: f64,
        /// Wall-clock seconds of the whole run.
        seconds: f64,
        /// What else was measured of the trained model.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evaluations: Vec<Measured>,
        /// Steps that another run had trained, with which it shares its stable phase.
        #[serde(default, skip_serializing_if = "is_default")]
        shared_steps: usize,
        /// What else a program of somebody else's told of the run: columns of tables, which nothing else reads.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        told: BTreeMap<String, Told>,
    },
    /// The loss left the numbers, or rose far above where it began.
    Diverged {
        /// Step at which it was noticed.
        step: usize,
        /// The loss there; nothing where it was not a number.
        train_loss: Option<f64>,
        /// Wall-clock seconds until then.
        seconds: f64,
    },
}

/// A value that a program told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Told {
    /// A number.
    Number(f64),
    /// Anything else, as text.
    Text(String),
}

impl Told {
    /// A cell of a table.
    pub fn of(cell: &str) -> Self {
        let number = cell.parse().ok().filter(|number: &f64| number.is_finite());
        number.map_or_else(|| Self::Text(cell.to_owned()), Self::Number)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Something measured of a trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// What, as a column of tables is called: `copy.8.exact_match`, `val_loss_rfc`.
    pub name: String,
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// What a model that knows nothing would reach, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
}

/// Why a run has no outcome.
#[derive(Clone, Debug, Error)]
pub enum TrainError {
    /// The run asks for what this device or corpus cannot give.
    #[error("{0}")]
    Configuration(String),
    /// There was not enough memory, on the device or beside it.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// Somebody else's program did not train the run.
    #[error("{0}")]
    Program(String),
    /// It was asked to stop. The next attempt goes on from the newest checkpoint that could be written.
    #[error("interrupted after step {step}")]
    Interrupted {
        /// Steps done.
        step: usize,
    },
}
