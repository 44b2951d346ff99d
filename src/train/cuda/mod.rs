//! The engine of NVIDIA cards, and the only place that knows cudarc: all state on the card, one graph a step.
//!
//! From the bottom: `gpu` is what a card can do, answered by `driver` (a real one) and `emulator` (the same kernels on the
//! CPU, for tests); `kernels` holds their text; `layout` says where things lie; `layers` are what models are made of on the
//! card, each with its launches, and `trace` makes them of a model's parts; `loss` and `optimizer` are the rest of a step;
//! `step` is one training step; `program` is a run on the card, whose `seat` is memory of its own or a place among others
//! (`together`); `session`, `probe` and `bench` train it.

mod bench;
mod driver;
mod emulator;
mod faults;
mod gpu;
mod held;
mod kernels;
mod launch;
mod layers;
mod layout;
mod lead;
mod loss;
mod muon;
mod opened;
mod optimizer;
mod pass;
mod probe;
mod product;
mod program;
mod refusal;
mod seat;
mod session;
mod state;
mod step;
#[cfg(test)]
pub mod testing;
#[cfg(all(test, feature = "cpu"))]
mod tests;
mod together;
mod trace;
mod update;
mod watch;

use self::gpu::{Card, Gpu};
use self::opened::Opened;
use self::refusal::check;
use self::seat::Alone;
use self::session::Session;
use super::engine::{self, Bench, Engine};
use super::site::{Batches, Seen};
use crate::data::Corpus;
use crate::parameterization::Rules;
use crate::plan::Run;
use crate::spec::Precision;
use crate::trainer::{DeviceInfo, Missing, TrainError};

/// The engine on one card.
pub struct Cuda {
    card: Opened,
    gpu: Box<dyn Gpu>,
}

/// Opens a card by its number.
pub fn open(index: usize) -> Result<Cuda, TrainError> {
    Cuda::on(Opened::named(index))
}

impl Cuda {
    /// The engine on a card.
    fn on(card: Opened) -> Result<Self, TrainError> {
        Ok(Self { gpu: card.gpu()?, card })
    }
}

/// The cards that there are, or why there is none.
pub fn description() -> Result<String, Missing> {
    if let Some(path) = emulator::named() {
        return Ok(format!("an emulated card ({})", path.display()));
    }
    let cards = driver::cards()?;
    let named = |(index, card): (usize, &Card)| match cards.len() {
        1 => driver::told(card),
        _ => format!("cuda:{index} {}", driver::told(card)),
    };
    let names: Vec<String> = cards.iter().enumerate().map(named).collect();
    let driver = cards.iter().map(|card| card.driver.as_str()).find(|driver| !driver.is_empty()).unwrap_or_default();
    Ok(format!("{} (driver {driver})", names.join(", ")))
}

/// The names of the driver's cards, by number; none where there are none that can be used.
pub fn names() -> Vec<String> {
    let cards = if emulator::named().is_some() { Vec::new() } else { driver::cards().unwrap_or_default() };
    cards.into_iter().map(|card| card.name).collect()
}

/// Bytes that a run takes of a card; nothing where there are no kernels for it.
pub fn bytes(run: &Run) -> Option<usize> {
    check(run).and_then(|()| held::bytes(run)).ok()
}

impl Engine for Cuda {
    fn info(&self) -> DeviceInfo {
        let Card { name, driver, .. } = self.gpu.card();
        DeviceInfo {
            kind: "cuda".to_owned(),
            name: name.clone(),
            // Who does products decides the bits of a result.
            driver: self.gpu.library().map_or_else(|| driver.clone(), |library| format!("{driver}, {library}")),
            threads: 1,
            precision: Precision::default().name().to_owned(),
        }
    }

    fn preparing(&self) -> &'static str {
        "loading kernels"
    }

    fn free_memory(&self) -> Result<Option<usize>, TrainError> {
        Ok(Some(self.gpu.memory()?.free))
    }

    fn begin<'a>(
        &'a self,
        run: &'a Run,
        corpus: &'a Corpus,
        micro_batches: usize,
    ) -> Result<Box<dyn engine::Session + 'a>, TrainError> {
        check(run)?;
        let seat = Alone::new(self.gpu.as_ref(), run, micro_batches)?;
        Ok(Box::new(Session::new(run, corpus, seat)))
    }

    fn begin_among<'a>(
        &'a self,
        run: &'a Run,
        corpus: &'a Corpus,
        (micro_batches, alike): (usize, usize),
    ) -> Result<Box<dyn engine::Session + 'a>, TrainError> {
        check(run)?;
        match together::join(&self.card, run, micro_batches, alike)? {
            Some(seat) => Ok(Box::new(Session::new(run, corpus, seat))),
            None => self.begin(run, corpus, micro_batches),
        }
    }

    fn measure<'a>(
        &'a self,
        run: &'a Run,
        corpus: &'a Corpus,
        alike: usize,
    ) -> Result<Box<dyn Bench + 'a>, TrainError> {
        check(run)?;
        let gpu = self.gpu.as_ref();
        if let Some(seat) = together::join(&self.card, run, 1, alike)? {
            let among = Session::new(run, corpus, seat);
            return Ok(Box::new(bench::Stepper::new(gpu, among, run.precision)));
        }
        let alone = Session::new(run, corpus, Alone::new(gpu, run, 1)?);
        Ok(Box::new(bench::Stepper::new(gpu, alone, run.precision)))
    }

    fn probe(&self, run: &Run, rules: &dyn Rules, batches: Batches<'_>, steps: usize) -> Result<Vec<Seen>, TrainError> {
        refusal::check_whole(run)?;
        probe::probe(self.gpu.as_ref(), (run, rules), batches, steps)
    }
}
