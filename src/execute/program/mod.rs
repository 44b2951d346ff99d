//! A trainer that is somebody else's program: `[train] command` of a spec.
//!
//! Each attempt starts the program with a JSON file that describes the run (`config`), reads what it prints line by line
//! (`lines`) and understands the lines that are JSON objects (`protocol`). What a program prints is data: it is bounded,
//! never executed, and its last part is kept for whoever looks for a fault. No shell is involved. The program has a process group of
//! its own, so that nothing it started is left behind.

mod advance;
mod config;
mod count;
mod doubts;
mod ended;
mod leftovers;
mod lines;
mod printed;
mod protocol;
mod reached;
mod said;
mod stalled;

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use self::advance::Advance;
pub use self::count::count;
use self::ended::{Ended, Stop};
pub use self::leftovers::end_of_worker;
use self::lines::{Heard, Line, Stream};
use self::protocol::Story;
use crate::plan::Program;
use crate::trainer::{DeviceInfo, Job, OnProgress, Outcome, TrainError, Trainer};

/// Time between two looks at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Time that a program has to checkpoint and end when it is asked to stop, or has closed its output.
const GRACE: Duration = Duration::from_mins(1);
/// How long lines are read that a program printed just before its end.
const LAST: Duration = Duration::from_secs(5);
/// Lines that wait to be understood; a program that prints faster waits.
const WAITING: usize = 256;

/// Trains by starting a program for each run.
pub struct ProgramTrainer {
    /// The folder of the sweep.
    dir: PathBuf,
    /// The folder of prepared corpora.
    cache: PathBuf,
    info: DeviceInfo,
}

impl ProgramTrainer {
    /// Runs of the sweep in `dir` on corpora in `cache`; the program is told the device and the threads of `info`.
    pub fn new(dir: &Path, cache: &Path, info: DeviceInfo) -> Self {
        Self { dir: dir.to_owned(), cache: cache.to_owned(), info }
    }
}

impl Trainer for ProgramTrainer {
    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn preparing(&self) -> &'static str {
        "waiting for the first loss of the program"
    }

    /// A program goes on without the process that started it.
    fn may_be_left(&self) -> bool {
        false
    }

    fn train(&mut self, job: Job<'_>, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError> {
        let run = job.run;
        let Some(program) = &run.run.program else {
            return Err(TrainError::Configuration("this run is trained by no program".to_owned()));
        };
        let folder = self.dir.join("runs").join(run.id.as_str()).join("program");
        let begun = Instant::now();
        let failed = |what: &str, error: &io::Error| TrainError::Program(format!("cannot {what}: {error}"));
        fs::create_dir_all(&folder).map_err(|error| failed(&format!("make {}", folder.display()), &error))?;
        let config = config::write(
            (&folder, &self.cache.join(&run.run.corpus)),
            (run, program),
            &self.info.driver,
            self.info.threads,
        )
        .map_err(|error| failed("write the program's config.json", &error))?;
        let mut story = Story::new(run, &folder, begun);
        let mut running = Running::start(program, &config, self.info.threads)?;
        let patience = Duration::from_secs_f64(program.patience_seconds);
        let mut advance = Advance::new(program.step_patience_seconds.map(Duration::from_secs_f64), patience);
        let stopped = running.listen(&mut story, (patience, &mut advance), on_progress);
        // What it still has to say counts: the points before its checkpoint, the result that it was about to tell, or what lies in
        // its pipes when it has ended.
        let (ended, mut wrong) = (matches!(stopped, None | Some(Stop::Asked)), None);
        let mut hear = |line: &Line| {
            if wrong.is_none() {
                wrong = story.hear(line, on_progress).err();
            }
        };
        let status = running.end(stopped.is_some(), ended.then_some(&mut hear as &mut dyn FnMut(&Line)));
        Ended { stopped, status, wrong, folder: &folder, begun, program }.outcome(&mut story, on_progress)
    }
}

/// A program at work.
struct Running {
    child: Child,
    lines: Receiver<Heard>,
    /// The file that describes its run.
    config: PathBuf,
}

