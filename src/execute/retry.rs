//! What is done about a failure: by its class, and by how often the run has failed.

use crate::ledger::{Failure, FailureClass};

/// A run is tried this many times by one sweep, unless its configuration is at fault or memory is short.
const ATTEMPTS: usize = 3;

/// A run that did not fit into memory is tried this many times, each with micro-batches half as large.
const ATTEMPTS_FOR_MEMORY: usize = 2;

/// A run that was so often in a process that ended with others in it is trained alone: then it is known whose fault it is.
const SHARED_ENDS: usize = 2;

fn count(failures: &[Failure], class: FailureClass) -> usize {
    failures.iter().filter(|failure| failure.class == class).count()
}

/// Whether a run with these failures is given up. Those that may have been a neighbour's do not count.
pub(super) fn is_hopeless(failures: &[Failure]) -> bool {
    count(failures, FailureClass::Configuration) > 0
        || count(failures, FailureClass::OutOfMemory) >= ATTEMPTS_FOR_MEMORY
        || failures.len() - count(failures, FailureClass::Shared) >= ATTEMPTS
}

/// Whether a run with these failures is trained without neighbours.
pub(super) fn is_alone(failures: &[Failure]) -> bool {
    count(failures, FailureClass::Shared) >= SHARED_ENDS
}

/// Parts into which batches are cut after these failures.
pub(super) fn micro_batches(failures: &[Failure]) -> usize {
    1 << count(failures, FailureClass::OutOfMemory)
}

/// The class of a death, by the last words: every library has its own for a lack of memory.
pub(super) fn class_of_death(last_words: &str) -> FailureClass {
    let words = last_words.to_lowercase();
    let short = ["out of memory", "outofmemory", "out_of_memory", "memory allocation of", "not enough memory"];
    if short.iter().any(|phrase| words.contains(phrase)) { FailureClass::OutOfMemory } else { FailureClass::Crash }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(classes: &[FailureClass]) -> Vec<Failure> {
        classes.iter().map(|&class| Failure { class, message: String::new(), device: None }).collect()
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
            assert_eq!(is_hopeless(&failures(classes)), hopeless, "{classes:?}");
        }
        assert!(!is_alone(&failures(&[Shared, Crash, Crash])) && is_alone(&failures(&[Shared, Crash, Shared])));
        assert_eq!(micro_batches(&failures(&[])), 1);
        assert_eq!(micro_batches(&failures(&[Crash, OutOfMemory])), 2);
    }

    #[test]
    fn a_lack_of_memory_is_known_by_its_words() {
        for words in ["CUDA_ERROR_OUT_OF_MEMORY", "memory allocation of 64 bytes failed", "wgpu: Out of Memory"] {
            assert_eq!(class_of_death(words), FailureClass::OutOfMemory, "{words}");
        }
        assert_eq!(class_of_death("segmentation fault"), FailureClass::Crash);
    }
}
