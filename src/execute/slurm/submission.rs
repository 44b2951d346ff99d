//! The record of what was submitted for a results folder, and what is done with it: submit, look after, cancel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{ArrayState, Client, FOLDER, SlurmError};
use crate::ledger::{Ledger, LedgerError};

/// One submitted array. Written before it is submitted, so that a crash between the two loses no job: it is found again
/// by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The jobs' name, of which there is no other.
    pub name: String,
    /// The cluster.
    pub cluster: String,
    /// The array's number; nothing until sbatch has answered.
    pub job: Option<u64>,
    /// Tasks of the array.
    pub tasks: usize,
    /// Whether we were asked to cancel it.
    pub cancelled: bool,
    /// Whether its runs were reported, so that the next call begins anew with those that failed.
    pub concluded: bool,
}

const RECORD: &str = "submission.json";

impl Submission {
    /// The record in a results folder, if there is one.
    pub fn read(dir: &Path) -> Result<Option<Self>, SlurmError> {
        let path = dir.join(FOLDER).join(RECORD);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(LedgerError::Io { action: "read", path, cause }.into()),
        };
        let damaged = |error: serde_json::Error| LedgerError::Damaged { path, reason: error.to_string() };
        Ok(Some(serde_json::from_slice(&content).map_err(damaged)?))
    }

    /// Submits an array of so many tasks. `script` gives the batch script for the jobs' name.
    pub fn submit(
        ledger: &Ledger,
        client: &Client,
        sweep: &str,
        tasks: usize,
        script: impl Fn(&str) -> Result<String, SlurmError>,
    ) -> Result<Self, SlurmError> {
        // Slurm is asked first: without a controller nothing is written.
        let cluster = client.cluster()?;
        let mut submission = Self {
            name: format!("runner-{sweep}-{:08x}", unique()),
            cluster,
            job: None,
            tasks,
            cancelled: false,
            concluded: false,
        };
        let logs = logs(ledger.dir());
        fs::create_dir_all(&logs).map_err(|cause| LedgerError::Io { action: "create", path: logs, cause })?;
        let text = script(&submission.name)?;
        ledger.write_derived(&format!("{FOLDER}/job.sh"), text.as_bytes())?;
        submission.write(ledger)?;
        match client.submit(&ledger.dir().join(FOLDER).join("job.sh"), &submission.name) {
            Ok(job) => submission.job = Some(job),
            Err(error) => {
                if matches!(error, SlurmError::Refused { .. }) {
                    // Nothing came to be; if the record stays, the next call finds no such job and goes on as well.
                    let _ = fs::remove_file(ledger.dir().join(FOLDER).join(RECORD));
                }
                return Err(error);
            }
        }
        submission.write(ledger)?;
        Ok(submission)
    }

    /// Takes up what an earlier call submitted: finds its number if that call died before it had it.
    pub fn take_up(ledger: &Ledger, client: &Client) -> Result<Option<Self>, SlurmError> {
        let Some(mut submission) = Self::read(ledger.dir())? else { return Ok(None) };
        if submission.job.is_none() {
            submission.job = client.find(&submission.name)?;
            if submission.job.is_none() {
                // It never came to be, or is over and forgotten.
                return Ok(None);
            }
            submission.write(ledger)?;
        }
        Ok(Some(submission))
    }

    /// How the array stands.
    pub fn state(&self, client: &Client) -> ArrayState {
        match self.look(client) {
            Ok(state) => state,
            Err(SlurmError::Missing { program, cause }) => {
                ArrayState::Unknown { said: format!("cannot start {program}: {cause}") }
            }
            Err(SlurmError::Unreachable { said, .. } | SlurmError::Refused { said, .. }) => {
                ArrayState::Unknown { said }
            }
            Err(error) => ArrayState::Unknown { said: error.to_string() },
        }
    }

    fn look(&self, client: &Client) -> Result<ArrayState, SlurmError> {
        let state = match self.job {
            Some(job) => client.array(job, &self.name)?,
            None => match client.find(&self.name)? {
                Some(job) => client.array(job, &self.name)?,
                None => ArrayState::Gone { cancelled: false },
            },
        };
        // Another cluster does not know the job either.
        if let ArrayState::Gone { .. } = state {
            let here = client.cluster()?;
            if here != self.cluster {
                let said = format!("it was submitted on cluster {}, and this is {here}", self.cluster);
                return Ok(ArrayState::Unknown { said });
            }
        }
        Ok(state)
    }

    /// Cancels the array; tasks that run are told to stop and have Slurm's `KillWait` to do so.
    pub fn cancel(&mut self, ledger: &Ledger, client: &Client) -> Result<(), SlurmError> {
        // Recorded first: whoever watches the array must not submit it again.
        self.cancelled = true;
        self.write(ledger)?;
        match self.job {
            Some(job) => client.cancel(job),
            None => Ok(()),
        }
    }

    /// Cancels tasks that have not begun, because nothing is left to do.
    pub fn drop_pending(&self, client: &Client) -> Result<(), SlurmError> {
        self.job.map_or(Ok(()), |job| client.cancel_pending(job))
    }

    /// Records that the runs were reported.
    pub fn conclude(&mut self, ledger: &Ledger) -> Result<(), SlurmError> {
        self.concluded = true;
        self.write(ledger)
    }

    fn write(&self, ledger: &Ledger) -> Result<(), SlurmError> {
        let mut json = serde_json::to_vec_pretty(self).expect("the record has only string keys");
        json.push(b'\n');
        Ok(ledger.write_derived(&format!("{FOLDER}/{RECORD}"), &json)?)
    }
}

/// Folder of the tasks' logs.
pub fn logs(dir: &Path) -> PathBuf {
    dir.join(FOLDER).join("logs")
}

/// A number that hardly any other submission has.
fn unique() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let hash = blake3::hash(format!("{now} {}", std::process::id()).as_bytes());
    u32::from_le_bytes(hash.as_bytes()[..4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::slurm;
    use crate::ledger::testing::ledger;

    #[test]
    fn the_state_is_nothing_without_a_submission_and_unknown_where_its_cluster_is_not() {
        let (_dir, ledger) = ledger(1);
        assert_eq!(slurm::state(ledger.dir()).unwrap(), None);
        let submission = Submission {
            name: "runner-grid-0badcafe".to_owned(),
            cluster: "a cluster that is not here".to_owned(),
            job: Some(u64::from(u32::MAX)),
            tasks: 2,
            cancelled: false,
            concluded: false,
        };
        fs::create_dir(ledger.dir().join(FOLDER)).unwrap();
        submission.write(&ledger).unwrap();
        assert_eq!(Submission::read(ledger.dir()).unwrap(), Some(submission));
        // Whether this machine has no Slurm, one that is down, or one that does not know the job.
        assert!(matches!(slurm::state(ledger.dir()).unwrap(), Some(ArrayState::Unknown { .. })));
        fs::write(ledger.dir().join(FOLDER).join(RECORD), "{\"name\": ").unwrap();
        assert!(slurm::state(ledger.dir()).unwrap_err().to_string().contains("submission.json is damaged"));
    }

    #[test]
    fn submissions_have_names_of_their_own() {
        assert_ne!(unique(), unique());
    }
}
