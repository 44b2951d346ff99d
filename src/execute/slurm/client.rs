//! Slurm's own commands, asked with patience: a controller that is down for minutes is nothing unusual.

use std::env;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{ArrayState, SlurmError, array};

/// Asks Slurm, and asks again where there is no answer.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where the commands are, if not on the path.
    programs: Option<PathBuf>,
    /// How long to ask again.
    patience: Duration,
    /// The first pause; each further one is twice as long, up to [`LONGEST_PAUSE`].
    pause: Duration,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A command that takes longer is ended: Slurm's own time-outs are far shorter.
const TIME_OUT: Duration = Duration::from_mins(2);

/// What a command printed.
struct Answer {
    success: bool,
    stdout: String,
    /// Without the name of the command at the head of each line.
    said: String,
}

impl Default for Client {
    /// Asks for ten minutes.
    fn default() -> Self {
        Self { programs: None, patience: Duration::from_mins(10), pause: Duration::from_secs(1) }
    }
}

impl Client {
    /// Asks once.
    pub fn impatient() -> Self {
        Self { patience: Duration::ZERO, ..Self::default() }
    }

    /// Submits a batch script and returns the job's number. An answer may be lost on its way, so that before sbatch is
    /// asked again the queue is searched for the job's name.
    pub fn submit(&self, script: &Path, name: &str) -> Result<u64, SlurmError> {
        let args = [OsStr::new("--parsable"), script.as_os_str()];
        let mut lost = false;
        self.patiently(|| {
            if lost && let Some(job) = self.impatiently().find(name)? {
                return Ok(job);
            }
            let submitted = self.ask("sbatch", &args).and_then(|answer| job_number("sbatch", &answer.stdout));
            lost = matches!(submitted, Err(SlurmError::Unreachable { .. }));
            submitted
        })
    }

    /// What would become of a batch script: whether it is accepted, and when it would start.
    pub fn test(&self, script: &Path) -> Result<String, SlurmError> {
        let args = [OsStr::new("--test-only"), script.as_os_str()];
        self.patiently(|| Ok(self.ask("sbatch", &args)?.said))
    }

    /// The number of the array with this name, if the controller knows one.
    pub fn find(&self, name: &str) -> Result<Option<u64>, SlurmError> {
        let name = format!("--name={name}");
        let args = ["--noheader", "--states=all", "--format=%F", &name];
        self.patiently(|| {
            let printed = self.ask("squeue", &args)?.stdout;
            let numbers = printed.lines().filter(|line| !line.trim().is_empty());
            // Should there be several after all, the last one submitted.
            numbers
                .map(|number| job_number("squeue", number))
                .try_fold(None, |last, number| Ok(last.max(Some(number?))))
        })
    }

    /// How an array stands.
    pub(super) fn array(&self, job: u64, name: &str) -> Result<ArrayState, SlurmError> {
        let args = ["--noheader", "--array", "--states=all", "--jobs", &job.to_string(), "--format", array::FORMAT];
        let answer = self.patiently(|| self.ask_about("squeue", &args))?;
        Ok(answer.map_or(ArrayState::Gone { cancelled: false }, |answer| array::parse(&answer.stdout, job, name)))
    }

    /// The name of the cluster.
    pub fn cluster(&self) -> Result<String, SlurmError> {
        self.patiently(|| {
            let config = self.ask("scontrol", &["show", "config"])?.stdout;
            let name = config.lines().find_map(|line| line.strip_prefix("ClusterName")?.trim().strip_prefix('='));
            let said = || "its configuration has no ClusterName".to_owned();
            name.map(|name| name.trim().to_owned()).ok_or_else(|| unreachable("scontrol", said()))
        })
    }

    /// Cancels a job with all its tasks; one that is over already is as good.
    pub fn cancel(&self, job: u64) -> Result<(), SlurmError> {
        self.patiently(|| self.ask_about("scancel", &[job.to_string()])).map(|_| ())
    }

    /// Cancels the tasks of a job that have not begun.
    pub fn cancel_pending(&self, job: u64) -> Result<(), SlurmError> {
        self.patiently(|| self.ask_about("scancel", &["--state=PENDING", &job.to_string()])).map(|_| ())
    }

    /// Queues a task again, by its address `A_T`.
    pub fn requeue(&self, address: &str) -> Result<(), SlurmError> {
        self.patiently(|| self.ask("scontrol", &["requeue", address])).map(|_| ())
    }

    fn impatiently(&self) -> Self {
        Self { patience: Duration::ZERO, ..self.clone() }
    }

