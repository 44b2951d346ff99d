//! The thread that has a card's memory for runs of one form: it does what they ask for, and steps all at once that want a step.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use super::form::Form;
use super::slab::Slab;
use super::view::View;
use crate::train::cuda::gpu::{Gpu, Memory, Runs};
use crate::train::cuda::lead::Lead;
use crate::train::cuda::program::Program;
use crate::train::cuda::seat::Steps;
use crate::trainer::TrainError;

/// How long runs that want a step wait for those that took part in the last. They may be reading their losses, which is soon done,
/// or evaluating their models, which is not.
const PATIENCE: Duration = Duration::from_millis(2);

/// A team leaves this part of a card free: one in so many.
const LEFT_OVER: usize = 10;

/// Work on the program of one run.
pub type Work = Box<dyn FnOnce(&Program<'_>) + Send>;

/// What copies the beginning of a run to its place.
pub type Begin = Box<dyn FnOnce(&Program<'_>) -> Result<(), TrainError> + Send>;

/// Where the answers to steps go: how many steps the card may be behind.
pub type Stepped = Sender<Result<usize, TrainError>>;

/// What a run asks for.
pub enum Ask {
    /// A place among the others, which this begins. Nobody asks where none is free.
    Join(Begin, Stepped, SyncSender<Result<usize, TrainError>>),
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
    /// What it asked for behind them.
    then: Option<Work>,
    answer: Stepped,
}

/// The runs, and the card under them.
struct Owner<'v> {
    slab: &'v Slab<'v>,
    gpu: &'v dyn Gpu,
    /// Of each place by itself.
    programs: Vec<(Program<'v>, Steps)>,
    /// Of the first place, the first two, and so on to all.
    together: Vec<(Program<'v>, Steps)>,
    /// Until when those that want a step wait for others.
    until: Option<Instant>,
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
    // Graphs, kernels, and the runs of other forms want some as well.
    let Memory { free, total } = gpu.memory()?;
    if free < total / LEFT_OVER {
        return Err(TrainError::OutOfMemory(format!("{places} runs together would fill {}", gpu.card().name)));
    }
    let held = Rc::new(form.hold(&slab)?);
    let apart = slab.apart();
    let counts = 1..=u32::try_from(places).expect("a number of runs");
    let each: Vec<View<'_>> = (0..places).map(|place| View::one(gpu, place as u64 * apart)).collect();
    let several: Vec<View<'_>> = counts.map(|count| View::several(gpu, Runs { count, apart })).collect();
    let program = |view| Program::within(view, Rc::clone(&held));
    let mut owner = Owner {
        slab: &slab,
        gpu,
        programs: each.iter().map(|view| (program(view), Steps::default())).collect(),
        together: several.iter().map(|view| (program(view), Steps::default())).collect(),
        until: None,
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
            let now = Instant::now();
            let next = match self.until {
                None => asked.recv().map_err(RecvTimeoutError::from),
                Some(until) if now >= until => Err(RecvTimeoutError::Timeout),
                Some(until) if self.misses_one() => asked.recv_timeout(until - now),
                // Whoever has asked already comes along.
                Some(_) => asked.recv_timeout(Duration::ZERO),
            };
            match next {
                Ok(ask) => self.answer(ask),
                Err(RecvTimeoutError::Timeout) => self.step(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether a run that took part in the last step does not want the next yet.
    fn misses_one(&self) -> bool {
        self.places.iter().flatten().any(|taken| taken.here && taken.wants == 0)
    }

    fn wants(&self, place: usize) -> bool {
        self.places[place].as_ref().is_some_and(|taken| taken.wants > 0)
    }

    /// The places of runs that want a step.
    fn wanting(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|place| self.wants(*place)).collect()
    }

    /// Sets the end of waiting where somebody wants a step, and none where nobody does.
    fn wait_from_now(&mut self) {
        self.until = (!self.wanting().is_empty()).then(|| Instant::now() + PATIENCE);
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Join(begin, answer, place) => {
                // Nobody takes it where the thread that asked has panicked.
                let _ = place.send(self.join(begin, answer));
            }
            Ask::Step(place) => {
                if let Some(taken) = &mut self.places[place] {
                    taken.wants += 1;
                }
                self.until.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
            Ask::Do(place, work) => match &mut self.places[place] {
                Some(taken) if taken.wants > 0 => taken.then = Some(work),
                _ => work(&self.programs[place].0),
            },
            Ask::Leave(place) => {
                self.places[place] = None;
                if self.wanting().is_empty() {
                    self.until = None;
                }
            }
        }
    }

    /// Gives a run the first place that is free.
    fn join(&mut self, begin: Begin, answer: Stepped) -> Result<usize, TrainError> {
        let place = self.places.iter().position(Option::is_none).expect("a free place for each share");
        self.slab.renew(place)?;
        self.waits[place] = false;
        begin(&self.programs[place].0)?;
        self.places[place] = Some(Taken { here: false, wants: 0, then: None, answer });
        Ok(place)
    }

    /// One step of all that want one, and then what they asked for behind it.
    fn step(&mut self) {
        let wanting = self.wanting();
        let stepped = self.launch(&wanting).map(|()| self.lead.steps());
        for (place, taken) in self.places.iter_mut().enumerate() {
            let Some(taken) = taken else { continue };
            taken.here = taken.wants > 0;
            if !taken.here {
                continue;
            }
            taken.wants -= 1;
            // A run that has left asks no more.
            let _ = taken.answer.send(stepped.clone());
            if taken.wants == 0
                && let Some(work) = taken.then.take()
            {
                work(&self.programs[place].0);
            }
        }
        self.wait_from_now();
    }

    /// Launches a step: of one run by itself, or of all places up to the last that wants it, of which some may wait.
    fn launch(&mut self, wanting: &[usize]) -> Result<(), TrainError> {
        let [.., last] = *wanting else { return Ok(()) };
        let alone = wanting.len() == 1;
        for place in if alone { last } else { 0 }..=last {
            let waits = !self.wants(place);
            if self.waits[place] != waits {
                self.programs[place].0.set_waits(waits)?;
                self.waits[place] = waits;
            }
        }
        let (program, steps) = if alone { &mut self.programs[last] } else { &mut self.together[last] };
        steps.train(program).map_err(|error| if alone { error } else { of_several(error) })?;
        let gpu = self.gpu;
        self.lead.asked(&mut || gpu.mark())
    }
}

/// What an error is to several runs. Of a lack of memory none of them is the cause by itself, and a step that was begun may not be
/// tried again: the process ends, and all go on from their checkpoints.
fn of_several(error: TrainError) -> TrainError {
    match error {
        TrainError::OutOfMemory(message) => {
            TrainError::Device(format!("no memory for a step of several runs at once: {message}"))
        }
        other => other,
    }
}
