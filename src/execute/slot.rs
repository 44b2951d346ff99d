//! One slot and its worker process: what it says, which runs it trains, and how it ended.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::Event;
use crate::plan::RunId;

/// What comes from a slot.
pub(super) enum Said {
    /// Something happened to a run.
    Event(Event),
    /// A line for people.
    Talk(String),
    /// Both its streams are closed: it has ended, or is about to.
    Closed,
}

/// What a slot holds.
pub(super) enum Slot {
    /// Nothing.
    Idle,
    /// A worker.
    Busy(Worker),
    /// Its device gets no more runs, for this reason.
    Closed(String),
    /// Its worker could not begin, at this moment, for this reason, which is not a run's; another can perhaps later.
    Shut(String, Instant),
}

/// A run that a worker trains.
pub(super) struct Held {
    /// The run.
    pub(super) run: RunId,
    /// Number of the attempt.
    pub(super) attempt: u32,
    /// When it was claimed.
    pub(super) since: Instant,
    /// For how long nothing was heard of it.
    pub(super) silent: Duration,
}

/// A worker process.
pub(super) struct Worker {
    child: Child,
    /// The runs that it trains side by side, each in its place.
    lanes: Vec<Option<Held>>,
    /// Whether a run of it failed that was not wrongly configured: what ends it after that is not that it cannot begin.
    pub(super) failed: bool,
    /// Whether it told that it ends with all its runs, and that failure was counted.
    pub(super) falling: bool,
    /// For how long it has said nothing.
    silent: Duration,
    /// Whether it was ended because nothing was heard of it.
    pub(super) hung: bool,
    /// Its last lines on standard error.
    tail: VecDeque<String>,
}

/// Lines kept of what a worker says before it dies.
const TAIL: usize = 5;

impl Worker {
    /// Starts a worker of so many runs side by side, whose words arrive at `sender` under the number of its slot.
    pub(super) fn start(
        slot: usize,
        runs: usize,
        mut command: Command,
        sender: &Sender<(usize, Said)>,
    ) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A process group of its own, so that Ctrl-C reaches the supervisor alone, which then ends its workers.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let sender = sender.clone();
        thread::spawn(move || {
            // Nobody listens when the supervisor has returned; the streams then close and the worker ends.
            let say = |said| sender.send((slot, said)).is_ok();
            thread::scope(|scope| {
                scope.spawn(|| lines(stdout, |line| say(parse(line))));
                lines(stderr, |line| say(Said::Talk(line)));
            });
            say(Said::Closed);
        });
        let (silent, tail) = (Duration::ZERO, VecDeque::new());
        let lanes = (0..runs).map(|_| None).collect();
        Ok(Self { child, lanes, failed: false, falling: false, silent, hung: false, tail })
    }

    /// Gives a run that it has claimed a place of its own.
    pub(super) fn claimed(&mut self, run: &RunId, attempt: u32) {
        let held = Held { run: run.clone(), attempt, since: Instant::now(), silent: Duration::ZERO };
        match self.lanes.iter_mut().find(|lane| lane.is_none()) {
            Some(lane) => *lane = Some(held),
            None => self.lanes.push(Some(held)),
        }
    }

    /// The place of a run, if it trains it.
    pub(super) fn lane(&self, run: &RunId) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.as_ref().is_some_and(|held| held.run == *run))
    }

    /// Takes a run that has ended from its place.
    pub(super) fn release(&mut self, run: &RunId) -> Option<Held> {
        self.lane(run).and_then(|lane| self.lanes[lane].take())
    }

    /// The runs that it trains, with their places.
    pub(super) fn held(&self) -> impl Iterator<Item = (usize, &Held)> {
        self.lanes.iter().enumerate().filter_map(|(lane, held)| Some((lane, held.as_ref()?)))
    }

    /// Notes a sign of life of a run, or of the worker where it is of none.
    pub(super) fn heard_of(&mut self, run: Option<&RunId>) {
        self.silent = Duration::ZERO;
        for held in self.lanes.iter_mut().flatten().filter(|held| run.is_none_or(|run| held.run == *run)) {
            held.silent = Duration::ZERO;
        }
    }

    /// Notes that time has passed, and tells whether the worker or a run of it has been silent for too long.
    pub(super) fn waited(&mut self, time: Duration, patience: Duration) -> bool {
        self.silent += time;
        let mut silent = self.silent > patience;
        for held in self.lanes.iter_mut().flatten() {
            held.silent += time;
            silent |= held.silent > patience;
        }
        silent
    }

    /// Remembers a line of talk.
    pub(super) fn talked(&mut self, line: String) {
        self.tail.push_back(line);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }

    /// How it ended, once its streams are closed.
    pub(super) fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.end_leftovers();
        status
    }

    /// Ends programs that a worker was training by when it died.
    fn end_leftovers(&self) {
        #[cfg(unix)]
        super::program::end_of_worker(self.child.id());
    }

    /// How it ended and what it said last, in a sentence.
    pub(super) fn epitaph(&self, status: ExitStatus) -> String {
        let tail: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        match tail.as_slice() {
            [] => format!("the worker ended with {status}"),
            lines => format!("the worker ended with {status}: {}", lines.join(" | ")),
        }
    }

    /// Its last line, without hints that follow one.
    pub(super) fn last_line(&self) -> &str {
        let told = |line: &&String| !line.trim().is_empty() && !line.starts_with("note:");
        self.tail.iter().rev().find(told).map_or("", String::as_str)
    }

    /// Asks it to checkpoint and end.
    pub(super) fn ask_to_stop(&self) {
        #[cfg(unix)]
        // An error means that it has ended by itself.
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        #[cfg(not(unix))]
        self.kill();
    }

    /// Ends it at once; its run is trained again by the next call.
    pub(super) fn kill(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.end_leftovers();
    }
}

fn parse(line: String) -> Said {
    serde_json::from_str(&line).map_or(Said::Talk(line), Said::Event)
}

/// Hands every line on until the stream ends or nobody listens.
fn lines(stream: Option<impl Read>, mut say: impl FnMut(String) -> bool) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        if !say(String::from_utf8_lossy(&line).trim_end().to_owned()) {
            return;
        }
        line.clear();
    }
}
