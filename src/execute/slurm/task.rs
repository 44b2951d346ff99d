//! A task of the array, as seen from inside: who it is, and being queued again.

use std::env;

use signal_hook::consts::SIGUSR1;

use super::{Client, SlurmError};

/// Whether a signal says that the time limit is near, and the task wants queueing again. After a preemption Slurm does
/// so itself, and after a cancellation nobody should.
pub fn is_time_limit(signal: i32) -> bool {
    signal == SIGUSR1
}

/// The task that this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// How Slurm's commands address it alone: `A_T`. Its own job number would do for most tasks, but that of the last
    /// one is the array's.
    pub address: String,
    /// How often it was queued again before.
    pub restarts: u32,
}

impl Task {
    /// Reads the environment that Slurm gives a task; nothing outside one.
    pub fn from_env() -> Option<Self> {
        Self::from(|name| env::var(name).ok())
    }

    fn from(var: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name| var(name)?.parse::<u64>().ok();
        let address = match (number("SLURM_ARRAY_JOB_ID"), number("SLURM_ARRAY_TASK_ID")) {
            (Some(array), Some(task)) => format!("{array}_{task}"),
            _ => number("SLURM_JOB_ID")?.to_string(),
        };
        let restarts = number("SLURM_RESTART_COUNT").and_then(|count| count.try_into().ok()).unwrap_or(0);
        Some(Self { address, restarts })
    }

    /// Asks to be queued again; Slurm then ends this process.
    pub fn requeue(&self, client: &Client) -> Result<(), SlurmError> {
        client.requeue(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(vars: &[(&str, &str)]) -> Option<Task> {
        Task::from(|name| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_task_is_addressed_by_array_and_index() {
        let vars = [("SLURM_JOB_ID", "44"), ("SLURM_ARRAY_JOB_ID", "41"), ("SLURM_ARRAY_TASK_ID", "2")];
        assert_eq!(task(&vars), Some(Task { address: "41_2".to_owned(), restarts: 0 }));
        let vars = [("SLURM_JOB_ID", "44"), ("SLURM_RESTART_COUNT", "3")];
        assert_eq!(task(&vars), Some(Task { address: "44".to_owned(), restarts: 3 }));
        assert_eq!(task(&[("SLURM_JOB_ID", "; rm")]), None);
        assert_eq!(task(&[]), None);
    }
}
