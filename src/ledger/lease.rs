//! Leases: who holds a run, or the sweep, and whether that process still lives.
//!
//! The file is locked as long as its holder lives, and says who that is. On one machine the lock tells all: the kernel
//! frees it with the process. Between machines a lock may not hold (some network file systems keep it to themselves), so
//! that what a process of another machine says of itself is believed as long as its heartbeat goes on. No clock is
//! compared with another: a lease is dead when its heartbeat has not changed for [`EXPIRY`] under the eyes of the one who
//! wants it. A mistake costs work and no more, since only the first result counts.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::LedgerError;

/// Time after which a lease whose heartbeat stands still is taken over, if its holder ran on another machine.
pub const EXPIRY: Duration = Duration::from_mins(3);

/// Time between two heartbeats.
const BEAT: Duration = Duration::from_secs(2);

/// For how long someone who looks at a lease may be in the way of who takes it.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: usize = 10;

/// Size of the file, so that a heartbeat is one write in its place.
const SIZE: usize = 512;

/// Who holds a lease, and what for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the machine.
    pub host: String,
    /// Identity of the running system: the same on one machine until it is started again.
    pub boot: String,
    /// Number of the process.
    pub pid: u32,
    /// Changes as long as the holder lives.
    pub beat: u64,
    /// What it does, where it holds a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<Doing>,
}

/// What the holder of a run tells of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Doing {
    /// On which device.
    pub device: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// Tokens seen.
    pub tokens: u64,
    /// Training tokens per second so far; nothing before there is a number.
    pub tokens_per_second: Option<f64>,
}

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lease {
    file: File,
    holder: Holder,
    written: Instant,
}

/// The heartbeats of other machines that a process has seen.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<HashMap<PathBuf, Seen>>);

#[derive(Debug)]
struct Seen {
    holder: Holder,
    since: Instant,
    /// Whether the heartbeat has ever changed under our eyes.
    alive: bool,
}

/// What is known of the one who says that it holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It lives.
    Alive,
    /// It is on another machine, and has not been watched for long enough.
    Unknown,
    /// It is dead.
    Dead,
}

/// Why a lease cannot be had.
#[derive(Debug)]
pub(super) enum Taken {
    /// Its holder lives.
    Alive(Option<Holder>),
    /// It is not known yet whether its holder lives.
    Unknown,
}

/// Whether a file system has no locks, or has them from a service that is not there, as NFS may.
fn has_no_locks(error: &io::Error) -> bool {
    const ENOLCK: i32 = rustix::io::Errno::NOLCK.raw_os_error();
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(ENOLCK)
}

impl Lease {
    /// Takes the lease at `path` unless another holds it.
    pub(super) fn take(path: &Path, watch: &Watch) -> Result<Result<Self, Taken>, LedgerError> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(path);
        let mut file = file.map_err(LedgerError::io("create", path))?;
        let locked = match lock(&mut file) {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Ok(Err(Taken::Alive(read(&mut file)))),
            // Without locks the heartbeat decides alone.
            Err(TryLockError::Error(error)) if has_no_locks(&error) => false,
            Err(TryLockError::Error(cause)) => return Err(LedgerError::io("lock", path)(cause)),
        };
        if let Some(holder) = read(&mut file) {
            match watch.look(path, &holder, locked) {
                Sight::Dead => {}
                Sight::Alive => return Ok(Err(Taken::Alive(Some(holder)))),
                Sight::Unknown => return Ok(Err(Taken::Unknown)),
            }
        }
        let holder =
            Holder { host: host().to_owned(), boot: boot().to_owned(), pid: std::process::id(), ..Holder::default() };
        let mut lease = Self { file, holder, written: Instant::now() };
        lease.write().map_err(LedgerError::io("write", path))?;
        Ok(Ok(lease))
    }

    /// Tells that the holder lives, at most every two seconds.
    pub(super) fn beat(&mut self, doing: impl FnOnce() -> Option<Doing>) {
        if self.written.elapsed() >= BEAT {
            self.holder.doing = doing();
            // Without it another machine may at worst repeat the work.
            let _ = self.write();
        }
    }

    /// Tells what it is held for.
    pub(super) fn begin(&mut self, doing: Doing) {
        self.holder.doing = Some(doing);
        let _ = self.write();
    }

    fn write(&mut self) -> io::Result<()> {
        self.holder.beat += 1;
        self.written = Instant::now();
        let mut text = serde_json::to_vec(&self.holder)?;
        text.resize(text.len().max(SIZE - 1), b' ');
        text.push(b'\n');
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&text)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Empty means free, to other machines as well; where it fails the lease expires.
        let _ = self.file.set_len(0);
        // Closing is not enough where a process that is just being started holds a copy of the descriptor.
        let _ = self.file.unlock();
    }
}

