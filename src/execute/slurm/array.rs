//! How an array of jobs stands, read from what squeue prints.

use std::fmt;

use crate::units::count;

/// How an array stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrayState {
    /// No task runs yet, or just now.
    Pending {
        /// Tasks that wait.
        tasks: usize,
        /// Slurm's word for why, such as `Resources`, or `BeginTime` after a task was queued again.
        reason: String,
        /// When it expects the first to start, where it does.
        start: Option<String>,
    },
    /// Some tasks run.
    Running {
        /// Tasks that run.
        running: usize,
        /// Tasks that wait.
        pending: usize,
    },
    /// All tasks have ended, or the controller has forgotten them, which it does some minutes after their end.
    Gone {
        /// Whether the controller still knows that tasks were cancelled.
        cancelled: bool,
    },
    /// It cannot be told, mostly because the controller is down. The array may well be alive.
    Unknown {
        /// What Slurm said.
        said: String,
    },
}

impl fmt::Display for ArrayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending { tasks, reason, start: None } => write!(f, "{} pending ({reason})", count(*tasks, "task")),
            Self::Pending { tasks, reason, start: Some(start) } => {
                write!(f, "{} pending ({reason}), the first not before {start}", count(*tasks, "task"))
            }
            Self::Running { running, pending } => write!(f, "{} running, {pending} pending", count(*running, "task")),
            Self::Gone { cancelled: false } => write!(f, "all tasks have ended"),
            Self::Gone { cancelled: true } => write!(f, "cancelled"),
            Self::Unknown { said } => write!(f, "unknown, Slurm has no answer: {said}"),
        }
    }
}

/// What squeue is asked to print, one line a task: array, state, start, reason, name. Names of other people's jobs may
/// hold anything and come last.
pub(super) const FORMAT: &str = "%F|%T|%S|%r|%j";

/// Reads what squeue printed about job `id`, if it is the job called `name`: numbers are used again after years, or
/// after a cluster was set up anew.
pub(super) fn parse(printed: &str, id: u64, name: &str) -> ArrayState {
    let (mut waiting, mut running, mut cancelled) = (Vec::new(), 0, false);
    for line in printed.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.trim().splitn(5, '|').collect();
        let [array, state, start, reason, called] = fields.as_slice() else {
            return ArrayState::Unknown { said: format!("squeue printed {line:?}") };
        };
        if array.parse() != Ok(id) || *called != name {
            continue;
        }
        match *state {
            "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" => waiting.push((*start, *reason)),
            "CANCELLED" => cancelled = true,
            "BOOT_FAIL" | "COMPLETED" | "DEADLINE" | "FAILED" | "NODE_FAIL" | "OUT_OF_MEMORY" | "PREEMPTED"
            | "REVOKED" | "TIMEOUT" => {}
            // Running, completing, configuring, suspended, and whatever later versions call a job that is not over.
            _ => running += 1,
        }
    }
    // A time where one is known, otherwise N/A; they are written so that they sort.
    let start = waiting.iter().map(|(start, _)| *start).filter(|start| start.starts_with(|c: char| c.is_ascii_digit()));
    match waiting.as_slice() {
        [] if running == 0 => ArrayState::Gone { cancelled },
        [(_, reason), ..] if running == 0 => ArrayState::Pending {
            tasks: waiting.len(),
            reason: (*reason).to_owned(),
            start: start.min().map(str::to_owned),
        },
        waiting => ArrayState::Running { running, pending: waiting.len() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "runner-grid-1";

    fn state(lines: &[&str]) -> ArrayState {
        parse(&lines.join("\n"), 41, NAME)
    }

    #[test]
    fn tasks_are_counted_by_what_they_do() {
        let running = "41|RUNNING|2026-11-22T06:15:46|None|runner-grid-1";
        let waiting = "41|PENDING|2026-11-22T06:17:00|BeginTime|runner-grid-1";
        let done = "41|COMPLETED|2026-11-22T06:15:46|None|runner-grid-1";
        assert_eq!(state(&[running, waiting, done]), ArrayState::Running { running: 1, pending: 1 });
        let held = "41|PENDING|N/A|JobHeldAdmin|runner-grid-1";
        let expected = ArrayState::Pending {
            tasks: 2,
            reason: "JobHeldAdmin".to_owned(),
            start: Some("2026-11-22T06:17:00".to_owned()),
        };
        assert_eq!(state(&[held, waiting]), expected);
        assert_eq!(expected.to_string(), "2 tasks pending (JobHeldAdmin), the first not before 2026-11-22T06:17:00");
        assert_eq!(state(&[done, done]), ArrayState::Gone { cancelled: false });
        assert_eq!(state(&[done, &done.replace("COMPLETED", "CANCELLED")]), ArrayState::Gone { cancelled: true });
        assert_eq!(state(&[]), ArrayState::Gone { cancelled: false });
        assert_eq!(
            state(&[&running.replace("RUNNING", "HIBERNATING")]),
            ArrayState::Running { running: 1, pending: 0 }
        );
    }

    #[test]
    fn the_same_number_of_another_job_is_not_ours() {
        assert_eq!(state(&["41|RUNNING|N/A|None|some|body's"]), ArrayState::Gone { cancelled: false });
        assert_eq!(state(&["42|RUNNING|N/A|None|runner-grid-1"]), ArrayState::Gone { cancelled: false });
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_not_gone() {
        assert!(matches!(state(&["Segmentation fault"]), ArrayState::Unknown { .. }));
    }
}