    /// Asks again while there is no answer and patience lasts.
    fn patiently<T>(&self, mut ask: impl FnMut() -> Result<T, SlurmError>) -> Result<T, SlurmError> {
        let started = Instant::now();
        let mut pause = self.pause;
        loop {
            match ask() {
                Err(SlurmError::Unreachable { program, said }) if started.elapsed() + pause <= self.patience => {
                    tell!("{program} has no answer ({said}); asking again in {:.0} s", pause.as_secs_f64().ceil());
                    thread::sleep(pause);
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                other => return other,
            }
        }
    }

    /// The answer of a command, an error if that is a failure.
    fn ask(&self, program: &'static str, args: &[impl AsRef<OsStr>]) -> Result<Answer, SlurmError> {
        let answer = self.call(program, args)?;
        match answer.success {
            true => Ok(answer),
            false if is_no_answer(&answer.said) => Err(unreachable(program, answer.said)),
            false => Err(SlurmError::Refused { program, said: answer.said }),
        }
    }

    /// The answer about a job, nothing where the controller answers that it does not know it.
    fn ask_about(&self, program: &'static str, args: &[impl AsRef<OsStr>]) -> Result<Option<Answer>, SlurmError> {
        match self.ask(program, args) {
            Err(SlurmError::Refused { said, .. }) if said.contains(UNKNOWN_JOB) => Ok(None),
            other => other.map(Some),
        }
    }

    fn call(&self, program: &'static str, args: &[impl AsRef<OsStr>]) -> Result<Answer, SlurmError> {
        let path = self.programs.as_ref().map_or_else(|| PathBuf::from(program), |folder| folder.join(program));
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (variable, _) in env::vars_os().filter(|(variable, _)| overrules(variable)) {
            command.env_remove(variable);
        }
        let mut child = command.spawn().map_err(|cause| SlurmError::Missing { program, cause })?;
        let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let started = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if started.elapsed() < TIME_OUT => thread::sleep(Duration::from_millis(5)),
                Ok(None) | Err(_) => {
                    // An error means that it has ended meanwhile.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(unreachable(program, format!("it took longer than {} s", TIME_OUT.as_secs())));
                }
            }
        };
        let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().unwrap_or_default());
        let strip = |line: &str| {
            line.trim().trim_start_matches(&format!("{program}: ")).trim_start_matches("error: ").to_owned()
        };
        let said: Vec<String> = stderr.lines().map(strip).filter(|line| !line.is_empty()).collect();
        let said =
            if said.is_empty() && !status.success() { format!("it ended with {status}") } else { said.join("; ") };
        Ok(Answer { success: status.success(), stdout, said })
    }
}

/// Variables that would overrule the directives of the script, or hide jobs from squeue.
fn overrules(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    ["SBATCH_", "SQUEUE_", "SCANCEL_", "SCONTROL_"].iter().any(|start| name.starts_with(start))
        || ["SLURM_CLUSTERS", "SLURM_TIME_FORMAT"].contains(&name.as_ref())
}

/// How a controller that is there says that it knows no such job.
const UNKNOWN_JOB: &str = "Invalid job id";

/// Whether a failed command has its words from a controller that does not answer, or answers nobody just now.
fn is_no_answer(said: &str) -> bool {
    let said = said.to_lowercase();
    let words = [
        "unable to contact",
        "timed out",
        "connection",
        "temporarily",
        "not responding",
        "backup controller",
        "zero bytes",
        "unexpected message",
        "authentication",
        "munge",
        "it ended with",
    ];
    words.iter().any(|word| said.contains(word))
}

fn unreachable(program: &'static str, said: String) -> SlurmError {
    SlurmError::Unreachable { program, said }
}

/// A job's number, as squeue prints it or `sbatch --parsable` does: the cluster may follow.
fn job_number(program: &'static str, printed: &str) -> Result<u64, SlurmError> {
    let number = printed.lines().next().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    number.parse().map_err(|_| unreachable(program, format!("it printed {printed:?} where a job's number belongs")))
}

