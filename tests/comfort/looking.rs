//! Results looked at: `ls`, `show`, `compare`; and what is installed beside the program.

use crate::common::{Place, QUICKSTART, assert_code, repository, text};

/// Two rehearsed sweeps of one surface, the second with a seed more and another name.
fn two() -> Place {
    let place = Place::with(QUICKSTART);
    for (name, seeds) in [("one", "[1]"), ("two", "[1,2]")] {
        let [name, seeds] = [format!("name={name}"), format!("sweep.seeds={seeds}")];
        place.says(&["sweep", "spec.toml", "--device", "rehearsal", "--set", &name, "--set", &seeds]);
    }
    place
}

#[test]
fn ls_lists_counts_and_what_was_found_and_does_not_stumble_over_a_damaged_folder() {
    let place = two();
    let listed = place.says(&["ls"]);
    let line = |name: &str| listed.lines().find(|line| line.contains(name)).expect(name);
    assert!(line("one-rehearsal").contains("21") && line("two-rehearsal").contains("42"), "{listed}");
    assert!(line("one-rehearsal").contains("complete, rehearsed"), "{listed}");
    assert!(
        line("two-rehearsal").contains(" tokens per parameter at 1.5e12 FLOPs, approach 2, all parameters"),
        "{listed}"
    );
    std::fs::write(place.path("results/one-rehearsal/plan.json"), "{").unwrap();
    let listed = place.says(&["ls"]);
    assert!(listed.contains("tables only") && listed.contains("two-rehearsal"), "{listed}");
    std::fs::remove_file(place.path("results/one-rehearsal/runs.csv")).unwrap();
    assert!(place.says(&["ls", "results"]).contains("damaged"));
    assert!(place.refusal(&["ls", "nowhere"]).contains("there is no folder nowhere: `runner sweep SPEC` trains runs"));
    assert!(Place::new().refusal(&["ls"]).contains("`runner ls FOLDER`"));
}

/// How `ls` says that a sweep stands, and `show` and `status` with it.
fn standing(place: &Place) -> String {
    let listed: serde_json::Value = serde_json::from_str(&place.says(&["ls", "out", "--json"])).unwrap();
    let said = listed["sweeps"][0]["status"].as_str().unwrap().to_owned();
    let shown = place.says(&["show", "out"]);
    assert!(shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(&said), "{said} is not in {shown}");
    let missing = said.starts_with(NOT_REPORTED);
    assert_eq!(place.says(&["status", "out"]).contains(NOT_REPORTED), missing, "{said}");
    let status: serde_json::Value = serde_json::from_str(&place.says(&["status", "out", "--json"])).unwrap();
    assert_eq!(status["reported"], !missing, "{said}");
    said
}

const NOT_REPORTED: &str = "trained, not reported: run the same command again";

#[test]
fn a_sweep_without_fits_and_report_of_all_its_runs_is_not_called_complete() {
    let place = Place::rehearsed(&[]);
    assert_eq!(standing(&place), "complete, rehearsed");
    let older = place.read("out/runs.csv").replacen(",finished,", ",pending,", 1);
    for (name, content) in [("fits.json", None), ("report.html", None), ("runs.csv", None), ("runs.csv", Some(older))] {
        match &content {
            Some(content) => drop(place.write(&format!("out/{name}"), content)),
            None => std::fs::remove_file(place.path(&format!("out/{name}"))).unwrap(),
        }
        assert_eq!(standing(&place), format!("{NOT_REPORTED}, rehearsed"), "{name} {}", content.is_some());
        assert_code(&place.rehearse(), 0);
        assert_eq!(standing(&place), "complete, rehearsed");
    }
    // One run has no report, nor has a folder of tables alone.
    let config = crate::common::SMALL;
    place.write("config.toml", config);
    place.says(&["train", "config.toml", "--device", "rehearsal", "--out", "one"]);
    assert!(place.says(&["ls", "one"]).contains("complete"));
    let listed = place.says(&["ls", &repository().join("results").display().to_string()]);
    assert!(listed.contains("complete") && !listed.contains("not reported"), "{listed}");
}

