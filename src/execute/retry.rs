//! What is done about a failure: by its class, by how often the run has failed, and on which devices.

use std::process::ExitStatus;

use crate::ledger::{Failure, FailureClass};

/// A run is tried this many times by one sweep, unless its configuration is at fault or memory is short.
const ATTEMPTS: usize = 3;

/// A run that did not fit into memory is tried this many times on each device, each with micro-batches half as large.
const ATTEMPTS_FOR_MEMORY: usize = 2;

/// A run that was so often in a process that ended with others in it is trained alone: then it is known whose fault it is.
const SHARED_ENDS: usize = 2;

fn count(failures: &[Failure], class: FailureClass) -> usize {
    failures.iter().filter(|failure| failure.class == class).count()
}

/// How often memory was short on a device. A failure that names none may have been there.
fn short_on(failures: &[Failure], device: &str) -> usize {
    let here = |failure: &&Failure| failure.device.as_deref().is_none_or(|at| at == device);
    failures.iter().filter(here).filter(|failure| failure.class == FailureClass::OutOfMemory).count()
}

/// Whether a run with these failures is given up by a sweep on these devices: for a lack of memory only where it was short on
/// all of them, since others may fill one. Failures that may have been a neighbour's do not count.
pub(super) fn is_hopeless(failures: &[Failure], devices: &[String]) -> bool {
    let counted = |class| count(failures, class);
    let own = failures.len() - counted(FailureClass::Shared) - counted(FailureClass::OutOfMemory);
    counted(FailureClass::Configuration) > 0
        || own >= ATTEMPTS
        || !devices.is_empty() && devices.iter().all(|device| short_on(failures, device) >= ATTEMPTS_FOR_MEMORY)
}

/// Whether a run is left to other devices: memory was short for it on this one, and less often on another.
pub(super) fn is_for_others(failures: &[Failure], device: &str, devices: &[String]) -> bool {
    let here = short_on(failures, device);
    devices.iter().any(|other| short_on(failures, other) < here)
}

/// Whether a run with these failures is trained without neighbours.
pub(super) fn is_alone(failures: &[Failure]) -> bool {
    count(failures, FailureClass::Shared) >= SHARED_ENDS
}

/// Parts into which batches are cut on a device after these failures.
pub(super) fn micro_batches(failures: &[Failure], device: &str) -> usize {
    1 << short_on(failures, device)
}

/// The class of an error, by its words: every library has its own for a lack of memory.
pub(super) fn class_of_words(words: &str) -> FailureClass {
    let words = words.to_lowercase();
    let short = ["out of memory", "outofmemory", "out_of_memory", "memory allocation of", "not enough memory"];
    if short.iter().any(|phrase| words.contains(phrase)) { FailureClass::OutOfMemory } else { FailureClass::Crash }
}

/// The class of a worker's death: by its last line, since those before may be about anything, and only where it ended by
/// itself, as it also does by SIGABRT. Who is killed has no last words.
pub(super) fn class_of_death(status: ExitStatus, last_line: &str) -> FailureClass {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status)
        && signal != signal_hook::consts::SIGABRT
    {
        return FailureClass::Crash;
    }
    #[cfg(not(unix))]
    let _ = status;
    class_of_words(last_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(classes: &[FailureClass]) -> Vec<Failure> {
        classes.iter().map(|&class| Failure { class, message: String::new(), device: None }).collect()
    }

    /// Failures for a lack of memory on these devices.
    fn short(devices: &[&str]) -> Vec<Failure> {
        let failure = |device: &&str| Failure {
            class: FailureClass::OutOfMemory,
            message: String::new(),
            device: Some((*device).to_owned()),
        };
        devices.iter().map(failure).collect()
    }

    fn named(devices: &[&str]) -> Vec<String> {
        devices.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_run_is_given_up_by_the_class_of_its_failures() {
        use FailureClass::{Configuration, Crash, Device, Hang, OutOfMemory, Shared};
        for (classes, hopeless) in [
            (&[][..], false),
            (&[Configuration], true),
            (&[OutOfMemory], false),
            (&[OutOfMemory, OutOfMemory], true),
            (&[Device, Crash], false),
            (&[Device, OutOfMemory], false),
            (&[Device, Crash, Hang], true),
            (&[Shared, Device, Shared, Crash, Shared], false),
            (&[Shared, Device, Crash, Crash], true),
        ] {
            assert_eq!(is_hopeless(&failures(classes), &named(&["cuda:0"])), hopeless, "{classes:?}");
        }
        assert!(!is_alone(&failures(&[Shared, Crash, Crash])) && is_alone(&failures(&[Shared, Crash, Shared])));
        assert_eq!(micro_batches(&failures(&[]), "cuda:0"), 1);
        assert_eq!(micro_batches(&failures(&[Crash, OutOfMemory]), "cuda:0"), 2);
    }

    #[test]
    fn memory_that_is_short_on_one_device_sends_a_run_to_the_others_whole_and_gives_it_up_only_after_all() {
        let both = named(&["a", "b"]);
        for (failed, left_by, hopeless) in [
            (&[][..], [false, false], false),
            (&["a"][..], [true, false], false),
            (&["a", "b"], [false, false], false),
            (&["a", "b", "b"], [false, true], false),
            (&["b", "b"], [false, true], false),
            (&["a", "b", "b", "a"], [false, false], true),
        ] {
            let failed = short(failed);
            assert_eq!(["a", "b"].map(|device| is_for_others(&failed, device, &both)), left_by, "{failed:?}");
            assert_eq!(is_hopeless(&failed, &both), hopeless, "{failed:?}");
        }
        assert_eq!(["a", "b"].map(|device| micro_batches(&short(&["a"]), device)), [2, 1]);
        // A device that gets no more runs is not waited for.
        assert!(is_hopeless(&short(&["b", "b"]), &both[1..]) && !is_for_others(&short(&["b"]), "b", &both[1..]));
        // They are not counted as attempts.
        let mut mixed = short(&["a", "a", "b"]);
        mixed.extend(failures(&[FailureClass::Device, FailureClass::Crash]));
        assert!(!is_hopeless(&mixed, &both));
    }

    #[test]
    fn a_lack_of_memory_is_known_by_its_words() {
        for words in ["CUDA_ERROR_OUT_OF_MEMORY", "memory allocation of 64 bytes failed", "wgpu: Out of Memory"] {
            assert_eq!(class_of_words(words), FailureClass::OutOfMemory, "{words}");
        }
        assert_eq!(class_of_words("segmentation fault"), FailureClass::Crash);
    }

    #[cfg(unix)]
    #[test]
    fn a_worker_that_was_killed_was_not_short_of_memory_whatever_it_said() {
        let died = |signal| <ExitStatus as std::os::unix::process::ExitStatusExt>::from_raw(signal);
        let words = "memory allocation of 64 bytes failed";
        for (status, class) in [
            (died(9), FailureClass::Crash),
            (died(11), FailureClass::Crash),
            (died(6), FailureClass::OutOfMemory),
            (died(1 << 8), FailureClass::OutOfMemory),
        ] {
            assert_eq!(class_of_death(status, words), class, "{status}");
        }
        assert_eq!(class_of_death(died(1 << 8), "gone"), FailureClass::Crash);
    }
}
