//! Supervision of workers that are shell scripts.

use super::*;
use crate::ledger::State;
use crate::ledger::testing::ledger;

/// Supervises workers that are shell scripts; `$RUN` is the run of the plan.
fn supervised(script: &str, slots: usize) -> (tempfile::TempDir, Ledger, Result<Tally, ExecuteError>) {
    let (dir, ledger) = ledger(1);
    let run = ledger.plan().runs[0].id.to_string();
    let command = |_, _: &[String]| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).env("RUN", &run);
        command
    };
    let (_sender, nobody) = channel();
    let pool = pool(slots, &command);
    let outcome = supervise(&ledger, &pool, &mut Display::new(&ledger, slots, false), &nobody);
    (dir, ledger, outcome)
}

fn pool(slots: usize, command: &dyn Fn(usize, &[String]) -> Command) -> Pool<'_> {
    let patience = Duration::from_millis(700);
    Pool { devices: vec!["cpu".to_owned(); slots], shut: Vec::new(), runs: 1, command, patience, choose: None }
}

/// A supervisor of idle slots.
fn idle<'a, 'p>(ledger: &'a Ledger, pool: &'a Pool<'a>, display: &'a mut Display<'p>) -> Supervisor<'a, 'p> {
    let (health, stopping, fruitless, sender) = (Health::default(), None, None, channel().0);
    let slots = pool.devices.iter().map(|_| Slot::Idle).collect();
    Supervisor { ledger, pool, display, slots, shut: BTreeMap::new(), health, stopping, fruitless, sender }
}

const CLAIM: &str = r#"echo "{\"event\":\"claimed\",\"run\":\"$RUN\",\"attempt\":$$}"; "#;

#[test]
fn a_worker_that_dies_fails_its_run_which_is_tried_twice_more_and_then_given_up() {
    let (_dir, ledger, outcome) = supervised(&format!("{CLAIM} echo boom >&2; kill -9 $$"), 1);
    let tally = outcome.unwrap();
    let [(run, failure)] = tally.failed.as_slice() else { panic!("{tally:?}") };
    assert_eq!(failure.class, FailureClass::Crash);
    assert!(failure.message.contains("signal: 9") && failure.message.contains("boom"), "{}", failure.message);
    let attempts: Vec<_> = std::fs::read_dir(ledger.dir().join("runs").join(run.as_str()).join("attempts"))
        .unwrap()
        .map(|attempt| attempt.unwrap().path().join("error.json").exists())
        .collect();
    assert_eq!(attempts, [true; 3], "each attempt left its reason");
}

#[test]
fn a_worker_that_says_nothing_is_ended_and_its_run_has_hung() {
    let (_dir, _ledger, outcome) = supervised(&format!("{CLAIM} exec sleep 600"), 1);
    let tally = outcome.unwrap();
    assert_eq!(tally.failed[0].1.class, FailureClass::Hang, "{tally:?}");
    assert_eq!(tally.failed[0].1.device.as_deref(), Some("cpu"));
}

#[test]
fn time_in_which_the_supervisor_was_suspended_too_is_not_held_against_a_worker() {
    let (_dir, ledger) = ledger(1);
    let command = |_, _: &[String]| {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    };
    let pool = Pool { patience: Duration::from_mins(15), ..pool(1, &command) };
    let mut display = Display::new(&ledger, 1, false);
    let mut supervisor = idle(&ledger, &pool, &mut display);
    supervisor.start(0).unwrap();
    let hung = |supervisor: &Supervisor<'_, '_>| matches!(&supervisor.slots[0], Slot::Busy(worker) if worker.hung);
    supervisor.end_the_silent(Duration::from_hours(10));
    assert!(!hung(&supervisor));
    // Awake and waiting, it loses patience.
    for _ in 0..9001 {
        supervisor.end_the_silent(TICK);
    }
    assert!(hung(&supervisor));
}

