//! Where a run lies on a card while it is trained: in memory of its own, or among others (`together/`).

use std::time::Duration;

use super::gpu::{Gpu, Recording};
use super::lead::Lead;
use super::program::Program;
use crate::plan::Run;
use crate::train::evaluation::batch_rows;
use crate::train::schedule::shares_of_peak;
use crate::trainer::TrainError;

/// What a session needs of the place of its run.
pub trait Seat {
    /// Asks for the next step. Waits where that is too far ahead of the card.
    fn train(&mut self) -> Result<(), TrainError>;

    /// Does something with the run on the card, after the steps that were asked for.
    fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Program<'_>) -> Result<T, TrainError> + Send + 'static,
    ) -> Result<T, TrainError>;

    /// Steps that were asked for, and of which is not known that they are done.
    fn ahead(&self) -> usize;

    /// All that was asked for is done.
    fn caught_up(&mut self);

    /// Bytes of the card's memory that the run holds.
    fn bytes(&self) -> usize;

    /// For how long asking for steps has waited for the card, where it waits for nothing else.
    fn waited(&self) -> Option<Duration>;

    /// The run on the card, where nobody else works on it.
    fn program(&self) -> Option<&Program<'_>>;
}

/// A run by itself.
pub struct Alone<'g> {
    steps: Steps,
    program: Program<'g>,
    lead: Lead,
}

impl<'g> Alone<'g> {
    /// The beginning of a run whose batches are cut into so many parts.
    pub fn new(gpu: &'g dyn Gpu, run: &Run, micro_batches: usize) -> Result<Self, TrainError> {
        let shown = batch_rows(run.shape.context);
        let program = Program::new(gpu, (run, &run.table()), &shares_of_peak(&run.schedule), micro_batches, shown)?;
        Ok(Self { steps: Steps::default(), program, lead: Lead::new() })
    }
}

impl Seat for Alone<'_> {
    fn train(&mut self) -> Result<(), TrainError> {
        self.steps.train(&self.program)?;
        let gpu = self.program.gpu();
        self.lead.asked(&mut || gpu.mark())
    }

    fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Program<'_>) -> Result<T, TrainError> + Send + 'static,
    ) -> Result<T, TrainError> {
        work(&self.program)
    }

    fn ahead(&self) -> usize {
        self.lead.steps()
    }

    fn caught_up(&mut self) {
        self.lead.caught_up();
    }

    fn bytes(&self) -> usize {
        self.program.bytes()
    }

    fn waited(&self) -> Option<Duration> {
        Some(self.lead.waited())
    }

    fn program(&self) -> Option<&Program<'_>> {
        Some(&self.program)
    }
}

/// Steps of one program. The first is asked for launch by launch, which loads every kernel; then the step is recorded, and each
/// is one graph. Where the card has no room for the graph it goes on launch by launch.
#[derive(Default)]
pub enum Steps {
    /// None so far.
    #[default]
    None,
    /// Every kernel is loaded.
    Warm,
    /// One graph a step.
    Recorded(Box<dyn Recording>),
    /// There is no room for one.
    Unrecorded,
}

impl Steps {
    /// Asks for the next step.
    pub fn train(&mut self, program: &Program<'_>) -> Result<(), TrainError> {
        match self {
            Self::Recorded(recording) => recording.replay(),
            Self::Unrecorded => program.train(),
            Self::None => {
                program.train()?;
                *self = Self::Warm;
                Ok(())
            }
            Self::Warm => match program.gpu().record(&mut || program.train()) {
                Ok(recording) => {
                    recording.replay()?;
                    *self = Self::Recorded(recording);
                    Ok(())
                }
                // Nothing of the step was done.
                Err(TrainError::OutOfMemory(_)) => {
                    *self = Self::Unrecorded;
                    program.train()
                }
                Err(error) => Err(error),
            },
        }
    }
}
