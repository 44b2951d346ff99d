//! One run under way on the card: batches go ahead, one recorded graph a step, and losses come back when they are asked for.

use std::ops::Range;
use std::time::Duration;

use super::gpu::{Gpu, Recording};
use super::held::RING;
use super::lead::Lead;
use super::program::Program;
use super::state::StepState;
use crate::checkpoint::{self, Place};
use crate::data::Corpus;
use crate::optimizer::Kept;
use crate::plan::Run;
use crate::train::engine;
use crate::train::evaluation::batch_rows;
use crate::train::schedule::share_of_peak;
use crate::trainer::TrainError;

/// One run under way.
pub struct Session<'a> {
    run: &'a Run,
    corpus: &'a Corpus,
    /// The step as one graph, once it has been done launch by launch: by then every kernel is loaded.
    recording: Option<Box<dyn Recording>>,
    warm: bool,
    program: Program<'a>,
    /// Steps whose batches are on the card.
    loaded: Range<usize>,
    /// The step that the card does next.
    next: usize,
    lead: Lead,
    /// Losses since they were last forgotten.
    losses: usize,
    tokens: Vec<u16>,
}

impl<'a> Session<'a> {
    /// The beginning of a run whose batches are cut into so many parts.
    pub fn new(gpu: &'a dyn Gpu, run: &'a Run, corpus: &'a Corpus, micro_batches: usize) -> Result<Self, TrainError> {
        let shares: Vec<f32> = (0..run.schedule.steps).map(|step| share_of_peak(&run.schedule, step) as f32).collect();
        let shown = batch_rows(run.shape.context);
        let program = Program::new(gpu, (run, &run.table()), &shares, micro_batches, shown)?;
        let (recording, tokens, lead) = (None, Vec::new(), Lead::new());
        Ok(Self { run, corpus, recording, warm: false, program, loaded: 0..0, next: 0, lead, losses: 0, tokens })
    }

    /// Sees to it that the batch of `step` is on the card, with those after it up to the end of the ring.
    fn load(&mut self, step: usize) -> Result<(), TrainError> {
        if self.loaded.contains(&step) {
            return Ok(());
        }
        let end = ((step / RING + 1) * RING).min(self.run.schedule.steps);
        let mut batches = Vec::new();
        for step in step..end {
            self.corpus.train_batch(self.run.seed, self.run.optimizer.batch_sequences, step, &mut self.tokens);
            batches.extend_from_slice(&self.tokens);
        }
        self.loaded = step..end;
        self.program.load(step, &batches)
    }

    /// For how long asking for steps has waited for the card.
    pub fn waited(&self) -> Duration {
        self.lead.waited()
    }

    /// The model on the card.
    pub fn program(&self) -> &Program<'a> {
        &self.program
    }
}

impl engine::Session for Session<'_> {
    fn step(&mut self, step: usize) -> Result<(), TrainError> {
        self.load(step)?;
        if step != self.next {
            let state = self.program.step_state()?;
            self.program.set_step_state(&StepState { step: step as u32, ..state })?;
        }
        match &self.recording {
            Some(recording) => recording.replay()?,
            None if self.warm => {
                let program = &self.program;
                let recording = program.gpu().record(&mut || program.train())?;
                recording.replay()?;
                self.recording = Some(recording);
            }
            None => self.program.train()?,
        }
        (self.warm, self.next) = (true, step + 1);
        self.losses += 1;
        let gpu = self.program.gpu();
        self.lead.asked(&mut || gpu.mark())
    }

    fn ahead(&self) -> usize {
        self.lead.steps()
    }

    fn losses(&mut self) -> Result<(f32, usize), TrainError> {
        let sum = self.program.step_state()?.loss_sum;
        self.lead.caught_up();
        Ok((sum, self.losses))
    }

    fn forget_losses(&mut self) -> Result<(), TrainError> {
        let state = self.program.step_state()?;
        self.losses = 0;
        self.program.set_step_state(&StepState { loss_sum: 0.0, ..state })
    }

    fn numbers(&mut self, weight: usize, kept: Kept) -> Result<Vec<f32>, TrainError> {
        self.program.read(weight, kept)
    }

    fn restore(&mut self, place: &Place, loss_sum: f32, numbers: Vec<Vec<f32>>) -> Result<(), TrainError> {
        let places = checkpoint::kept(&self.run.shape, self.run.optimizer.kind);
        for ((weight, kept), values) in places.into_iter().zip(numbers) {
            self.program.write(weight, kept, &values)?;
        }
        let state = self.program.step_state()?;
        (self.next, self.losses) = (place.step, place.losses);
        self.program.set_step_state(&StepState { step: place.step as u32, loss_sum, ..state })
    }

    fn token_losses(&mut self, tokens: &[u16]) -> Result<Vec<f32>, TrainError> {
        self.program.token_losses(tokens)
    }

    fn best_tokens(&mut self, tokens: &[u16]) -> Result<Vec<u16>, TrainError> {
        self.program.best_tokens(tokens)
    }
}