fn reader(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is to read.
        let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Commands that are shell scripts, asked for 10 s at pauses of 1 ms. Each call leaves a line in `calls`.
    struct Fake {
        dir: tempfile::TempDir,
        client: Client,
    }

    impl Fake {
        fn new(programs: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, body) in programs {
                let (path, text) = (dir.path().join(name), dir.path().join("text"));
                fs::write(&text, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho {name} \"$@\" >> calls\n{body}\n"))
                    .unwrap();
                // Written here, it would be open for writing in whatever another test starts just now, and "busy".
                assert!(Command::new("install").args(["-m", "755"]).args([text, path]).status().unwrap().success());
            }
            let (patience, pause) = (Duration::from_secs(10), Duration::from_millis(1));
            let client = Client { programs: Some(dir.path().to_owned()), patience, pause };
            Self { dir, client }
        }

        fn calls(&self) -> Vec<String> {
            let calls = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
            calls.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
        }

        fn submit(&self) -> Result<u64, SlurmError> {
            self.client.submit(Path::new("job.sh"), "runner-grid-1")
        }
    }

    /// A shell line that fails the first `times` calls as a controller that is down does.
    fn down(times: usize) -> String {
        format!(
            "echo x >> down; [ $(wc -l < down) -gt {times} ] || {{ \
             echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2; exit 1; }}"
        )
    }

    #[test]
    fn a_controller_that_is_down_for_a_while_is_asked_again_and_the_queue_searched_before_each_submission() {
        let fake = Fake::new(&[("sbatch", &format!("{}; echo '41;test'", down(3))), ("squeue", "")]);
        assert_eq!(fake.submit().unwrap(), 41);
        assert_eq!(fake.calls().join(" "), "sbatch squeue sbatch squeue sbatch squeue sbatch");
    }

    #[test]
    fn a_submission_whose_answer_was_lost_is_found_and_not_repeated() {
        let fake = Fake::new(&[
            ("sbatch", "echo 'Socket timed out on send/recv operation' >&2; exit 1"),
            ("squeue", "echo 41; echo 41"),
        ]);
        assert_eq!(fake.submit().unwrap(), 41);
        assert_eq!(fake.calls().join(" "), "sbatch squeue");
    }

    #[test]
    fn a_refusal_is_told_at_once_in_slurms_words() {
        let fake = Fake::new(&[
            ("sbatch", "echo 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1"),
            ("squeue", ""),
        ]);
        let error = fake.submit().unwrap_err().to_string();
        assert_eq!(error, "sbatch refuses: invalid partition specified: gpuu. Change [launcher] in the spec");
        assert_eq!(fake.calls(), ["sbatch"]);
    }

    #[test]
    fn patience_ends() {
        let mut fake = Fake::new(&[("sbatch", &down(1000)), ("squeue", "")]);
        fake.client.patience = Duration::from_millis(20);
        assert!(matches!(fake.submit(), Err(SlurmError::Unreachable { .. })));
    }

    #[test]
    fn an_array_is_gone_only_where_a_controller_says_so() {
        let state = |body: &str| {
            let mut fake = Fake::new(&[("squeue", body)]);
            fake.client.patience = Duration::ZERO;
            fake.client.array(41, "runner-grid-1")
        };
        let gone = ArrayState::Gone { cancelled: false };
        assert_eq!(state("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1").unwrap(), gone);
        assert_eq!(state("").unwrap(), gone);
        for no_answer in [
            "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
            "echo 'squeue: error: If munged is up, restart with --num-threads=10' >&2; exit 1",
            "echo 'something new' >&2; exit 1",
            "exit 1",
            "kill -9 $$",
        ] {
            assert!(state(no_answer).is_err(), "{no_answer}");
        }
        let running = state("echo '41|RUNNING|2026-11-22T06:15:46|None|runner-grid-1'").unwrap();
        assert_eq!(running, ArrayState::Running { running: 1, pending: 0 });
    }

    #[test]
    fn numbers_and_names_are_read_and_nonsense_is_no_answer() {
        let fake = Fake::new(&[
            ("scontrol", "echo 'Configuration data'; echo 'ClusterName             = test'"),
            ("squeue", "echo 40; echo 41"),
            ("scancel", "echo 'scancel: error: Kill job error on job id 41: Invalid job id specified' >&2; exit 1"),
        ]);
        assert_eq!(fake.client.cluster().unwrap(), "test");
        assert_eq!(fake.client.find("runner-grid-1").unwrap(), Some(41));
        fake.client.cancel(41).unwrap();
        assert_eq!(job_number("sbatch", "41;test\n").unwrap(), 41);
        assert!(matches!(job_number("sbatch", "Submitted batch job 41"), Err(SlurmError::Unreachable { .. })));
        assert!(matches!(job_number("sbatch", ""), Err(SlurmError::Unreachable { .. })));
    }

    #[test]
    fn a_machine_without_slurm_is_told_what_to_do() {
        let error = Fake::new(&[]).submit().unwrap_err().to_string();
        assert!(error.starts_with("cannot start sbatch") && error.contains("--launcher local"), "{error}");
    }
}
