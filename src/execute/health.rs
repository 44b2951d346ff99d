//! Which devices can still be trusted.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::ledger::{Failure, FailureClass};
use crate::plan::RunId;

/// A device that fails so many different runs, each quickly and with none in between that ends well, gets no more. One
/// run that fails again and again is the run's fault.
const FAILURES: usize = 3;

/// A failure within this time is quick.
const QUICKLY: Duration = Duration::from_mins(1);

/// What is known of the devices.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Devices on which some run ended well.
    good: BTreeSet<String>,
    /// What went wrong on each device since it last did well.
    troubles: HashMap<String, Trouble>,
    /// Devices that get no more runs, with the last reason.
    pub(super) quarantined: Vec<(String, String)>,
    /// Runs that ended without a result for one reason, one after another, and the reason.
    fruitless: (String, BTreeSet<RunId>),
}

/// What went wrong on a device.
#[derive(Debug, Default)]
struct Trouble {
    /// Runs that failed quickly by its fault.
    failed: BTreeSet<RunId>,
    /// Runs that were in a process which died with several in it.
    suspects: BTreeSet<RunId>,
    /// What programs failed.
    doubt: Doubt,
    /// Runs that memory was short for, one after another.
    short: BTreeSet<RunId>,
    /// Whether it waits, for their sake, until another device ends a run.
    is_full: bool,
}

/// Runs that a program failed, one after another. Either it cannot train them, or the device has broken.
#[derive(Debug, Default)]
struct Doubt {
    /// The different runs that failed quickly.
    runs: BTreeSet<RunId>,
    /// Whether it waits until another device ends a run.
    rests: bool,
    /// What the last of them said.
    message: String,
}

impl Health {
    /// Notes that a run ended well. That one of the runs which failed on another device ends well here shows that it was the other
    /// device's fault: devices that are now to be left alone are told. One that waits may try one more run.
    pub(super) fn worked(&mut self, device: &str, run: &RunId) -> Vec<String> {
        self.good.insert(device.to_owned());
        self.troubles.remove(device);
        let mut bad = Vec::new();
        for (other, Trouble { doubt, is_full, .. }) in &mut self.troubles {
            (doubt.rests, *is_full) = (false, false);
            if doubt.runs.len() >= FAILURES && doubt.runs.contains(run) {
                bad.push((other.clone(), doubt.message.clone()));
            }
        }
        bad.retain(|(other, _)| !self.is_quarantined(other));
        self.quarantined.extend(bad.iter().cloned());
        bad.into_iter().map(|(other, _)| other).collect()
    }

    /// Whether a device waits until another one ends a run.
    pub(super) fn is_resting(&self, device: &str) -> bool {
        self.troubles.get(device).is_some_and(|trouble| trouble.doubt.rests || trouble.is_full)
    }

    fn trouble(&mut self, device: &str) -> &mut Trouble {
        self.troubles.entry(device.to_owned()).or_default()
    }

