//! A run among others, for the thread that trains it.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::form::Form;
use super::owner::{Ask, serve};
use crate::plan::Run;
use crate::train::cuda::opened::Opened;
use crate::train::cuda::program::Program;
use crate::train::cuda::seat::Seat;
use crate::train::initial;
use crate::train::schedule::shares_of_peak;
use crate::trainer::TrainError;

/// Runs of one form, and the thread that has them.
struct Team {
    card: Opened,
    form: Form,
    /// Runs that it has room for. Who has a share of the team has one of its places.
    places: usize,
    /// Nothing once it goes: the thread ends when nobody can ask any more.
    asks: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Team {
    fn drop(&mut self) {
        self.asks = None;
        // What it panicked with is on stderr already. A card that is closed before the next is opened has its memory free.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The teams of this process.
static TEAMS: Mutex<Vec<Weak<Team>>> = Mutex::new(Vec::new());

/// Steps that a run asks for before it waits until one of them is launched: with fewer each step would wait until all threads have
/// heard of the last.
const ASKED_AHEAD: usize = 4;

/// A run's place among others.
pub struct Member {
    place: usize,
    team: Arc<Team>,
    /// Answers to steps.
    stepped: Receiver<Result<usize, TrainError>>,
    /// Steps without an answer yet.
    asked: usize,
    /// Steps that were launched and may not be done, as of the last answer.
    ahead: usize,
}

/// The beginning of a run whose batches are cut into so many parts, among those of its form on a card; of these there are so many.
/// Nothing where the card has no room for two of them.
pub fn join(card: &Opened, run: &Run, micro_batches: usize, alike: usize) -> Result<Option<Member>, TrainError> {
    let form = Form::of(run, &run.table(), micro_batches);
    share(card, &form, alike)?.map(|team| Member::of(team, run)).transpose()
}

/// A share of a team that has a free place, or of one that begins.
fn share(card: &Opened, form: &Form, alike: usize) -> Result<Option<Arc<Team>>, TrainError> {
    // Held while a team begins: whoever comes meanwhile waits for it.
    let mut teams = TEAMS.lock().unwrap_or_else(PoisonError::into_inner);
    teams.retain(|team| team.strong_count() > 0);
    let takes = |team: &Arc<Team>| {
        // This look at it is a share as well.
        let has_place = Arc::strong_count(team) <= team.places;
        has_place && team.is_alive() && team.card == *card && team.form == *form
    };
    if let Some(known) = teams.iter().filter_map(Weak::upgrade).find(takes) {
        return Ok(Some(known));
    }
    let begun = begin(card, form, alike)?;
    teams.extend(begun.as_ref().map(Arc::downgrade));
    Ok(begun)
}

/// A team of at most so many runs: as many as the card has room for, by halves; nothing where that is one.
fn begin(card: &Opened, form: &Form, most: usize) -> Result<Option<Arc<Team>>, TrainError> {
    let mut places = most;
    while places > 1 {
        let ((ready, is_ready), (asks, asked)) = (sync_channel(1), channel());
        let (opened, wanted) = (card.clone(), form.clone());
        let work = move || {
            let served = opened.gpu().and_then(|gpu| serve(gpu.as_ref(), &wanted, places, (&ready, &asked)));
            if let Err(error) = served {
                let _ = ready.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("runs together".to_owned()).spawn(work);
        let thread = thread.map_err(|error| TrainError::Device(format!("no thread for runs together: {error}")))?;
        let team = Team { card: card.clone(), form: form.clone(), places, asks: Some(asks), thread: Some(thread) };
        match is_ready.recv().unwrap_or_else(|_| Err(gone())) {
            Ok(()) => return Ok(Some(Arc::new(team))),
            Err(TrainError::OutOfMemory(_)) => places /= 2,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl Member {
    /// The place of a share in a team.
    fn of(team: Arc<Team>, run: &Run) -> Result<Self, TrainError> {
        let ((answer, place), (answers, stepped)) = (sync_channel(1), channel());
        // Drawn here: on the team's thread all others would wait for it.
        let drawn: Vec<initial::Drawn> = initial::weights(run, &run.table()).collect();
        let (optimizer, shares) = (run.optimizer.clone(), shares_of_peak(&run.schedule));
        let begin = move |program: &Program<'_>| program.begin(&optimizer, &drawn, &shares);
        team.ask(Ask::Join(Box::new(begin), answers, answer))?;
        let place = place.recv().map_err(|_| gone())??;
        Ok(Self { place, team, stepped, asked: 0, ahead: 0 })
    }

    /// Waits until no more than so many steps are without an answer.
    fn hear(&mut self, most: usize) -> Result<(), TrainError> {
        while self.asked > most {
            let stepped = self.stepped.recv().map_err(|_| gone())?;
            self.asked -= 1;
            self.ahead = stepped?;
        }
        Ok(())
    }
}

impl Team {
    /// Whether its thread goes on: a newcomer is not to suffer what a team has died of.
    fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn ask(&self, ask: Ask) -> Result<(), TrainError> {
        self.asks.as_ref().expect("held until it goes").send(ask).map_err(|_| gone())
    }
}

/// The thread of a team has ended before its runs.
fn gone() -> TrainError {
    TrainError::Device("the thread that steps several runs at once has ended, as is said above".to_owned())
}

impl Seat for Member {
    fn train(&mut self) -> Result<(), TrainError> {
        self.team.ask(Ask::Step(self.place))?;
        self.asked += 1;
        self.hear(ASKED_AHEAD)
    }

    fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Program<'_>) -> Result<T, TrainError> + Send + 'static,
    ) -> Result<T, TrainError> {
        let (answer, done) = sync_channel(1);
        let work = move |program: &Program<'_>| {
            // Whoever asked may have panicked.
            let _ = answer.send(work(program));
        };
        self.team.ask(Ask::Do(self.place, Box::new(work)))?;
        let done = done.recv().map_err(|_| gone())?;
        // By now all steps are launched. What one of them failed of comes first.
        self.hear(0)?;
        done
    }

    fn ahead(&self) -> usize {
        self.asked + self.ahead
    }

    fn caught_up(&mut self) {
        self.ahead = 0;
    }

    fn bytes(&self) -> usize {
        self.team.form.bytes().unwrap_or_default()
    }

    /// It waits for the others as well.
    fn waited(&self) -> Option<Duration> {
        None
    }

    fn program(&self) -> Option<&Program<'_>> {
        None
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A thread that has ended knows no places.
        let _ = self.team.ask(Ask::Leave(self.place));
    }
}
