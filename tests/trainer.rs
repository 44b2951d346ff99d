//! A lab's own trainer: the one to begin with, several cards a run, keys that decide nothing, and a program that prints and comes no
//! further.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::common::{Place, assert_code, assert_refused, assert_said, edited, signal, text, wait_for};
use crate::program::{GOOD, place, python, row, small, sweep};

/// What `runner init program` writes, as fast as a stand-in can pretend.
#[test]
fn the_spec_and_the_trainer_to_begin_with_come_to_a_fit_and_say_that_it_is_made_up() {
    if !python() {
        return;
    }
    let place = Place::new();
    place.says(&["init", "program"]);
    let trainer = place.read("train.py");
    let paced = |seconds: &str| trainer.replace("SECONDS = 1.0", &format!("SECONDS = {seconds}"));
    assert_ne!(paced("0.0"), trainer);
    place.write("train.py", paced("0.0"));
    place.says(&["plan", "program.toml"]);
    assert_code(&place.run(&["sweep", "program.toml", "--device", "cpu", "--out", "out"]), 0);
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let optima = fits["approach2"][0]["n_opt"]["exponent"]["value"].as_f64().unwrap();
    // Of its surface the exponent is beta / (alpha + beta).
    assert!((optima - 0.3658 / 0.7136).abs() < 0.04, "{optima}");
    let row = row(&place);
    assert_eq!((row["told.stand_in"].as_str(), row["status"].as_str()), ("losses are made up", "finished"));

    // Stopped, it has a checkpoint and goes on from there.
    place.write("train.py", paced("5.0"));
    let one = ["sweep", "program.toml", "--device", "cpu", "--slots", "1", "--out", "one"];
    let one =
        [&one[..], &["--set", "sweep.budgets=", "--set", "schedule.tokens=1e9", "--set", "sweep.sizes=", "--set"]]
            .concat();
    let grid = ["sweep.spread=", "--set", "sweep.expected_tokens_per_param=", "--set"];
    let model = "sweep.models=[{ config = { n_layer = 4, n_embd = 256 } }]";
    let one = [&one[..], &grid, &[model]].concat();
    let mut running = place.runner(&one).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let printed = || place.files("one/runs", "printed.log").first().map(|log| fs::read_to_string(log).unwrap());
    wait_for("a step", || printed().is_some_and(|log| log.contains("\"step\"")));
    signal("-INT", &[running.id()]);
    assert_eq!(running.wait().unwrap().code(), Some(75));
    assert_eq!(place.files("one/runs", "checkpoint.json").len(), 1);
    assert_code(&place.run(&one), 0);
    assert_eq!(place.read("one/curves.csv").lines().count() - 1, 50, "each part once, of both attempts");
}

/// Notes which cards it sees, and does what it should.
const SEES: &str =
    "open('seen', 'a').write(f'{os.environ[\"CUDA_VISIBLE_DEVICES\"]} {run[\"cards\"]} {run[\"device\"]}\\n')\n";

/// A sweep on four cards, which no program here looks for. Where a driver shows fewer of them they are refused.
fn on_four(place: &Place, more: &[&str]) -> Option<Output> {
    if !python() || Path::new("/proc/driver/nvidia").exists() {
        return None;
    }
    let four = ["sweep", "spec.toml", "--out", "out", "--devices", "cuda:0,cuda:1,cuda:2,cuda:3"];
    let mut command = place.runner(&[&four[..], more].concat());
    Some(command.env_remove("CUDA_VISIBLE_DEVICES").output().unwrap())
}