#[test]
fn a_device_that_fails_run_after_run_gets_no_more_of_them_and_the_sweep_says_so() {
    let (_dir, ledger) = ledger(5);
    let ids: Vec<String> = ledger.plan().runs.iter().map(|run| run.id.to_string()).collect();
    let next = std::cell::Cell::new(0);
    let command = |_, _: &[String]| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{CLAIM} exit 3")).env("RUN", &ids[next.replace(next.get() + 1) % 5]);
        command
    };
    let (_sender, nobody) = channel();
    let mut display = Display::new(&ledger, 1, false);
    let tally = supervise(&ledger, &pool(1, &command), &mut display, &nobody).unwrap();
    assert_eq!((next.get(), tally.pending, tally.failed.len()), (3, 5, 0));
    assert_eq!(tally.quarantined[0].0, "cpu");
}

/// One card of two fails at once whatever it is given, after it did well; the other one takes its time.
#[test]
fn a_card_that_breaks_in_mid_sweep_does_not_use_up_the_tries_of_all_runs() {
    let (dir, ledger) = ledger(8);
    let ids: Vec<String> = ledger.plan().runs.iter().map(|run| run.id.to_string()).collect();
    // The broken card takes run after run; the good one ends the first that failed there, when three have.
    let failed = r#"echo "{\"event\":\"failed\",\"run\":\"$RUN\",\"class\":\"program\",\"message\":\"no card\"}""#;
    let diverged = r#"echo "{\"event\":\"diverged\",\"run\":\"$RUN\",\"step\":1}""#;
    let broken = format!("echo x >> \"$COUNT\"; {CLAIM} {failed}; exit 1");
    let three = "[ \"$(cat \"$COUNT\" 2>/dev/null | wc -l)\" -ge 3 ]";
    let good = format!("{CLAIM} until {three}; do sleep 0.05; done; sleep 1; {diverged}");
    let [count, again] = ["failures", "again"].map(|name| dir.path().join(name));
    let (next, ended) = (std::cell::Cell::new(0), std::cell::Cell::new(false));
    let command = |slot: usize, _: &[String]| {
        let mut command = Command::new("sh");
        let (script, run) = match slot {
            0 => (broken.as_str(), next.replace(next.get() + 1) % 8),
            _ if ended.replace(true) => ("touch \"$AGAIN\"; exec sleep 600", 0),
            _ => (good.as_str(), 0),
        };
        command.arg("-c").arg(script).env("RUN", &ids[run]).env("COUNT", &count).env("AGAIN", &again);
        command
    };
    let (sender, interrupts) = channel();
    let devices = vec!["cuda:0".to_owned(), "cuda:1".to_owned()];
    let pool = Pool { devices, patience: Duration::from_mins(1), ..pool(2, &command) };
    let mut display = Display::new(&ledger, 2, false);
    let tally = std::thread::scope(|scope| {
        // Scripts write no results, so that the sweep does not end by itself.
        scope.spawn(|| {
            while !again.exists() {
                std::thread::sleep(TICK);
            }
            sender.send(15).unwrap();
        });
        supervise(&ledger, &pool, &mut display, &interrupts).unwrap()
    });
    assert_eq!(std::fs::read_to_string(&count).unwrap().lines().count(), 3);
    assert_eq!(tally.quarantined[0].0, "cuda:0", "{tally:?}");
}

#[test]
fn workers_that_cannot_begin_end_the_sweep_with_their_words_and_fail_no_run() {
    let (_dir, ledger, outcome) = supervised("echo 'error: no such device' >&2; exit 2", 2);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("no such device"), "{error}");
    assert_eq!(ledger.state(&ledger.plan().runs[0].id).unwrap(), State::Pending);
}

