//! The benchmark of burn: a step with a wait after each phase.

mod products;

use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::batch::upload;
use super::ops::Ops;
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
}

impl<'a> Stepper<'a> {
    /// A run of which nothing is done.
    pub fn new(run: &'a Run, corpus: &'a Corpus, device: &'a Device) -> Self {
        Self { run, corpus, device, session: Session::new(run, corpus, device, 1), tokens: Vec::new() }
    }

    /// One step, its phases apart. On a GPU the wait after each costs a little: what is measured is a lower bound of what
    /// training reaches, which never waits.
    fn step(&mut self, step: usize) -> Phases {
        let Self { run, corpus, device, session, tokens } = self;
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
        // Large enough to show what the device can do at best: a GPU needs more to be busy.
        let n = if Ops::on(self.device) == Ops::Composed { 4096 } else { 768 };
        Ok(products::peak(n, &self.device.clone().inner(), at_least))
    }

    fn products(&mut self) -> Result<f64, TrainError> {
        Ok(products::of_a_step(self.run, &self.device.clone().inner()))
    }

    fn session(&mut self) -> &mut dyn engine::Session {
        &mut self.session
    }
}