impl Watch {
    /// What is known of the holder of a lease that we have `locked`, or could not lock because locks are unknown there.
    fn look(&self, path: &Path, holder: &Holder, locked: bool) -> Sight {
        // On this machine it would hold the lock.
        if locked && holder.boot == boot() {
            return Sight::Dead;
        }
        let mut seen = self.0.lock().expect("no holder of this lock panics");
        let now = || Seen { holder: holder.clone(), since: Instant::now(), alive: false };
        let seen = seen.entry(path.to_owned()).or_insert_with(now);
        if seen.holder != *holder {
            // A lease that changed hands has not been watched yet.
            let same = (&seen.holder.boot, seen.holder.pid) == (&holder.boot, holder.pid);
            *seen = Seen { alive: same, ..now() };
        }
        match seen.since.elapsed() {
            still if still >= EXPIRY => Sight::Dead,
            _ if seen.alive => Sight::Alive,
            _ => Sight::Unknown,
        }
    }

    /// What is known of the holder of the lease at `path`, without taking it; nothing where it is free.
    pub(super) fn sight(&self, path: &Path) -> Option<Sight> {
        let mut file = File::open(path).ok()?;
        let locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Some(Sight::Alive),
            Err(TryLockError::Error(_)) => false,
        };
        Some(self.look(path, &read(&mut file)?, locked))
    }
}

/// Locks a file. Whoever only looks holds the lock for a moment and writes nothing: where the file does not name a process
/// that lives, it is tried again.
fn lock(file: &mut File) -> Result<(), TryLockError> {
    let is_gone = |holder: &Holder| {
        let process = |pid: &dyn std::fmt::Display| Path::new("/proc").join(pid.to_string()).exists();
        holder.boot == boot() && process(&"self") && !process(&holder.pid)
    };
    for _ in 0..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if read(file).as_ref().is_none_or(is_gone) => thread::sleep(LOOK),
            other => return other,
        }
    }
    file.try_lock()
}

/// The holder of a lease, if a process seems to hold it; without taking it.
pub(super) fn holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(path).ok()?;
    let holder = read(&mut file);
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Some(holder.unwrap_or_default()),
        Ok(()) => holder.filter(|holder| holder.boot != boot()),
        Err(TryLockError::Error(_)) => holder,
    }
}

/// What is written in it; nothing where it is free, or torn by a crash of the machine.
fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    let _ = file.take(4 * SIZE as u64).read_to_string(&mut text);
    serde_json::from_str(text.trim()).ok()
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            0 => f.write_str("an unknown process"),
            pid => write!(f, "process {pid} on {}", self.host),
        }
    }
}

/// Name of this machine.
pub fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| system("hostname"))
}

/// Identity of the running system.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| system("random/boot_id"))
}

/// A fact of the kernel; where there is none to ask, a text that is the same for all processes.
fn system(name: &str) -> String {
    fs::read_to_string(Path::new("/proc/sys/kernel").join(name))
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(beat: u64) -> Holder {
        Holder { host: "other".to_owned(), boot: "other".to_owned(), pid: 7, beat, doing: None }
    }

    #[test]
    fn a_process_of_another_machine_is_dead_only_when_its_heartbeat_stands_still_under_our_eyes() {
        let (watch, path) = (Watch::default(), Path::new("lock"));
        let look = |beat| watch.look(path, &other(beat), true);
        let later = |by: Duration| {
            for seen in watch.0.lock().unwrap().values_mut() {
                seen.since = seen.since.checked_sub(by).expect("the machine has run for longer");
            }
        };
        assert_eq!((look(1), look(1)), (Sight::Unknown, Sight::Unknown));
        later(EXPIRY / 2);
        assert_eq!(look(2), Sight::Alive);
        later(EXPIRY / 2);
        assert_eq!(look(2), Sight::Alive, "not long enough");
        later(EXPIRY / 2);
        assert_eq!(look(2), Sight::Dead);
        assert_eq!(look(3), Sight::Alive, "it was only slow");
    }

    #[test]
    fn a_dead_process_of_this_machine_holds_nobody_back_where_locks_are_known() {
        let watch = Watch::default();
        let ours = Holder { boot: boot().to_owned(), pid: 1, ..Holder::default() };
        assert_eq!(watch.look(Path::new("lock"), &ours, true), Sight::Dead);
        let theirs = Holder { boot: "other".to_owned(), ..ours };
        assert_eq!(watch.look(Path::new("lock"), &theirs, false), Sight::Unknown, "it is watched");
    }
}
