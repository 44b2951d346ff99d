//! The benchmark of burn: a step with a wait after each phase.

mod products;

use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::batch::upload;
use super::optimizer;
use super::session::Session;
use crate::data::Corpus;
use crate::plan::Run;
use crate::train::burn::wait::wait;
use crate::train::engine;
use crate::train::engine::Bench;
use crate::train::schedule::share_of_peak;
use crate::train::timing::Phases;
use crate::trainer::TrainError;

/// A run under way, its phases apart.
pub struct Stepper<'a> {
    run: &'a Run,
    corpus: &'a Corpus,
    device: &'a Device,
    session: Session<'a>,
    tokens: Vec<u16>,
    kind: Kind,
}

/// What kind of device is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The CPU itself.
    Cpu,
    /// A GPU in software.
    Software,
    /// A GPU.
    Gpu,
}

impl Kind {
    /// Rows of matrices whose product shows what the device can do at best: a GPU needs large ones to be busy.
    fn rows(self) -> usize {
        match self {
            Self::Cpu => 768,
            Self::Software => 256,
            Self::Gpu => 4096,
        }
    }

    /// Numbers of an array whose copying shows the speed of the memory: more than any cache holds.
    fn numbers(self) -> Option<usize> {
        match self {
            Self::Cpu => None,
            Self::Software => Some(1 << 22),
            Self::Gpu => Some(1 << 25),
        }
    }
}

impl<'a> Stepper<'a> {
    /// A run of which nothing is done.
    pub fn new(run: &'a Run, corpus: &'a Corpus, device: &'a Device, kind: Kind) -> Self {
        Self { run, corpus, device, session: Session::new(run, corpus, device, 1), tokens: Vec::new(), kind }
    }

    /// One step, its phases apart. On a GPU the wait after each costs a little: what is measured is a lower bound of what
    /// training reaches, which never waits.
    fn step(&mut self, step: usize) -> Phases {
        let Self { run, corpus, device, session, tokens, kind: _ } = self;
        let mut clock = Instant::now();
        let mut lap = || {
            wait(device);
            std::mem::replace(&mut clock, Instant::now()).elapsed().as_secs_f64()
        };
        corpus.train_batch(run.seed, run.optimizer.batch_sequences, step, tokens);
        let (ids, targets) = upload(tokens, run.shape.context, device);
        let data = lap();
        let loss = session.model.mean_loss(ids, targets);
        let forward = lap();
        let gradients = optimizer::gradients(&mut session.model, loss.backward());
        let backward = lap();
        session.optimizer.step(&mut session.model, gradients, share_of_peak(&run.schedule, step));
        Phases { data, forward, backward, optimizer: lap() }
    }
}

impl Bench for Stepper<'_> {
    fn train(&mut self, about: Duration, steps: &mut dyn Iterator<Item = usize>) -> Result<Phases, TrainError> {
        let begun = Instant::now();
        let mut sum = Phases::default();
        let mut done = 0.0;
        while begun.elapsed() < about {
            let Phases { data, forward, backward, optimizer } = self.step(steps.next().expect("they go round"));
            sum.data += data;
            sum.forward += forward;
            sum.backward += backward;
            sum.optimizer += optimizer;
            done += 1.0;
        }
        let Phases { data, forward, backward, optimizer } = sum;
        let (data, forward, backward) = (data / done, forward / done, backward / done);
        Ok(Phases { data, forward, backward, optimizer: optimizer / done })
    }

    fn peak(&mut self, at_least: Duration) -> Result<f64, TrainError> {
        Ok(products::peak(self.kind.rows(), &self.device.clone().inner(), at_least))
    }

    fn memory_speed(&mut self, at_least: Duration) -> Result<Option<f64>, TrainError> {
        let device = self.device.clone().inner();
        Ok(self.kind.numbers().map(|numbers| products::memory_speed(numbers, &device, at_least)))
    }

    fn products(&mut self) -> Result<f64, TrainError> {
        Ok(products::of_a_step(self.run, &self.device.clone().inner()))
    }

    fn session(&mut self) -> &mut dyn engine::Session {
        &mut self.session
    }
}