impl Running {
    fn start(program: &Program, config: &Path, threads: usize) -> Result<Self, TrainError> {
        // An earlier attempt may have lost its trainer and be at work still.
        leftovers::end_of_run(config);
        let path = config.to_string_lossy();
        let mut words = program.command.iter().map(|word| word.replace("{config}", &path));
        let name = words.next().unwrap_or_default();
        let mut child = Command::new(&name)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("OMP_NUM_THREADS", threads.to_string())
            // Python keeps back what it prints to a pipe, which would look like silence.
            .env("PYTHONUNBUFFERED", std::env::var_os("PYTHONUNBUFFERED").unwrap_or_else(|| "1".into()))
            .env(leftovers::MARK, leftovers::mark(config))
            .process_group(0)
            .spawn()
            .map_err(|error| {
                TrainError::Configuration(format!(
                    "cannot start {name:?}: {error}; train.command names the program and its arguments, as in [\"python3\", \
                     \"train.py\", \"{{config}}\"]"
                ))
            })?;
        let (sender, lines) = sync_channel(WAITING);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let other = sender.clone();
        thread::spawn(move || stdout.map(|pipe| lines::read(pipe, Stream::Out, &sender)));
        thread::spawn(move || stderr.map(|pipe| lines::read(pipe, Stream::Err, &other)));
        Ok(Self { child, lines, config: config.to_owned() })
    }

    /// Understands lines until the program ends, or is to be stopped.
    fn listen(
        &mut self,
        story: &mut Story,
        (patience, advance): (Duration, &mut Advance),
        on_progress: OnProgress<'_>,
    ) -> Option<Stop> {
        let (begun, mut heard) = (Instant::now(), Instant::now());
        let mut looked = Instant::now();
        loop {
            match self.lines.recv_timeout(LOOK_EVERY) {
                Ok(Heard::Part) => heard = Instant::now(),
                Ok(Heard::Line(line)) => {
                    heard = Instant::now();
                    match story.hear(&line, on_progress) {
                        Ok(ControlFlow::Continue(())) => {}
                        Ok(ControlFlow::Break(())) => return Some(Stop::Asked),
                        Err(wrong) => return Some(Stop::Wrong(wrong)),
                    }
                    if story.has_diverged() {
                        return Some(Stop::Diverged);
                    }
                }
                // Both pipes are closed. What it left behind may hold them open: then its own end counts.
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                        return None;
                    }
                    if heard.elapsed() > patience {
                        return Some(Stop::Silent);
                    }
                }
            }
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                if story.look(on_progress).is_break() {
                    return Some(Stop::Asked);
                }
                advance.note(story.furthest, begun.elapsed());
                if let Some((step, limit)) = advance.stuck(begun.elapsed()) {
                    return Some(Stop::Stuck(step, limit));
                }
            }
        }
    }

    /// Waits for its end, asking for it where it is to be stopped, and ends what it left behind. What it prints meanwhile is
    /// heard where somebody listens.
    fn end(&mut self, stop: bool, mut hear: Option<&mut dyn FnMut(&Line)>) -> io::Result<ExitStatus> {
        let group = Pid::from_child(&self.child);
        if stop {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < GRACE {
            // Its pipes are read on, or it could not end.
            while let Ok(said) = self.lines.try_recv() {
                if let (Some(hear), Heard::Line(line)) = (&mut hear, said) {
                    hear(&line);
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let why = if stop { "of SIGTERM" } else { "of closing its output" };
            tell!("the program does not end within {} s {why} and is killed", GRACE.as_secs());
        }
        let _ = kill_process_group(group, Signal::KILL);
        leftovers::end_of_run(&self.config);
        if let Some(hear) = hear {
            let ended = Instant::now();
            while ended.elapsed() < LAST {
                match self.lines.recv_timeout(LOOK_EVERY) {
                    Ok(Heard::Line(line)) => hear(&line),
                    Ok(Heard::Part) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        }
        self.child.wait()
    }
}

/// A program whose trainer is dropped is not left alone.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            leftovers::end_of_run(&self.config);
            let _ = self.child.wait();
        }
    }
}