#[cfg(unix)]
#[test]
fn a_sweep_that_grew_and_was_killed_in_its_fit_keeps_no_fits_of_fewer_runs() {
    let place = Place::rehearsed(&[]);
    let before = place.read("out/fits.json");
    let grown = ["--set", "sweep.seeds=[1,2]"];
    let mut sweep = place.sweep("rehearsal", &grown).spawn().unwrap();
    crate::common::wait_for("the table of all runs", || {
        std::fs::read_to_string(place.path("out/runs.csv")).is_ok_and(|table| table.lines().count() == 43)
    });
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    let there = ["fits.json", "report.html"].iter().all(|name| place.path(&format!("out/{name}")).exists());
    assert_eq!(standing(&place).starts_with("complete"), there);
    assert!(!std::fs::read_to_string(place.path("out/fits.json")).is_ok_and(|fits| fits == before));
    assert_code(&place.sweep("rehearsal", &grown).output().unwrap(), 0);
    assert_eq!(standing(&place), "complete, rehearsed");
}

#[test]
fn what_an_unfinished_sweep_has_is_listed_and_no_table_is_named_that_is_not_there() {
    let place = Place::rehearsed(&[]);
    let runs = place.read("out/runs.csv");
    let lost = place.results()[3..].to_vec();
    for result in &lost {
        std::fs::remove_file(result).unwrap();
    }
    let left: Vec<String> = runs.lines().skip(1).map(|line| line[..16].to_owned()).collect();
    let left: Vec<&String> =
        left.iter().filter(|id| place.path(&format!("out/runs/{id}/result.json")).exists()).collect();
    assert_eq!(left.len(), 3);
    let shown = place.says(&["show", "out"]);
    let short: Vec<&str> = left.iter().map(|id| &id[..8]).collect();
    assert!(shown.contains(&short.join(", ")) && shown.contains("out/runs.csv"), "{shown}");
    let object: serde_json::Value = serde_json::from_str(&place.says(&["show", "out", "--json"])).unwrap();
    assert_eq!(object["finished_runs"], serde_json::json!(left));
    std::fs::remove_file(place.path("out/runs.csv")).unwrap();
    let shown = place.says(&["show", "out"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("`runner ledger rebuild out`"), "{shown}");
    assert!(!shown.contains("out/runs.csv"), "{shown}");
    let refused = place.refusal(&["fit", "out"]);
    assert!(refused.contains("`runner ledger rebuild out`"), "{refused}");
    place.says(&["ledger", "rebuild", "out"]);
    assert!(place.says(&["show", "out"]).contains("out/runs.csv"));
}

#[test]
fn another_name_is_taken_and_told_and_is_never_what_makes_another_sweep() {
    let place = Place::rehearsed(&["name=first"]);
    let sweep = |set: &[&str]| {
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
        place.sweep("rehearsal", &set).output().unwrap()
    };
    let told = "was named \"first\" and is named \"second\" from now on";
    let output = sweep(&["name=second"]);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    assert!(
        place.read("out/spec.toml").contains("name = \"second\"") && place.read("out/report.html").contains("second")
    );
    assert!(!text(&sweep(&["name=second"]).stderr).contains("was named"));
    // Also where it grows.
    let output = sweep(&["name=third", "sweep.seeds=[1,2]"]);
    assert!(text(&output.stderr).contains("was named \"second\" and is named \"third\""), "{}", text(&output.stderr));
    let output = sweep(&["name=fourth", "optimizer.beta2=0.95"]);
    assert_code(&output, 2);
    let refused = text(&output.stderr);
    assert!(
        refused.contains("optimizer.beta2 is 0.99 there and 0.95 here") && !refused.contains("fourth"),
        "{refused}"
    );
    assert!(place.read("out/spec.toml").contains("name = \"third\""), "a refusal renames nothing");
}

#[test]
fn a_results_folder_is_found_by_its_name_wherever_one_is_read() {
    let place = two();
    for command in [&["status"][..], &["ledger", "check"], &["export", "jsonl"], &["fit"], &["ls"]] {
        let by = |dir: &str| place.says(&[command, &[dir]].concat());
        assert_eq!(by("one-rehearsal"), by("results/one-rehearsal"), "{command:?}");
    }
    place.says(&["merge", "both", "one-rehearsal", "two-rehearsal"]);
    assert!(place.path("both/plan.json").exists());
    // A path that is there comes first, and one of several parts is no name.
    std::fs::create_dir(place.path("one-rehearsal")).unwrap();
    // Where it is no sweep, the one that it hides is told.
    for command in [&["status"][..], &["fit"], &["predict", "--params", "1M", "--tokens", "20M", "--fit"]] {
        let refused = place.refusal(&[command, &["one-rehearsal"]].concat());
        assert!(refused.contains("results/one-rehearsal is one") && !refused.contains("rebuild"), "{refused}");
    }
    assert!(text(&place.run(&["ls", "one-rehearsal"]).stderr).contains("results/one-rehearsal is one"));
    let refused = place.refusal(&["status", "x/two-rehearsal"]);
    assert!(refused.contains("x/two-rehearsal") && !refused.contains("--out"), "{refused}");
    // Of a name that nothing has, what is near is told, and it is no advice to train into it.
    for (command, near) in
        [(["status", "two"], "results/two-rehearsal"), (["fit", "two-rehersal"], "results/two-rehearsal")]
    {
        let refused = place.refusal(&command);
        assert!(refused.contains(&format!("nor results/{}; the nearest is {near}", command[1])), "{refused}");
        assert!(!refused.contains("--out"), "{refused}");
    }
    assert!(place.refusal(&["status", "nothing like"]).contains("nor 'results/nothing like'; `runner ls` lists"));
    place.write("a table.csv", "a,b\n");
    let refused = place.refusal(&["status", "a table.csv"]);
    assert!(refused.contains("'a table.csv' holds no sweep: it is a file") && !refused.contains("--out"), "{refused}");
    std::fs::create_dir(place.path("a folder")).unwrap();
    assert!(place.refusal(&["status", "a folder"]).contains("--out 'a folder'`"));
    // Runs that only differ in size were not tuned.
    let refused = place.refusal(&["stop-early", "two-rehearsal"]);
    assert!(refused.contains("fit.tuned or sweep.tune") && !refused.contains("--tuned"), "{refused}");
}

#[test]
fn a_sweep_s_own_fits_are_a_surface_to_allocate_on() {
    let place = two();
    let fits = ["--fit", "results/one-rehearsal/fits.json"];
    let said = place.says(&[&["allocate"][..], &fits, &["--flops", "1e13"]].concat());
    assert!(said.contains("tokens per param") && said.contains(" to "), "with its interval: {said}");
    let said =
        place.says(&[&["predict"][..], &fits, &["--params", "1e5", "--tokens", "2e6", "--approach", "vpnls"]].concat());
    assert!(said.contains("nats per token"), "{said}");
    // By the folder, by the name, and in the numbers that people write.
    for fit in ["results/one-rehearsal", "one-rehearsal"] {
        let written = ["predict", "--fit", fit, "--params", "100k", "--tokens", "2M", "--approach", "vpnls"];
        assert_eq!(place.says(&written), said, "{fit}");
    }
    let refused = place.refusal(&["predict", "--fit", "one-rehearsal", "--params", "124Q", "--tokens", "2M"]);
    assert!(refused.contains("124Q") && refused.contains("124M"), "{refused}");
    std::fs::remove_file(place.path("results/one-rehearsal/fits.json")).unwrap();
    let refused = place.refusal(&["predict", "--fit", "one-rehearsal", "--params", "1k", "--tokens", "2M"]);
    assert!(refused.contains("has no fits.json"), "{refused}");
}

#[test]
fn show_finds_a_run_by_its_beginning_and_tells_what_built_it() {
    let place = two();
    let runs = place.read("results/two-rehearsal/runs.csv");
    // Of the second seed, so in one sweep alone.
    let only = runs.lines().skip(1).find(|line| line.split(',').nth(9) == Some("2")).unwrap();
    let id = &only[..16];
    let shown = place.says(&["show", &id[..8]]);
    for words in [id, "two-rehearsal", "validation loss", "Cargo.lock", "rustc", "curve", "seed"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    assert_eq!(shown, place.says(&["show", &format!("results/two-rehearsal/{id}")]));
    let whole = place.says(&["show", id, "--in", "results/two-rehearsal", "--config"]);
    assert!(whole.contains("\"flop_budget\""), "{whole}");
    let both = &runs.lines().nth(1).unwrap()[..16];
    assert!(place.refusal(&["show", both]).contains("several sweeps have that run: give one of results/one"));
    assert!(place.refusal(&["show", "xyz"]).contains("no run begins with \"xyz\""));
    for sweep in ["results/two-rehearsal/", "two-rehearsal"] {
        let shown = place.says(&["show", sweep]);
        assert!(shown.contains("42") && shown.contains("tokens per parameter"), "{shown}");
    }
}

#[test]
fn a_folder_of_tables_alone_as_git_keeps_it_shows_the_same_losses() {
    let place = two();
    let runs = place.read("results/two-rehearsal/runs.csv");
    let id = &runs.lines().nth(1).unwrap()[..16];
    let lines = |what: &str| {
        let shown = place.says(&["show", &format!("results/two-rehearsal/{id}")]);
        shown.lines().filter(|line| line.contains(what)).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = [lines("validation loss"), lines("curve")];
    assert!(before.iter().all(|lines| lines.len() == 1));
    std::fs::remove_dir_all(place.path("results/two-rehearsal/runs")).unwrap();
    assert_eq!([lines("validation loss"), lines("curve")], before);
    assert!(place.says(&["ls"]).contains("complete"));
    // So too where a copy left an empty folder.
    std::fs::create_dir(place.path("results/two-rehearsal/runs")).unwrap();
    // The page names the compiler, which tables do not keep.
    let derived = ["fits.json", "runs.csv", "curves.csv"].map(|name| format!("results/two-rehearsal/{name}"));
    let before = derived.each_ref().map(|path| place.read(path));
    let standing = place.says(&["status", "results/two-rehearsal"]);
    assert!(standing.contains("42 runs: 42 finished"), "{standing}");
    let checked = place.says(&["ledger", "rebuild", "results/two-rehearsal"]);
    assert!(checked.contains("42 results of 42 runs") && checked.contains("no checksums"), "{checked}");
    assert_eq!(derived.each_ref().map(|path| place.read(path)), before);
    // Trained again into the same folder they would be written over.
    let refusal = place.refusal(&["sweep", "results/two-rehearsal/spec.toml", "--device", "rehearsal"]);
    assert!(refusal.contains("tables of runs without the runs") && refusal.contains("--out"), "{refusal}");
    assert_eq!(derived.each_ref().map(|path| place.read(path)), before);
    // What the refusal says leads on from these runs.
    assert!(refusal.contains("runner merge NEW results/two-rehearsal"), "{refusal}");
    place.says(&["merge", "new", "results/two-rehearsal"]);
    let on = ["sweep", "results/two-rehearsal/spec.toml", "--device", "rehearsal", "--out", "new"];
    let on = place.runner(&on).output().unwrap();
    assert_code(&on, 0);
    assert!(text(&on.stderr).contains("42 of them are done already"), "{}", text(&on.stderr));
    // What the tables say of a run that is not planned, or no number, is damage.
    for (from, to) in [(id, "0123456789abcdef"), (",finished,", ",done,"), (",finished,", ",diverged,")] {
        place.write("results/two-rehearsal/runs.csv", runs.replacen(from, to, 1));
        let refusal = place.refusal(&["status", "results/two-rehearsal"]);
        assert!(refusal.contains("runs.csv is damaged") && refusal.contains("line 2"), "{refusal}");
    }
    place.write("results/two-rehearsal/runs.csv", &runs);
    assert_eq!(place.read("results/two-rehearsal/runs.csv"), runs);
}

#[test]
fn compare_tells_differences_of_spec_and_outcome_with_intervals() {
    let place = two();
    let said = place.says(&["compare", "results/one-rehearsal", "results/two-rehearsal"]);
    for words in [
        "sweep.seeds",
        "[1,2]",
        "N_opt exponent",
        "tokens/param, 1.5e12 alone",
        "parameters counted as all parameters",
        "21 runs in common",
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    assert!(
        said.contains("is +0.0000 nats per token on average (95% over pairs, Student's: +0.0000 to +0.0000)"),
        "{said}"
    );
    assert!(said.contains("3 and 3 budgets are too few"), "{said}");
    assert!(said.contains("seeds of one point scatter by") && said.contains("a difference of 0.01 nats"), "{said}");
    assert_eq!(place.says(&["compare", "one-rehearsal", "two-rehearsal"]).lines().count(), said.lines().count());
    assert!(
        place.refusal(&["compare", "one-rehearsal", "two-rehearsal", "--difference", "0"]).contains("--difference 0")
    );
    assert!(place.says(&["compare", "results/one-rehearsal", "results/one-rehearsal"]).contains("spec: no difference"));

    let runs = place.read("results/one-rehearsal/runs.csv");
    let run = |row: usize| format!("results/one-rehearsal/{}", &runs.lines().nth(row).unwrap()[..16]);
    let said = place.says(&["compare", &run(1), &run(2)]);
    assert!(said.contains("shape.") && said.contains("the second's loss minus the first's is"), "{said}");
    assert!(place.refusal(&["compare", "results/one-rehearsal", &run(1)]).contains("give two sweeps or two runs"));
    // Losses of a known surface are not compared with trained ones.
    let kind = place.read("results/two-rehearsal/ledger.json").replace("rehearsed", "trained");
    place.write("results/two-rehearsal/ledger.json", kind);
    let refused = place.refusal(&["compare", "results/one-rehearsal", "results/two-rehearsal"]);
    assert!(refused.contains("results/one-rehearsal was rehearsed"), "{refused}");
    let missing = place.refusal(&["compare", "results/nowhere", "results/one-rehearsal"]);
    assert!(missing.contains("results/nowhere is not") && missing.contains("no run"), "{missing}");
}

#[test]
fn what_is_neither_a_sweep_nor_a_run_is_named() {
    let said = Place::new().refusal(&["compare", "one", "two"]);
    assert!(said.contains("\"one\" is no folder of results") && said.contains("results, which is not there"), "{said}");
}

#[test]
fn compare_takes_the_best_of_what_was_tuned() {
    let [plain, tuned] = ["completep", "completep-tuned"].map(|name| repository().join("results").join(name));
    let said = Place::new().says(&["compare", plain.to_str().unwrap(), tuned.to_str().unwrap(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    let row = |name: &str| {
        let rows = told["outcome"].as_array().unwrap().iter();
        rows.filter(|row| row[0] == name).map(|row| (row[1].clone(), row[2].clone())).collect::<Vec<_>>()
    };
    for name in ["N_opt exponent", "D_opt exponent", "tokens/param, 1e12 alone", "least loss, 2.4e12"] {
        assert!(row(name).iter().all(|(a, b)| a != "-" && b != "-") && row(name).len() == 1, "{name}: {:?}", row(name));
    }
    // The rate of the first is among those that the second tried, so no best one is worse.
    let losses = told["conclusions"][0].as_str().unwrap();
    assert!(
        losses.starts_with("20 runs in common (shape, length, seed and corpus, of those tuned the best)"),
        "{losses}"
    );
    assert!(
        losses.contains("is -0.") && told["conclusions"].to_string().contains("of those tuned the best, a parameter")
    );
}

#[test]
fn the_table_of_runs_names_the_build_of_each_result() {
    let place = two();
    let runs = place.read("results/one-rehearsal/runs.csv");
    let header: Vec<&str> = runs.lines().next().unwrap().split(',').collect();
    let at = header.iter().position(|name| *name == "build").unwrap();
    let builds: std::collections::BTreeSet<&str> =
        runs.lines().skip(1).map(|row| row.rsplit(',').nth(header.len() - 1 - at).unwrap()).collect();
    assert_eq!(builds.len(), 1);
    assert_eq!(builds.first(), Some(&runner::provenance::Build::current().to_string().as_str()));
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.says(&["completions", shell]);
        assert!(["explain", "budget-hours", "coord-check"].iter().all(|word| script.contains(word)), "{shell}");
    }
    place.says(&["man", "pages"]);
    let help = place.says(&["--help"]);
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands = commands.take_while(|line| line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    let commands: Vec<&str> = commands.filter(|name| *name != "help").collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        assert!(place.path(&format!("pages/runner-{command}.1")).exists(), "{command}");
    }
}
