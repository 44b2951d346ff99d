//! One slot and its worker process: what it says, and how it ended.

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
    /// Its worker ended for this reason, which is not a run's, and another would too.
    Closed(String),
}

/// A worker process.
pub(super) struct Worker {
    child: Child,
    /// The run that it trains, with the number of the attempt, and since when.
    pub(super) current: Option<(RunId, u32, Instant)>,
    /// Whether it ended, or is about to, because its run failed.
    pub(super) failed: bool,
    /// For how long it has said nothing.
    pub(super) silent: Duration,
    /// Whether it was ended because nothing was heard of it.
    pub(super) hung: bool,
    /// Its last lines on standard error.
    tail: VecDeque<String>,
}

/// Lines kept of what a worker says before it dies.
const TAIL: usize = 5;

impl Worker {
    /// Starts a worker, whose words arrive at `sender` under the number of its slot.
    pub(super) fn start(slot: usize, mut command: Command, sender: &Sender<(usize, Said)>) -> io::Result<Self> {
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
        Ok(Self { child, current: None, failed: false, silent, hung: false, tail })
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
        self.child.wait()
    }

    /// How it ended and what it said last, in a sentence.
    pub(super) fn epitaph(&self, status: ExitStatus) -> String {
        let tail: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        match tail.as_slice() {
            [] => format!("the worker ended with {status}"),
            lines => format!("the worker ended with {status}: {}", lines.join(" | ")),
        }
    }

    /// Asks it to checkpoint and end.
    pub(super) fn ask_to_stop(&mut self) {
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