    /// Whether a process that died with several runs tells something new of its device: where one of them was in such a
    /// process before, that run may be to blame.
    pub(super) fn is_news<'a>(&mut self, device: &str, company: impl Iterator<Item = &'a RunId>) -> bool {
        let suspects = &mut self.trouble(device).suspects;
        company.filter(|run| !suspects.insert((*run).clone())).count() == 0
    }

    /// Notes a failure this long after the claim; tells whether the device is now to be left alone.
    pub(super) fn failed(&mut self, device: &str, run: &RunId, failure: &Failure, after: Option<Duration>) -> bool {
        let quickly = after.is_some_and(|after| after < QUICKLY);
        let its_fault = match failure.class {
            FailureClass::Device | FailureClass::Crash | FailureClass::Shared => true,
            FailureClass::Program => self.only_others_do_well(device),
            FailureClass::Configuration | FailureClass::OutOfMemory | FailureClass::Hang => false,
        };
        if failure.class == FailureClass::OutOfMemory {
            // Somebody else may fill it; the runs may do well where there is room.
            let trouble = self.trouble(device);
            trouble.short.insert(run.clone());
            trouble.is_full = trouble.short.len() >= FAILURES;
        }
        if quickly && failure.class == FailureClass::Program {
            // Were the device to go on, a broken one would use up the tries of all runs.
            let doubt = &mut self.trouble(device).doubt;
            doubt.runs.insert(run.clone());
            doubt.rests = doubt.runs.len() >= FAILURES;
            failure.message.clone_into(&mut doubt.message);
        }
        if !quickly || !its_fault {
            return false;
        }
        let failed = &mut self.trouble(device).failed;
        failed.insert(run.clone());
        if failed.len() < FAILURES || self.is_quarantined(device) {
            return false;
        }
        self.quarantined.push((device.to_owned(), failure.message.clone()));
        true
    }

    /// Notes that the program of a run did something wrong. Where the first runs do so for one reason and none has ended well, the
    /// rest will too: tells whether that is so.
    pub(super) fn is_fruitless(&mut self, run: &RunId, failure: &Failure) -> bool {
        if failure.class != FailureClass::Configuration || !self.good.is_empty() {
            return false;
        }
        // Without the end of its log, numbers of lines and losses.
        let what = failure.message.split(". What it printed").next().unwrap_or_default();
        let reason: String = what.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        if reason != self.fruitless.0 {
            self.fruitless = (reason, BTreeSet::new());
        }
        self.fruitless.1.insert(run.clone());
        self.fruitless.1.len() >= FAILURES
    }

    /// Whether runs end well on other devices and never did on this one. A program that ends badly says nothing of its device
    /// otherwise: it may not take models of some sizes, and those are trained one after the other.
    fn only_others_do_well(&self, device: &str) -> bool {
        !self.good.is_empty() && !self.good.contains(device)
    }

    /// Whether a device gets no more runs.
    pub(super) fn is_quarantined(&self, device: &str) -> bool {
        self.quarantined.iter().any(|(bad, _)| bad == device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::planned;

    #[test]
    fn a_device_that_fails_three_runs_in_a_row_is_bad_and_a_run_that_fails_three_times_is_not_its_fault() {
        let run = |depth| planned(depth, 0).id;
        let crash = Failure { class: FailureClass::Crash, message: "gone".to_owned(), device: None };
        let quickly = Some(Duration::from_secs(1));
        let mut health = Health::default();
        assert!((0..5).all(|_| !health.failed("cuda:0", &run(1), &crash, quickly)));
        assert!(!health.failed("cuda:0", &run(2), &crash, quickly));
        assert!(!health.failed("cuda:1", &run(3), &crash, quickly), "another device");
        assert!(!health.failed("cuda:0", &run(3), &crash, Some(Duration::from_hours(1))), "not quickly");
        let wrong = Failure { class: FailureClass::OutOfMemory, ..crash.clone() };
        assert!(!health.failed("cuda:0", &run(3), &wrong, quickly), "the run's fault");
        assert!(health.failed("cuda:0", &run(3), &crash, quickly));
        assert!(health.is_quarantined("cuda:0") && !health.is_quarantined("cuda:1"));
        health.worked("cuda:1", &run(9));
        assert!((1..3).all(|depth| !health.failed("cuda:1", &run(depth), &crash, quickly)), "it did well in between");
    }

    #[test]
    fn a_device_without_room_for_three_runs_in_a_row_waits_for_another_and_is_not_given_up() {
        let run = |depth| planned(depth, 0).id;
        let failure = Failure { class: FailureClass::OutOfMemory, message: "full".to_owned(), device: None };
        let mut health = Health::default();
        let fails = |health: &mut Health, depth| {
            assert!(!health.failed("cuda:0", &run(depth), &failure, None));
            health.is_resting("cuda:0")
        };
        assert!([1, 1, 2].into_iter().all(|depth| !fails(&mut health, depth)) && fails(&mut health, 3));
        assert!(!health.is_resting("cuda:1"));
        // Each run that ends elsewhere lets it try one more, until one ends here.
        assert_eq!(health.worked("cuda:1", &run(1)), [""; 0], "no sign of a bad device");
        assert!(!health.is_resting("cuda:0") && fails(&mut health, 4));
        health.worked("cuda:0", &run(5));
        assert!([1, 2].into_iter().all(|depth| !fails(&mut health, depth)));
    }

    #[test]
    fn a_sweep_is_fruitless_when_its_first_three_runs_end_without_a_result_for_one_reason() {
        let failure =
            |message: &str| Failure { class: FailureClass::Configuration, message: message.to_owned(), device: None };
        let [first, other] =
            ["line 7: it ended at 10.5 tokens. What it printed is in a", "cannot start it"].map(failure);
        let second = failure("line 19: it ended at 300 tokens. What it printed is in b");
        let run = |depth| planned(depth, 0).id;
        let mut health = Health::default();
        let mut told = |failures: &[(usize, &Failure)]| -> Vec<bool> {
            failures.iter().map(|(depth, failure)| health.is_fruitless(&run(*depth), failure)).collect()
        };
        assert_eq!(told(&[(1, &first), (1, &first), (2, &second), (3, &other)]), [false; 4]);
        assert_eq!(told(&[(1, &first), (2, &second), (3, &first)]), [false, false, true]);
        health.worked("cpu", &run(9));
        assert!((1..6).all(|depth| !health.is_fruitless(&run(depth), &first)));
    }

    #[test]
    fn a_program_that_fails_is_the_fault_of_a_device_only_where_all_goes_well_on_others() {
        let run = |depth| planned(depth, 0).id;
        let failure = Failure { class: FailureClass::Program, message: "exit code 1".to_owned(), device: None };
        let mut health = Health::default();
        let fails = |health: &mut Health, device: &str| {
            (1..6).any(|depth| health.failed(device, &run(depth), &failure, Some(Duration::from_secs(1))))
        };
        assert!(!fails(&mut health, "cuda:0") && !fails(&mut health, "cuda:1"));
        health.worked("cuda:0", &run(9));
        assert!(!fails(&mut health, "cuda:0") && fails(&mut health, "cuda:1"));
    }

    #[test]
    fn a_device_that_breaks_after_it_did_well_waits_and_is_left_alone_when_its_runs_do_well_elsewhere() {
        let run = |depth| planned(depth, 0).id;
        let failure = Failure { class: FailureClass::Program, message: "no such card".to_owned(), device: None };
        let mut health = Health::default();
        health.worked("cuda:0", &run(8));
        let fails = |health: &mut Health, depth| {
            assert!(!health.failed("cuda:0", &run(depth), &failure, Some(Duration::from_secs(1))));
            health.is_resting("cuda:0")
        };
        assert!([1, 2, 2].into_iter().all(|depth| !fails(&mut health, depth)) && fails(&mut health, 3));
        assert!(!health.is_resting("cuda:1"));
        // Another run says nothing of those that failed, and the device may try again.
        assert_eq!(health.worked("cuda:1", &run(9)), [""; 0]);
        assert!(!health.is_resting("cuda:0") && fails(&mut health, 4));
        assert_eq!(health.worked("cuda:1", &run(2)), ["cuda:0"]);
        assert_eq!(health.quarantined, [("cuda:0".to_owned(), "no such card".to_owned())]);
        assert_eq!(health.worked("cuda:1", &run(3)), [""; 0], "told once");
    }

    #[test]
    fn a_process_whose_runs_were_in_one_that_died_tells_nothing_new() {
        let [a, b, c] = [1, 2, 3].map(|depth| planned(depth, 0).id);
        let mut health = Health::default();
        assert!(health.is_news("cuda:0", [&a, &b].into_iter()));
        assert!(!health.is_news("cuda:0", [&b, &c].into_iter()), "b may be to blame");
        assert!(!health.is_news("cuda:0", [&c].into_iter()), "or c");
        assert!(health.is_news("cuda:1", [&c].into_iter()));
        health.worked("cuda:0", &c);
        assert!(health.is_news("cuda:0", [&a].into_iter()));
    }
}