#[test]
fn a_run_has_the_cards_of_its_group_and_is_the_same_run() {
    let seeds = "sweep.seeds=[1, 2, 3, 4, 5, 6]";
    let place = place(&small(seeds, &["train.cards=2"]), &format!("{SEES}time.sleep(0.3)\n{GOOD}"));
    let Some(output) = on_four(&place, &[]) else { return };
    assert_code(&output, 0);
    assert_said(&output, &["2 slots on cuda:0-1, cuda:2-3"]);
    let seen = place.read("seen");
    let seen: BTreeSet<&str> = seen.lines().collect();
    assert_eq!(seen, BTreeSet::from(["0,1 2 cuda:0", "2,3 2 cuda:0"]));
    // By any number of cards it is the same sweep.
    place.write("spec.toml", small(seeds, &["train.cards=4"]));
    let again = on_four(&place, &[]).unwrap();
    assert_code(&again, 0);
    assert_said(&again, &["6 of them are done already"]);
    // Cards that do not come out even, or are not there.
    for (cards, said) in [
        ("3", &["train.cards = 3 and 4 cards: cuda:3 would have nothing to do", "--devices cuda:0,cuda:1,cuda:2"][..]),
        ("8", &["train.cards = 8 and --devices cuda:0,cuda:1,cuda:2,cuda:3", "train.cards = 4"]),
        ("0", &["train.cards: a run takes 1 card at the least"]),
    ] {
        assert_refused(&on_four(&place, &["--set", &format!("train.cards={cards}")]).unwrap(), said);
    }
    let cpu = place.sweep("cpu", &[]).output().unwrap();
    assert_refused(&cpu, &["train.cards = 4: cpu has no NVIDIA cards", "--set train.cards=1"]);
    assert_code(&place.sweep("cpu", &["--set", "train.cards=1"]).output().unwrap(), 0);
}

#[test]
fn a_group_of_cards_that_fails_is_named() {
    let fails = "if os.environ['CUDA_VISIBLE_DEVICES'] == '0,1':\n    sys.exit('a link is down')\ntime.sleep(1)\n";
    let seeds = "sweep.seeds=[1, 2, 3, 4, 5, 6, 7, 8]";
    let place = place(&small(seeds, &["train.cards=2"]), &format!("{fails}{GOOD}"));
    let Some(output) = on_four(&place, &[]) else { return };
    assert_code(&output, 0);
    assert_said(&output, &["device cuda:0-1 failed", "a link is down"]);
    assert!(!text(&output.stderr).contains("device cuda:2-3 failed"), "{}", text(&output.stderr));
}

#[test]
fn a_plan_counts_the_cards_of_each_run() {
    let place = place(&small("sweep.seeds=[1, 2, 3, 4]", &[]), GOOD);
    let plan = |more: &[&str]| {
        let plan = ["plan", "spec.toml", "--device", "cuda", "--json", "--flops-per-second", "1e9", "--price", "2"];
        let told: serde_json::Value = serde_json::from_str(&place.says(&[&plan[..], more].concat())).unwrap();
        ["seconds", "device_hours", "price"].map(|key| told[key].as_f64().unwrap())
    };
    let (two, of_four) = (plan(&["--device-count", "2"]), plan(&["--device-count", "4", "--set", "train.cards=2"]));
    let is_as =
        |told: [f64; 3], hoped: [f64; 3]| told.iter().zip(hoped).all(|(told, hoped)| (told / hoped - 1.0).abs() < 1e-9);
    assert!(is_as(of_four, [two[0], 2.0 * two[1], 2.0 * two[2]]), "{two:?} {of_four:?}");
    let (one, of_eight) = (plan(&[]), plan(&["--set", "train.cards=8"]));
    assert!(is_as(of_eight, [one[0], 8.0 * one[1], 8.0 * one[2]]), "{one:?} {of_eight:?}");
    let refused = place.refusal(&["plan", "spec.toml", "--device-count", "3", "--set", "train.cards=2"]);
    assert!(refused.contains("give a multiple of 2"), "{refused}");
    let torchrun = "train.command=[\"torchrun\", \"--nproc_per_node=8\", \"train.py\", \"{config}\"]";
    let told = |more: &[&str]| text(&place.run(&[&["plan", "spec.toml", "--set", torchrun], more].concat()).stderr);
    assert!(told(&[]).contains("starts 8 processes, and a run gets 1 of the cards"), "{}", told(&[]));
    assert!(!told(&["--set", "train.cards=8"]).contains("processes"));
}