/// The second of two cards does not open; all runs go to the first one, and crash there.
#[test]
fn a_device_that_does_not_open_is_told_and_the_others_go_on() {
    let (_dir, ledger) = ledger(2);
    let ids: Vec<String> = ledger.plan().runs.iter().map(|run| run.id.to_string()).collect();
    let (next, among) = (std::cell::Cell::new(0), std::cell::RefCell::new(Vec::new()));
    let command = |slot: usize, devices: &[String]| {
        let mut command = Command::new("sh");
        let script = if slot == 1 { "echo 'error: held by another' >&2; exit 2" } else { CLAIM };
        if slot == 0 {
            among.borrow_mut().push(devices.to_vec());
        }
        let wait = if slot == 0 { "sleep 0.3; exit 3" } else { "" };
        command.arg("-c").arg(format!("{script} {wait}")).env("RUN", &ids[next.get() / 3 % 2]);
        next.set(next.get() + usize::from(slot == 0));
        command
    };
    let (_sender, nobody) = channel();
    let devices = vec!["cuda:0".to_owned(), "cuda:1".to_owned()];
    let pool = Pool { devices: devices.clone(), patience: Duration::from_mins(1), ..pool(2, &command) };
    let summary = supervise(&ledger, &pool, &mut Display::new(&ledger, 2, false), &nobody).unwrap();
    assert_eq!(summary.shut, [("cuda:1".to_owned(), "held by another".to_owned())]);
    assert_eq!(summary.failed.len(), 2, "{summary:?}");
    let among = among.into_inner();
    assert_eq!((&among[0], among.last().unwrap()), (&devices, &devices[..1].to_vec()));
}

#[test]
fn a_device_that_did_not_open_is_tried_again_after_a_while() {
    let (_dir, ledger) = ledger(1);
    let command = |_, _: &[String]| Command::new("true");
    let pool = pool(1, &command);
    let mut display = Display::new(&ledger, 1, false);
    let mut supervisor = idle(&ledger, &pool, &mut display);
    supervisor.shut(0, "exit code 2".to_owned(), "error: held by another");
    assert_eq!(supervisor.shut["cpu"], "held by another");
    assert!(supervisor.devices().is_empty());
    supervisor.open_again(Duration::from_hours(1));
    assert!(matches!(supervisor.slots[0], Slot::Shut(..)));
    supervisor.open_again(Duration::ZERO);
    assert!(matches!(supervisor.slots[0], Slot::Idle) && supervisor.devices() == ["cpu"]);
}

#[test]
fn a_worker_that_is_killed_has_crashed_whatever_it_said_before() {
    let notes = "echo 'cuBLASLt was not found (out of memory)' >&2;";
    let (_dir, _ledger, outcome) = supervised(&format!("{CLAIM} {notes} kill -9 $$"), 1);
    assert_eq!(outcome.unwrap().failed[0].1.class, FailureClass::Crash);
    let (_dir, _ledger, outcome) = supervised(&format!("{CLAIM} {notes} echo 'error: gone' >&2; exit 1"), 1);
    assert_eq!(outcome.unwrap().failed[0].1.class, FailureClass::Crash);
}

#[test]
fn a_signal_asks_workers_to_stop_and_a_second_one_ends_them() {
    for stubborn in [false, true] {
        let (_dir, ledger) = ledger(1);
        let (sender, interrupts) = channel();
        let pids = tempfile::NamedTempFile::new().unwrap();
        let trap = if stubborn { "trap '' TERM" } else { "trap 'exit 75' TERM" };
        let command = |_, _: &[String]| {
            let mut command = Command::new("sh");
            let script = format!("{trap}; echo $$ > \"$PIDS\"; while :; do sleep 0.05; done");
            command.arg("-c").arg(script).env("PIDS", pids.path());
            command
        };
        let written = || std::fs::read_to_string(pids.path()).unwrap();
        let patience = Duration::from_mins(1);
        let tally = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !written().ends_with('\n') {
                    std::thread::sleep(TICK);
                }
                sender.send(15).unwrap();
                if stubborn {
                    sender.send(2).unwrap();
                }
            });
            let pool = Pool { patience, ..pool(1, &command) };
            supervise(&ledger, &pool, &mut Display::new(&ledger, 1, false), &interrupts).unwrap()
        });
        assert_eq!((tally.interrupted, tally.pending, tally.failed.len()), (Some(15), 1, 0));
        let gone = Command::new("kill").args(["-0", written().trim()]).output().unwrap();
        assert!(!gone.status.success(), "the worker is dead");
    }
}
