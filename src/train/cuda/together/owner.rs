//! The thread that has a card's memory for runs of one form: it does what they ask for, and steps all at once that want a step.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError};
use std::time::Duration;

use super::form::Form;
use super::slab::Slab;
use super::view::View;
use crate::plan::Run;
use crate::train::cuda::gpu::{Gpu, Runs};
use crate::train::cuda::lead::Lead;
use crate::train::cuda::program::Program;
use crate::train::cuda::seat::Steps;
use crate::train::schedule::shares_of_peak;
use crate::trainer::TrainError;

/// How long runs that want a step wait for one that took part in the last. It may be reading its losses, which is soon done, or
/// evaluating its model, which is not.
const PATIENCE: Duration = Duration::from_millis(2);

/// Work on the program of one run.
pub type Work = Box<dyn FnOnce(&Program<'_>) + Send>;

/// Where the answers to steps go: how many steps the card may be behind.
pub type Stepped = Sender<Result<usize, TrainError>>;

/// What a run asks for.
pub enum Ask {
    /// A place among the others; none where all are taken.
    Join(Box<Run>, Stepped, SyncSender<Result<Option<usize>, TrainError>>),
    /// Its next step.
    Step(usize),
    /// Something with its state, after the steps that it asked for.
    Do(usize, Work),
    /// Nothing any more: its place is free.
    Leave(usize),
}

/// A run that has a place.
struct Taken {
    /// Whether it took part in the last step. For the others no one waits.
    here: bool,
    /// Steps that it asked for and that are not launched.
    wants: usize,
    answer: Stepped,
}

/// The runs, and the card under them.
struct Owner<'v> {
    slab: &'v Slab<'v>,
    gpu: &'v dyn Gpu,
    /// Of each place by itself.
    programs: Vec<Program<'v>>,
    /// Of the first place, the first two, and so on to all.
    together: Vec<(Program<'v>, Steps)>,
    places: Vec<Option<Taken>>,
    /// Whether each place is left out of steps, as the card knows it.
    waits: Vec<bool>,
    lead: Lead,
}

/// Has so many places on a card, which `ready` is told, and does what is asked for until nobody can ask any more.
pub fn serve(
    gpu: &dyn Gpu,
    form: &Form,
    places: usize,
    (ready, asked): (&SyncSender<Result<(), TrainError>>, &Receiver<Ask>),
) -> Result<(), TrainError> {
    let slab = Slab::new(gpu, form.bytes()?, places)?;
    let held = Rc::new(form.hold(&slab)?);
    let apart = slab.apart();
    let counts = 1..=u32::try_from(places).expect("a number of runs");
    let each: Vec<View<'_>> = (0..places).map(|place| View::one(gpu, place as u64 * apart)).collect();
    let several: Vec<View<'_>> = counts.map(|count| View::several(gpu, Runs { count, apart })).collect();
    let program = |view| Program::within(view, Rc::clone(&held));
    let mut owner = Owner {
        slab: &slab,
        gpu,
        programs: each.iter().map(|view| program(view)).collect(),
        together: several.iter().map(|view| (program(view), Steps::default())).collect(),
        places: (0..places).map(|_| None).collect(),
        waits: vec![false; places],
        lead: Lead::new(),
    };
    // Nobody listens where the one that asked for the team has panicked.
    let _ = ready.send(Ok(()));
    owner.all(asked);
    Ok(())
}

impl Owner<'_> {
    /// Answers until nobody can ask any more.
    fn all(&mut self, asked: &Receiver<Ask>) {
        loop {
            let next = match asked.try_recv() {
                Err(TryRecvError::Empty) if !self.want() => asked.recv().map_err(RecvTimeoutError::from),
                Err(TryRecvError::Empty) if self.misses_one() => asked.recv_timeout(PATIENCE),
                Err(TryRecvError::Empty) => {
                    self.step();
                    continue;
                }
                Err(TryRecvError::Disconnected) => return,
                Ok(ask) => Ok(ask),
            };
            match next {
                Ok(ask) => self.answer(ask),
                Err(RecvTimeoutError::Timeout) => self.taken().for_each(|taken| taken.here &= taken.wants > 0),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn taken(&mut self) -> impl Iterator<Item = &mut Taken> {
        self.places.iter_mut().flatten()
    }

    /// Whether any run wants a step.
    fn want(&self) -> bool {
        self.places.iter().flatten().any(|taken| taken.wants > 0)
    }

    /// Whether a run that took part in the last step does not want the next yet.
    fn misses_one(&self) -> bool {
        self.places.iter().flatten().any(|taken| taken.here && taken.wants == 0)
    }

    fn wants(&self, place: usize) -> bool {
        self.places[place].as_ref().is_some_and(|taken| taken.wants > 0)
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Join(run, answer, place) => {
                // Nobody takes it where the thread that asked has panicked.
                let _ = place.send(self.join(&run, answer));
            }
            Ask::Step(place) => {
                if let Some(taken) = &mut self.places[place] {
                    taken.wants += 1;
                }
            }
            Ask::Do(place, work) => {
                while self.wants(place) {
                    self.step();
                }
                work(&self.programs[place]);
            }
            Ask::Leave(place) => self.places[place] = None,
        }
    }

    /// Gives a run the first place that is free.
    fn join(&mut self, run: &Run, answer: Stepped) -> Result<Option<usize>, TrainError> {
        let Some(place) = self.places.iter().position(Option::is_none) else { return Ok(None) };
        self.slab.renew(place)?;
        self.waits[place] = false;
        self.programs[place].begin((run, &run.table()), &shares_of_peak(&run.schedule))?;
        self.places[place] = Some(Taken { here: false, wants: 0, answer });
        Ok(Some(place))
    }

    /// One step of all that want one.
    fn step(&mut self) {
        let stepped = self.launch().map(|()| self.lead.steps());
        for taken in self.taken() {
            taken.here = taken.wants > 0;
            if taken.here {
                taken.wants -= 1;
                // A run that has left asks no more.
                let _ = taken.answer.send(stepped.clone());
            }
        }
    }

    /// Launches a step. Places behind the last run that wants it have no part in it.
    fn launch(&mut self) -> Result<(), TrainError> {
        let count = (1..=self.places.len()).rfind(|count| self.wants(count - 1)).expect("a run that wants a step");
        for place in 0..count {
            let waits = !self.wants(place);
            if self.waits[place] != waits {
                self.programs[place].set_waits(waits)?;
                self.waits[place] = waits;
            }
        }
        let (program, steps) = &mut self.together[count - 1];
        steps.train(program)?;
        let gpu = self.gpu;
        self.lead.asked(&mut || gpu.mark())
    }
}