#[test]
fn a_task_of_slurm_that_does_not_get_the_cards_of_a_run_is_refused() {
    let launcher = |lines: &str| format!("\n[launcher]\nkind = \"slurm\"\nworkers = 2\n{lines}\n");
    let place = place("", GOOD);
    let refused = |lines: &str| {
        place.write("spec.toml", small("sweep.seeds=[1]", &["train.cards=8"]) + &launcher(lines));
        let output = place.sweep("cuda", &["--dry-run"]).output().unwrap();
        assert_code(&output, 2);
        text(&output.stderr).contains("train.cards = 8: a task of [launcher]").then(|| text(&output.stderr))
    };
    assert!(refused("").unwrap().contains("gets 0 cards; write gres = \"gpu:8\""));
    assert!(refused("gres = \"gpu:a100:4\"").unwrap().contains("gets 4 cards"));
    assert!(refused("gres = \"tmp:1G,gpu\"").unwrap().contains("gets 1 card;"));
    assert!(refused("options = [\"--gpus-per-node=2\"]").unwrap().contains("gets 2 cards"));
    // These come as far as sbatch, which is not here.
    for fine in ["gres = \"gpu:8\"", "gres = \"gpu:a100:4,gpu:h100:4\"", "options = [\"--gpus-per-task=8\"]"] {
        assert_eq!(refused(fine), None, "{fine}");
    }
    // Nor is one refused whose number is unknown, but it is told.
    assert_eq!(refused("options = [\"--exclusive\"]"), None);
    let output = place.sweep("cuda", &["--dry-run"]).output().unwrap();
    assert!(text(&output.stderr).contains("\"--exclusive\" is known to the cluster alone: see that it is 8"));
}

#[test]
fn a_program_that_prints_and_comes_no_further_is_stopped() {
    if !python() {
        return;
    }
    let prints = |times: &str| {
        format!("for _ in range({times}):\n    print('waiting for rank 3', flush=True)\n    time.sleep(0.1)\n")
    };
    let patience = "train.step_patience_seconds=2";
    let one = |program: &str| place(&small("sweep.seeds=[1]", &[patience, "train.patience_seconds=100"]), program);
    let place = one(&format!("say(step=7, loss=5.0)\n{}", prints("100000")));
    let output = sweep(&place);
    assert_code(&output, 1);
    let said =
        ["told no step beyond step 7 for 2 s and was stopped", "train.step_patience_seconds", "waiting for rank 3"];
    assert_said(&output, &said);
    // Before the first step it may take its time, and a step counts without a loss.
    let steps = format!("for i in range(1, 6):\n    say(step=i, rate=0.1)\n{}", prints("8").replace("for", "    for"));
    let steps = steps.replace("\n    print", "\n        print").replace("\n    time", "\n        time");
    let place = one(&format!("{}{steps}{GOOD}", prints("30")));
    assert_code(&sweep(&place), 0);
    // A result that was told completely counts.
    let place = one(&format!("{GOOD}{}", prints("100000")));
    let output = sweep(&place);
    assert_code(&output, 0);
    assert_said(&output, &["was stopped after it had told its result, which counts"]);
}

#[test]
fn keys_that_decide_nothing_reach_the_program_and_may_change_between_calls() {
    if !python() {
        return;
    }
    let program = format!(
        "where = run['local']['data']['dir']\nopen('read', 'a').write(where + '\\n')\nif where == 'gone' and run['seed'] == 2:\n    \
         sys.exit('no such folder')\n{GOOD}"
    );
    let spec = |dir: &str, more: &[&str]| {
        small(
            "sweep.seeds=[1, 2]",
            &[&[format!("train.local={{ data = {{ dir = \"{dir}\" }} }}").as_str()], more].concat(),
        )
    };
    let place = place(&spec("gone", &[]), &program);
    assert_code(&sweep(&place), 1);
    let before = place.results();
    assert_eq!(before.len(), 1);
    place.write("spec.toml", spec("there", &[]));
    assert_code(&sweep(&place), 0);
    assert_eq!((place.results().len(), place.read("read").matches("there").count()), (2, 1), "one was left to train");
    assert!(before.iter().all(|path| path.exists()));
    assert!(place.read("out/spec.toml").contains("there") && place.read("out/specs/1.toml").contains("gone"));
    // Without any it is the same sweep, and what keeps another out is told without them.
    place.write("spec.toml", small("sweep.seeds=[1, 2]", &[]));
    assert_code(&sweep(&place), 0);
    place.write("spec.toml", spec("elsewhere", &["optimizer.learning_rate=0.5"]));
    let output = sweep(&place);
    assert_refused(&output, &["optimizer.learning_rate"]);
    assert!(!text(&output.stderr).contains("train.local"), "{}", text(&output.stderr));
    // As an axis it would make the same runs several times.
    let axis = edited(&spec("a", &[]), &["sweep.axes={ \"train.local.workers\" = [1, 2] }"]);
    place.write("spec.toml", axis);
    assert_refused(
        &place.run(&["plan", "spec.toml"]),
        &["sweep.axes", "train.local.workers", "decides nothing of a run"],
    );
}
