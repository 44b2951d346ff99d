//! The whole way in a rehearsal: plan, workers, ledger, fit, report, and everything that can end it early.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, children, edited, signal, text, wait_for};

/// An IsoFLOP sweep with so many seeds. Its context is short, so that attention costs little and 6ND is nearly exact.
fn spec(seeds: usize) -> String {
    let seeds = format!("sweep.seeds={:?}", (1..=seeds).collect::<Vec<_>>());
    let shape = ["data.vocab=512", "model.context=4", "model.head_dim=16", "model.aspect_ratio=16.0"];
    let training = ["optimizer.learning_rate=0.01", "optimizer.batch_tokens=1024", "eval.curve_points=10"];
    let grid = ["name=grid", "sweep.budgets=[1e12,1e13,1e14,1e15]", "sweep.sizes=9", &seeds];
    edited(QUICKSTART, &[&shape[..], &training, &grid].concat())
}

impl Place {
    /// With that sweep in it.
    fn of_seeds(seeds: usize) -> Self {
        Self::with(&spec(seeds))
    }

    /// Starts the sweep and waits until it has this many results.
    fn start(&self, results: usize) -> Child {
        let mut sweep = self.sweep("rehearsal", &["--slots", "2"]);
        let sweep = sweep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("results", || self.results().len() >= results);
        sweep
    }

    /// What must not depend on how often the sweep was interrupted.
    fn outcome(&self) -> [String; 3] {
        let [runs, curves] = self.tables();
        [runs, curves, self.read("out/fits.json")]
    }
}

/// Seeds of a sweep that is long enough to be disturbed.
const MANY: usize = 12;

/// Outcome and number of results of a sweep of so many seeds that nobody disturbs.
fn undisturbed() -> &'static ([String; 3], usize) {
    static UNDISTURBED: OnceLock<([String; 3], usize)> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let place = Place::of_seeds(MANY);
        assert_code(&place.rehearse(), 0);
        (place.outcome(), place.results().len())
    })
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn a_rehearsed_sweep_gives_the_planted_exponents_back() {
    let place = Place::of_seeds(2);
    let output = place.rehearse();
    assert_code(&output, 0);
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let all = fits["approach2"].as_array().unwrap();
    let fit = all.iter().find(|fit| fit["counting"] == "blocks_and_unembedding").unwrap();
    let surface = runner::execute::rehearsal::SURFACE;
    for (law, planted) in [("n_opt", surface.n_exponent()), ("d_opt", surface.d_exponent())] {
        let exponent = &fit[law]["exponent"];
        let [value, low, high] = ["value", "low", "high"].map(|key| exponent[key].as_f64().unwrap());
        assert!((value - planted).abs() < 0.02, "{law}: {value} for {planted}");
        assert!(low <= planted && planted <= high, "{law}: {planted} is outside {low} to {high}");
    }
    for row in fit["tokens_per_param"].as_array().unwrap().iter().take(4) {
        let (params, tokens) = surface.optimum(row["flops"].as_f64().unwrap());
        // Exact FLOPs count attention and unequal sides of the curve pull a parabola: a few per cent from the closed form.
        let measured = row["value"].as_f64().unwrap();
        assert!((measured / (tokens / params) - 1.0).abs() < 0.04, "{measured} for {}", tokens / params);
    }
    for name in ["spec.toml", "plan.csv", "plan.json", "report.html", "figures"] {
        assert!(place.path("out").join(name).exists(), "{name}");
    }
}

#[test]
fn off_a_terminal_progress_is_plain_lines_on_stderr_and_stdout_is_the_table() {
    let place = Place::of_seeds(1);
    let output = place.rehearse();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(out.starts_with("REHEARSAL") && out.contains("N_opt") && !out.contains("slots"), "{out}");
    assert!(!err.contains('\u{1b}'), "no control sequences: {err}");
    let lines = |word: &str| err.lines().filter(|line| line.starts_with('[') && line.contains(word)).count();
    let runs = place.results().len();
    assert!(runs > 30);
    assert_eq!((lines(" starts: "), lines(" finished: loss ")), (runs, runs), "{err}");
    assert!(err.contains("[100%") && err.contains("REHEARSAL"), "{err}");
}

#[test]
fn a_second_call_trains_nothing_and_gives_the_same_tables() {
    let place = Place::of_seeds(1);
    let first = place.rehearse();
    let tables = place.outcome();
    let second = place.rehearse();
    assert_code(&second, 0);
    assert!(!text(&second.stderr).contains(" starts: "));
    assert_eq!(text(&first.stdout), text(&second.stdout));
    assert_eq!(place.outcome(), tables);
}

