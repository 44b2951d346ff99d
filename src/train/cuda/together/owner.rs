//! The thread that has a card's memory for runs of one form: it does what they ask for, and steps all at once that want a step.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use super::form::Form;
use super::slab::Slab;
use super::view::View;
use crate::plan::Run;
use crate::train::cuda::gpu::{Gpu, Runs};
use crate::train::cuda::lead::Lead;
use crate::train::cuda::program::Program;
use crate::train::cuda::seat::Steps;
use crate::train::cuda::session::shares;
use crate::trainer::TrainError;

/// How long runs that want a step wait for one that took part in the last. It may be reading its losses, which is soon done, or
/// evaluating its model, which is not.
const PATIENCE: Duration = Duration::from_millis(2);

/// Work on the program of one run.
pub type Work = Box<dyn FnOnce(&Program<'_>) + Send>;

/// Where the answer to a step goes: how many steps the card may be behind.
pub type Stepped = SyncSender<Result<usize, TrainError>>;

/// What a run asks for.
pub enum Ask {
    /// A place among the others; none where all are taken.
    Join(Box<Run>, SyncSender<Result<Option<usize>, TrainError>>),
    /// Its next step.
    Step(usize, Stepped),
    /// Something with its state.
    Do(usize, Work),
    /// Nothing any more: its place is free.
    Leave(usize),
}

/// What a place of the slab is to the others.
enum Place {
    /// Nobody's.
    Free,
    /// A run that is not waited for.
    Away,
    /// A run that took part in the last step.
    Here,
    /// A run that wants a step.
    Wants(Stepped),
}

/// The runs, and the card under them.
struct Owner<'v> {
    slab: &'v Slab<'v>,
    gpu: &'v dyn Gpu,
    /// Of each place by itself.
    programs: Vec<Program<'v>>,
    /// Of the first place, the first two, and so on to all.
    together: Vec<(Program<'v>, Steps)>,
    places: Vec<Place>,
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
        places: (0..places).map(|_| Place::Free).collect(),
        waits: vec![false; places],
        lead: Lead::new(),
    };
    // Nobody listens where the one that asked for the team has panicked.
    let _ = ready.send(Ok(()));
    owner.all(asked);
    Ok(())
}

impl Owner<'_> {
    fn all(&mut self, asked: &Receiver<Ask>) {
        loop {
            let next = if self.want() { asked.recv_timeout(PATIENCE) } else { asked.recv().map_err(RecvTimeoutError::from) };
            match next {
                Ok(ask) => self.answer(ask),
                Err(RecvTimeoutError::Timeout) => self.go_without(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.want() && !self.places.iter().any(|place| matches!(place, Place::Here)) {
                self.step();
            }
        }
    }

    /// Whether any run wants a step.
    fn want(&self) -> bool {
        self.places.iter().any(|place| matches!(place, Place::Wants(_)))
    }

    /// Waits no longer for those that have not come back since the last step.
    fn go_without(&mut self) {
        for place in &mut self.places {
            if matches!(place, Place::Here) {
                *place = Place::Away;
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            // An answer that nobody takes is that to a thread which has panicked: it leaves next.
            Ask::Join(run, answer) => {
                let _ = answer.send(self.join(&run));
            }
            Ask::Step(place, answer) => self.places[place] = Place::Wants(answer),
            Ask::Do(place, work) => work(&self.programs[place]),
            Ask::Leave(place) => self.places[place] = Place::Free,
        }
    }

    /// Gives a run the first place that is free.
    fn join(&mut self, run: &Run) -> Result<Option<usize>, TrainError> {
        let Some(place) = self.places.iter().position(|place| matches!(place, Place::Free)) else { return Ok(None) };
        self.slab.renew(place)?;
        self.waits[place] = false;
        self.programs[place].begin((run, &run.table()), &shares(run))?;
        self.places[place] = Place::Away;
        Ok(Some(place))
    }

    /// One step of all that want one. Places behind the last of them have no part in its launches.
    fn step(&mut self) {
        let count = 1 + self.places.iter().rposition(|place| matches!(place, Place::Wants(_))).expect("one that wants");
        let stepped = self.launch(count);
        for place in &mut self.places {
            match std::mem::replace(place, Place::Free) {
                Place::Wants(answer) => {
                    let _ = answer.send(stepped.as_ref().map(|()| self.lead.steps()).map_err(TrainError::clone));
                    *place = Place::Here;
                }
                other => *place = other,
            }
        }
    }

    fn launch(&mut self, count: usize) -> Result<(), TrainError> {
        for (at, place) in self.places.iter().enumerate().take(count) {
            let waits = !matches!(place, Place::Wants(_));
            if self.waits[at] != waits {
                self.programs[at].set_waits(waits)?;
                self.waits[at] = waits;
            }
        }
        let (program, steps) = &mut self.together[count - 1];
        steps.train(program)?;
        let gpu = self.gpu;
        self.lead.asked(&mut || gpu.mark())
    }
}
