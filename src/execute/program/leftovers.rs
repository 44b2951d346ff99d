//! Processes that a program started and that outlived it. Most share its process group. What began a session of its own, as
//! the workers of `torchrun` do, or lost its trainer to a `kill -9`, is found on Linux by a mark in its environment.

use std::path::Path;
use std::thread;
use std::time::Duration;

/// The variable that marks a program and whatever it starts.
pub(super) const MARK: &str = "RUNNER_ATTEMPT";

/// The mark of what this process starts to train the run that `config` describes.
pub(super) fn mark(config: &Path) -> String {
    format!("{} {}", std::process::id(), config.display())
}

/// Ends what was started to train the run that `config` describes, whichever worker started it.
pub(super) fn end_of_run(config: &Path) {
    let config = config.display().to_string();
    end(&|_, theirs| theirs == config);
}

/// Ends what programs left behind that the worker with this number had started.
pub fn end_of_worker(pid: u32) {
    let pid = pid.to_string();
    end(&|worker, _| worker == pid);
}

/// How long ended processes are waited for, so that what they held of a device is free: looks, and the time between two.
const LOOKS: usize = 500;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ends every process whose mark, a worker's number and a file, is meant.
fn end(meant: &dyn Fn(&str, &str) -> bool) {
    for _ in 0..LOOKS {
        if !kill(meant) {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Kills every process that is meant and tells whether there was one.
#[cfg(target_os = "linux")]
fn kill(meant: &dyn Fn(&str, &str) -> bool) -> bool {
    use std::fs;

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.parse().ok());
    let prefix = format!("{MARK}=");
    let mut any = false;
    for pid in numbers.filter(|pid| u32::try_from(*pid) != Ok(std::process::id())).filter_map(Pid::from_raw) {
        // Opened before its environment is read: the signal cannot reach another process that got its number.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        let mark = environment.split(|byte| *byte == 0).find_map(|pair| pair.strip_prefix(prefix.as_bytes()));
        let mark = mark.and_then(|mark| std::str::from_utf8(mark).ok()?.split_once(' '));
        if mark.is_some_and(|(worker, config)| meant(worker, config)) {
            // An error means that it has ended by itself.
            any |= pidfd_send_signal(process, Signal::KILL).is_ok();
        }
    }
    any
}

/// Elsewhere no process tells its environment.
#[cfg(not(target_os = "linux"))]
fn kill(_: &dyn Fn(&str, &str) -> bool) -> bool {
    false
}
