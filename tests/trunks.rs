//! Runs that share a stable phase (`sweep.share_trunk`): they end as each alone, whatever happens on the way.

use crate::common::{Place, TINY, assert_code, assert_said};

/// Lengths of a tiny model of 2560 tokens a step: 50, 100 and 150 steps, a fifth of each its cooldown.
fn spec(share: bool) -> String {
    let wsd = "kind = \"wsd\"\ndecay_fraction = 0.2";
    let spec = TINY.replace("kind = \"cosine\"", wsd).replace("flops = 3e10", "tokens = 128000");
    let spec = spec.replace("warmup_tokens_per_param = 1.0", "warmup_tokens = 20000");
    format!(
        "{spec}[sweep]\nshare_trunk = {share}\nmin_steps = 50\nseeds = [1]\n\
         [sweep.axes]\n\"schedule.tokens\" = [128000, 256000, 384000]\n"
    )
}

/// Cells of `runs.csv` by row and column.
fn cells(place: &Place, columns: &[&str]) -> Vec<Vec<String>> {
    let text = place.read("out/runs.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &&str| header.iter().position(|column| column == *name).unwrap_or_else(|| panic!("no {name}"));
    let places: Vec<usize> = columns.iter().map(at).collect();
    reader.records().map(|row| row.unwrap()).map(|row| places.iter().map(|at| row[*at].to_owned()).collect()).collect()
}

/// What must not depend on who trained which steps.
fn told(place: &Place) -> (Vec<Vec<String>>, String) {
    (cells(place, &["id", "status", "val_loss", "val_loss_se", "train_loss"]), place.read("out/curves.csv"))
}

fn shared(place: &Place) -> Vec<String> {
    cells(place, &["shared_steps"]).concat()
}

#[test]
fn a_sweep_that_shares_ends_as_one_that_does_not_and_says_what_it_saved() {
    let (alone, place) = (Place::with(&spec(false)), Place::with(&spec(true)));
    assert_code(&alone.rehearse(), 0);
    assert!(!alone.read("out/runs.csv").contains("flops_spent"), "tables of other sweeps stay as they are");
    let output = place.rehearse();
    assert_code(&output, 0);
    assert_said(&output, &["Shared stable phases: ", "40% less"]);
    assert_eq!(told(&place), told(&alone));
    assert_eq!(shared(&place), ["0", "40", "80"]);
    for row in cells(&place, &["flops", "flops_spent", "steps", "shared_steps"]) {
        let [flops, spent, steps, shared] = [0, 1, 2, 3].map(|at| row[at].parse::<f64>().unwrap());
        assert!((spent / flops - (1.0 - shared / steps)).abs() < 1e-12, "{row:?}");
    }
    assert!(!place.path("out/trunks").exists(), "no state outlives its use");
    assert!(place.read("out/report.html").contains("Shared stable phases: "));
    let plan = place.says(&["plan", "spec.toml", "--flops-per-second", "1e9"]);
    assert!(plan.contains("Shared stable phases: ") && plan.contains("40% less"), "{plan}");
    assert!(place.read("out/plan.csv").lines().next().unwrap().contains("trunk,shared_steps,flops_spent"));
    // The tables alone tell it too.
    std::fs::remove_dir_all(place.path("out/runs")).unwrap();
    assert!(place.says(&["status", "out"]).contains("3 finished"));
}

#[test]
fn a_branch_that_is_added_later_trains_what_is_gone_and_goes_on_where_models_are_kept() {
    for (flags, expected) in [(&[][..], ["0", "40", "80", "0"]), (&["--keep-models"], ["0", "40", "80", "120"])] {
        let place = Place::with(&spec(true));
        assert_code(&place.sweep("rehearsal", flags).output().unwrap(), 0);
        let more = "sweep.axes.\"schedule.tokens\"=[128000, 256000, 384000, 512000]";
        let output = place.sweep("rehearsal", &[flags, &["--set", more]].concat()).output().unwrap();
        assert_code(&output, 0);
        assert_said(&output, &["the sweep grows by 1 run;"]);
        assert_eq!(shared(&place), expected);
    }
}

#[test]
fn a_folder_from_before_goes_on_with_shared_phases_and_without() {
    let place = Place::with(&spec(false));
    assert_code(&place.rehearse(), 0);
    let first = told(&place);
    std::fs::remove_file(place.results().remove(0)).unwrap();
    for set in ["sweep.share_trunk=true", "sweep.share_trunk=false"] {
        assert_code(&place.sweep("rehearsal", &["--set", set]).output().unwrap(), 0);
        assert_eq!(told(&place), first, "{set}");
    }
}

#[test]
fn what_cannot_be_shared_is_refused_with_what_to_write() {
    let refusal = |set: &str| Place::with(&spec(true)).refusal(&["plan", "spec.toml", "--set", set]);
    for (set, words) in [
        (
            "schedule.warmup_max_fraction=0.1",
            &["warm-up of 8 steps is cut to 5 in a run of 50 steps", "at least 0.16"][..],
        ),
        (
            "optimizer.learning_rate={ value = 0.01, at_tokens = 1e6, exponent = -0.3 }",
            &["optimizer.learning_rate", "at_params"],
        ),
        ("train.command=[\"python3\", \"train.py\"]", &["sweep.share_trunk", "from its beginning"]),
    ] {
        let said = refusal(set);
        assert!(words.iter().all(|word| said.contains(word)), "{set}: {said}");
    }
    // The run has fewer steps than the warm-up: no share of it is enough.
    let said = refusal("schedule.warmup_tokens=1e6");
    assert!(said.contains("write a shorter warm-up or longer runs") && !said.contains("warmup_max_fraction"), "{said}");
    let cosine = spec(true).replace("kind = \"wsd\"\ndecay_fraction = 0.2", "kind = \"cosine\"");
    let said = Place::with(&cosine).refusal(&["plan", "spec.toml"]);
    assert!(said.contains("sweep.share_trunk") && said.contains("schedule.kind = \"wsd\""), "{said}");
    // A cosine beside it shares nothing, and one length alone has nobody to share with: neither is a mistake.
    let both = spec(true).replace("[sweep.axes]\n", "[sweep.axes]\n\"schedule.kind\" = [\"wsd\", \"cosine\"]\n");
    let plan = Place::with(&both).says(&["plan", "spec.toml", "--flops-per-second", "1e9"]);
    assert!(plan.contains("6 runs") && plan.contains("20% less"), "{plan}");
    let one = ["plan", "spec.toml", "--csv", "--set", "sweep.axes.\"schedule.tokens\"=[128000]"];
    let output = Place::with(&spec(true)).run(&one);
    assert_code(&output, 0);
    assert_said(&output, &["no two runs share a stable phase"]);
}

/// Kills and faults strike a sweep that shares: `RUNNER_FAILPOINT`, and whom it makes begin again.
#[cfg(feature = "failpoints")]
mod faults {
    use super::{Place, assert_code, assert_said, shared, spec, told};
    use crate::common::{self, text};

    fn sweep(place: &Place, device: &str, failpoint: &str) -> std::process::Output {
        let flags = ["--slots", "2", "--checkpoint-every", "0"];
        place.sweep(device, &flags).env("RUNNER_FAILPOINT", failpoint).output().unwrap()
    }

    #[test]
    fn a_worker_that_dies_in_the_shared_phase_or_after_it_changes_nothing() {
        let device = if cfg!(feature = "cpu") { "cpu" } else { "rehearsal" };
        let alone = Place::with(&spec(false));
        assert_code(&sweep(&alone, device, ""), 0);
        // In the first piece, in the cooldown of the first, and in the second piece.
        for from in [1, 41, 55] {
            let place = Place::with(&spec(true));
            let count = place.path("count").display().to_string();
            let output = sweep(&place, device, &format!("abort+{from}:1:{count}"));
            assert_code(&output, 0);
            assert_said(&output, &["is tried again"]);
            assert_eq!((told(&place), shared(&place)), (told(&alone), ["0", "40", "80"].map(str::to_owned).to_vec()));
            assert!(!place.path("out/trunks").exists());
        }
    }

    #[test]
    fn a_run_that_diverges_or_is_given_up_leaves_the_others_to_themselves() {
        let place = Place::with(&spec(true));
        let count = place.path("count").display().to_string();
        let output = sweep(&place, "rehearsal", &format!("nan:1:{count}"));
        assert_code(&output, 0);
        assert_said(&output, &["1 run diverged"]);
        // Three times in the first piece: given up. The second trains the phase itself, and the third goes on from it.
        let place = Place::with(&spec(true));
        let count = place.path("count").display().to_string();
        let mut one = place.sweep("rehearsal", &["--slots", "1"]);
        let output = one.env("RUNNER_FAILPOINT", format!("abort:3:{count}")).output().unwrap();
        assert_code(&output, 1);
        assert_said(&output, &["1 run failed"]);
        assert_eq!(shared(&place), ["", "0", "80"]);
        assert_code(&sweep(&place, "rehearsal", ""), 0);
    }

    #[test]
    fn a_lost_state_is_trained_again_and_a_damaged_one_is_told() {
        for damage in [true, false] {
            let place = Place::with(&spec(true));
            let mut command = place.sweep("rehearsal", &["--slots", "1"]);
            // The second piece waits for an hour, and meanwhile what it would go on from is lost.
            let count = place.path("count").display().to_string();
            let mut child = command.env("RUNNER_FAILPOINT", format!("hang+55:1:{count}")).spawn().unwrap();
            common::wait_for("the second piece", || place.path("count").exists());
            common::signal("-9", &common::children(child.id()));
            child.kill().unwrap();
            child.wait().unwrap();
            let states = common::files(&place.path("out/trunks"));
            assert_eq!(states.len(), 1, "{states:?}");
            if damage {
                std::fs::write(&states[0], "no state").unwrap();
            } else {
                std::fs::remove_file(&states[0]).unwrap();
            }
            let output = place.rehearse();
            assert_code(&output, 0);
            assert_eq!(text(&output.stderr).contains("trains its stable phase by itself"), damage);
            assert_eq!(shared(&place), ["0", "0", "80"]);
        }
    }
}