#[test]
fn killed_at_any_moment_and_called_again_it_ends_with_the_same_tables() {
    let (tables, total) = undisturbed();
    let place = Place::of_seeds(MANY);
    for (round, share) in [0.0, 0.05, 0.1, 0.2, 0.3, 0.5].into_iter().enumerate() {
        let mut sweep = place.start((share * *total as f64) as usize);
        let workers = children(sweep.id());
        // In turn the sweep alone, the sweep and then its workers, the workers and then the sweep.
        let killed = match round % 3 {
            0 => vec![sweep.id()],
            1 => [&[sweep.id()], workers.as_slice()].concat(),
            _ => [workers.as_slice(), &[sweep.id()]].concat(),
        };
        signal("-9", &killed);
        sweep.wait().unwrap();
        // Orphans end by themselves, because nobody reads what they say.
        wait_for("the workers' end", || !workers.iter().any(|pid| is_alive(*pid)));
        assert!(place.results().len() < *total, "round {round} was killed too late to mean anything");
    }
    assert_code(&place.rehearse(), 0);
    assert_eq!(&place.outcome(), tables);
}

#[test]
fn a_killed_worker_costs_an_attempt_and_the_sweep_goes_on() {
    let (tables, _) = undisturbed();
    let place = Place::of_seeds(MANY);
    let mut sweep = place.start(40);
    let workers = children(sweep.id());
    assert_eq!(workers.len(), 2);
    signal("-9", &workers[..1]);
    wait_for("a new worker", || children(sweep.id()).iter().any(|pid| !workers.contains(pid)) || !is_alive(sweep.id()));
    assert_eq!(sweep.wait().unwrap().code(), Some(0));
    assert_eq!(&place.outcome(), tables);
}

#[test]
fn ctrl_c_stops_the_workers_and_says_that_a_second_call_goes_on() {
    let (tables, _) = undisturbed();
    let place = Place::of_seeds(MANY);
    let sweep = place.sweep("rehearsal", &["--slots", "2"]).spawn().unwrap();
    wait_for("results", || place.results().len() >= 20);
    let workers = children(sweep.id());
    signal("-INT", &[sweep.id()]);
    let output = sweep.wait_with_output().unwrap();
    assert_code(&output, 75);
    assert!(text(&output.stderr).contains("Nothing is lost"), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty() && !workers.iter().any(|pid| is_alive(*pid)));
    let resumed = place.rehearse();
    assert_code(&resumed, 0);
    assert!(text(&resumed.stderr).contains("are done already"));
    assert_eq!(&place.outcome(), tables);
}

#[test]
fn the_folder_of_another_spec_is_refused_and_left_as_it_was() {
    let place = Place::of_seeds(1);
    place.rehearse();
    let tables = place.outcome();
    fs::write(place.path("spec.toml"), spec(1).replace("weight_decay = 0.1", "weight_decay = 0.2")).unwrap();
    let words = ["another sweep", "optimizer.weight_decay is 0.1 there and 0.2 here", "--out", "move this one away"];
    assert_refused(&place.rehearse(), &words);
    assert_eq!(place.outcome(), tables);
}

#[test]
fn a_corpus_that_has_changed_is_told_with_how_to_go_on() {
    let place = Place::new();
    place.write("my.txt", crate::data::words(2000));
    let data =
        "source = \"text\"\npath = \"my.txt\"\nvocab = 256\nvalidation_fraction = 0.3\nmax_epochs = 1000.0\nseed = 1\n";
    let small = crate::common::with_data(&spec(1), data).replace("tokens = 163840", "tokens = 65536");
    place.write("spec.toml", small);
    assert_code(&place.rehearse(), 0);
    place.write("my.txt", crate::data::words(1990));
    let words = [
        "another sweep: the corpus has changed since: its text, its tokenizer or its split. Train on the new corpus into another \
         folder with --out; to go on in this one, put the old text, tokenizer and split back",
    ];
    let refused = place.rehearse();
    assert_refused(&refused, &words);
    assert!(!text(&refused.stderr).contains("values that are there"));
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_anything_is_trained() {
    let place = Place::of_seeds(1);
    fs::write(place.path("file"), "").unwrap();
    for out in ["file", "file/below"] {
        let output = place.run(&["sweep", "spec.toml", "--device", "rehearsal", "--out", out]);
        assert_refused(&output, &["cannot create", out, "--out"]);
        assert!(!text(&output.stderr).contains(" starts: "));
    }
}

#[test]
fn a_folder_with_other_things_in_it_is_refused() {
    let place = Place::of_seeds(1);
    fs::create_dir(place.path("out")).unwrap();
    place.write("out/notes.txt", "");
    assert_refused(&place.rehearse(), &["is not a results folder", "--out"]);
}

#[test]
fn flags_and_specs_that_make_no_sense_are_refused() {
    let place = Place::of_seeds(1);
    let sweep = |more: &[&str]| place.sweep("rehearsal", more).output().unwrap();
    assert_refused(&sweep(&["--slots", "0"]), &["'0' for '--slots-per-device", "1 or more"]);
    assert_refused(&sweep(&["--threads", "0"]), &["'0' for '--threads", "1 or more"]);
    assert_refused(&place.run(&["sweep", "nowhere.toml"]), &["nowhere.toml"]);
    assert_refused(&place.run(&["sweep", "spec.toml", "--device", "abacus"]), &["abacus"]);
    assert_refused(&place.run(&["worker", "--sweep", "nowhere"]), &["nowhere holds no sweep"]);
    assert!(!place.path("out").exists());
}

#[cfg(not(feature = "train"))]
#[test]
fn a_build_without_devices_says_how_to_get_one() {
    let place = Place::of_seeds(1);
    let output = place.run(&["sweep", "spec.toml", "--device", "cpu"]);
    assert_refused(&output, &["cannot train", "--features cpu", "--device rehearsal"]);
    assert!(text(&place.run(&["devices"]).stdout).contains("rehearsal"));
}

#[test]
fn trained_and_rehearsed_losses_never_share_a_folder() {
    let place = Place::of_seeds(1);
    place.rehearse();
    let kind = place.path("out/ledger.json");
    let text = fs::read_to_string(&kind).unwrap();
    fs::write(&kind, text.replace("rehearsed", "trained")).unwrap();
    assert_refused(&place.rehearse(), &["its models were trained, and a rehearsal trains none"]);
    let worker = place.run(&["worker", "--sweep", "out", "--device", "rehearsal"]);
    assert_refused(&worker, &["never mix"]);
}

/// One run of such a model.
fn single() -> String {
    let config = spec(1).split("[sweep]").next().unwrap().replace("aspect_ratio = 16.0", "width = 64\ndepth = 2");
    config.replace("[eval]", "tokens_per_param = 20.0\n[eval]").replace("\"grid\"", "\"one\"")
}

#[test]
fn train_runs_one_config_and_does_not_train_it_twice() {
    let place = Place::with(&single());
    let first = place.run(&["train", "spec.toml", "--device", "rehearsal"]);
    assert_code(&first, 0);
    assert!(text(&first.stdout).contains("validation loss"), "{}", text(&first.stdout));
    assert!(text(&first.stderr).contains("[100%"));
    assert!(place.path("results/one-rehearsal/runs.csv").exists());
    let second = place.run(&["train", "spec.toml", "--device", "rehearsal"]);
    assert!(text(&second.stderr).contains("already trained"));
    assert_eq!(text(&first.stdout), text(&second.stdout));
}

#[test]
fn train_and_sweep_send_each_others_specs_over() {
    let place = Place::of_seeds(1);
    place.write("one.toml", single());
    assert_refused(&place.run(&["train", "spec.toml", "--device", "rehearsal"]), &["runner sweep"]);
    assert_refused(&place.run(&["sweep", "one.toml", "--device", "rehearsal"]), &["runner train"]);
}

#[test]
fn a_sweep_that_grows_keeps_its_runs_and_two_machines_give_the_tables_of_one() {
    let whole = Place::of_seeds(2);
    assert_code(&whole.rehearse(), 0);
    // Grown by a seed on the command line.
    let place = Place::of_seeds(1);
    assert_code(&place.rehearse(), 0);
    let before = place.results();
    let more = ["sweep", "spec.toml", "--out", "out", "--device", "rehearsal", "--set", "sweep.seeds=[1,2]"];
    let grown = place.run(&more);
    assert_code(&grown, 0);
    let said = text(&grown.stderr);
    assert!(
        said.contains("the sweep grows by") && said.contains(&format!("{} of them are done", before.len())),
        "{said}"
    );
    assert_eq!(place.outcome(), whole.outcome());
    assert!(place.path("out/specs/1.toml").exists());
    // The smaller spec would drop runs.
    assert_refused(&place.rehearse(), &["another sweep", "sweep.seeds"]);

    // The second machine has the other seed.
    let second = ["sweep", "spec.toml", "--out", "two", "--device", "rehearsal", "--set", "sweep.seeds=[2]"];
    let first = ["sweep", "spec.toml", "--out", "one", "--device", "rehearsal"];
    for machine in [&first[..], &second] {
        assert_code(&place.run(machine), 0);
    }
    let told = |args: &[&str]| {
        let output = place.run(args);
        assert_code(&output, 0);
        text(&output.stderr)
    };
    let said = told(&["merge", "all", "one", "two"]);
    let half = before.len();
    assert!(said.contains(&format!("two: {half} results added, 0 there already, 0 different")), "{said}");
    let rows = |table: &str| {
        let text = place.read(table);
        let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    assert_eq!(
        rows("all/curves.csv"),
        rows("out/curves.csv"),
        "another order, since the second machine's runs come last"
    );
    assert_eq!(place.read("all/fits.json"), place.read("out/fits.json"));
    // Again, and with what git keeps of a machine, nothing changes.
    fs::remove_dir_all(place.path("two/runs")).unwrap();
    let said = told(&["merge", "all", "one", "two"]);
    assert!(said.contains(&format!("two: 0 results added, {half} there already")), "{said}");
    // The name is that of the first, which is said where there are several.
    assert!(!said.contains("named"), "{said}");
    assert_code(&place.run(&[&first[..3], &["renamed", "--device", "rehearsal", "--set", "name=other"]].concat()), 0);
    let said = told(&["merge", "both", "renamed", "two"]);
    assert!(said.contains("named \"other\", as the first of its folders is; the others are named [\""), "{said}");
    assert_refused(&place.run(&["merge", "all", "one", "all"]), &["merged into itself"]);
    assert_refused(&place.run(&["merge", "other", "one", "nowhere"]), &["nowhere"]);
    assert!(!place.path("other").exists());
}
