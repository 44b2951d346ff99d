//! Runs that were trained elsewhere: `runner import`, and what goes on from there.

mod unsaid;

use std::fmt::Write as _;
use std::fs;

use runner::tensorboard::{
    self, Event, Hparams, Kind, Message as _, Metadata, Plugin, SessionStart, Setting, Summary, Value,
};

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, text};

/// Sizes and tokens of IsoFLOP curves, with a planted loss.
fn grid() -> Vec<(String, f64, f64, f64)> {
    let mut runs = Vec::new();
    for budget in [1e16, 1e17, 1e18_f64] {
        let centre = 0.1 * budget.sqrt();
        for i in 0..7 {
            let n = (centre * 1.5_f64.powi(i - 3)).round();
            let d = (budget / (6.0 * n)).round();
            runs.push((format!("run-{budget:e}-{i}"), n, d, 1.8 + 400.0 / n.powf(0.34) + 410.0 / d.powf(0.28)));
        }
    }
    runs
}

fn csv() -> String {
    grid().into_iter().fold("name,N,D,loss,optimizer\n".to_owned(), |mut text, (name, n, d, loss)| {
        let _ = writeln!(text, "{name},{n},{d},{loss},adam");
        text
    })
}

/// A log a run: settings, a curve with noise between, and the result.
fn logs(place: &Place) {
    fs::create_dir(place.path("logs")).unwrap();
    for (name, n, d, loss) in grid() {
        let mut log = format!("{{\"config\": {{\"lr\": 0.01}}, \"n_params\": {n}}}\nstep 1 of many\n");
        for i in 1..=5 {
            let _ = writeln!(
                log,
                "{{\"step\": {}, \"tokens\": {}, \"loss\": {}}}",
                i * 20,
                d * f64::from(i) / 5.0,
                loss + 1.0
            );
        }
        let _ = writeln!(log, "{{\"step\": 100, \"loss\": NaN}}\n{{\"val_loss\": {loss}}}\n{{\"val_lo");
        place.write(&format!("logs/{name}.jsonl"), log);
    }
}

/// An `mlruns` folder as `MLflow`'s file store lays it out.
fn mlruns(place: &Place) {
    for (at, (name, n, d, loss)) in grid().into_iter().enumerate() {
        let run = format!("mlruns/7/{at:032}");
        for folder in ["params", "metrics/train"] {
            fs::create_dir_all(place.path(&format!("{run}/{folder}"))).unwrap();
        }
        let status = if at == 20 { 4 } else { 3 };
        place.write(
            &format!("{run}/meta.yaml"),
            format!("lifecycle_stage: active\nrun_name: {name}\nstatus: {status}\n"),
        );
        place.write(&format!("{run}/params/n_params"), n.to_string());
        place.write(&format!("{run}/params/optimizer"), "adam");
        place.write(&format!("{run}/metrics/tokens"), format!("1 {} 50\n2 {d} 100\n", d / 2.0));
        place.write(&format!("{run}/metrics/loss"), format!("1 {} 50\n2 {} 100\n", loss + 1.0, loss + 0.5));
        place.write(&format!("{run}/metrics/val_loss"), format!("2 {loss} 100\n"));
        place.write(&format!("{run}/metrics/train/lr"), "2 0.01 100\n");
    }
}

/// The exponent of `N_opt` by which the runs were planted comes back, by the command and by every one that follows.
fn assert_fitted(place: &Place) {
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let exponent = fits["approach2"][0]["n_opt"]["exponent"]["value"].as_f64().unwrap();
    assert!((exponent - 0.28 / 0.62).abs() < 0.03, "{exponent}");
    assert!(place.says(&["fit", "out"]).contains("tokens per parameter"));
    assert!(place.read("out/report.html").contains("</html>"));
    assert!(place.says(&["ls", "."]).contains("out"));
    let id = place.read("out/runs.csv").lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    let shown = place.says(&["show", &id, "--in", "."]);
    assert!(shown.contains("run-1e16-"), "{shown}");
    // Of what was trained elsewhere nobody knows these.
    for unknown in ["learning rate", "batch", "speed", "time", "±"] {
        assert!(!shown.contains(unknown), "{unknown}: {shown}");
    }
    assert_code(&place.run(&["ledger", "rebuild", "out"]), 0);
}

#[test]
fn a_table_becomes_a_sweep_that_every_command_takes() {
    let place = Place::new();
    place.write("runs.csv.txt", csv());
    assert_code(&place.run(&["import", "runs.csv.txt", "--out", "out"]), 0);
    assert_fitted(&place);
    let runs = place.read("out/runs.csv");
    assert!(runs.lines().next().unwrap().contains("told.optimizer"), "{runs}");
    // The same again is the same folder, and it goes together with others.
    assert_code(&place.run(&["import", "runs.csv.txt", "--out", "out"]), 0);
    assert_eq!(place.read("out/runs.csv"), runs);
    let already = text(&place.run(&["import", "runs.csv.txt", "--out", "out"]).stderr);
    assert!(already.contains("0 runs imported, 21 there already"), "{already}");
    // A result that was published stands: a corrected table needs a folder of its own.
    let third = csv().lines().nth(2).unwrap().to_owned();
    let loss = third.split(',').nth(3).unwrap();
    let corrected = third.replace(loss, "2.5");
    place.write("corrected.csv", csv().replace(&third, &corrected));
    let said = ["other results of 1 of these runs", "--out", "remove out first"];
    assert_refused(&place.run(&["import", "corrected.csv", "--out", "out"]), &said);
    assert_eq!(place.read("out/runs.csv"), runs);
    assert!(place.files("out", "conflict-imported.json").is_empty());
    let half: String = csv().lines().take(12).fold(String::new(), |text, line| text + line + "\n");
    place.write("half.csv", half);
    assert_code(&place.run(&["import", "half.csv", "--out", "half"]), 0);
    // Any folder will do, though no sweep could be called so.
    assert_code(&place.run(&["import", "half.csv", "--out", "_ä"]), 0);
    assert_code(&place.run(&["merge", "all", "half", "out"]), 0);
    assert_eq!(place.read("all/runs.csv").lines().count(), 22);
    assert_code(&place.run(&["compare", "half", "out"]), 0);
    // Rehearsed losses are not those of trained models, whatever the text.
    place.write("spec.toml", QUICKSTART);
    assert_code(&place.run(&["sweep", "spec.toml", "--device", "rehearsal", "--out", "rehearsed"]), 0);
    assert_refused(&place.run(&["merge", "both", "out", "rehearsed"]), &["rehearsed"]);
}

#[test]
fn runs_that_weights_and_biases_exports_keep_their_names() {
    let place = Place::new();
    for (column, known) in [("Name", true), ("Run Name", true), ("Notes", false)] {
        place.write("wandb.csv", csv().replacen("name", column, 1));
        assert_code(&place.run(&["import", "wandb.csv", "--out", "out"]), 0);
        assert_eq!(place.read("out/spec.toml").contains("name = \"run-1e16-3\""), known, "{column}");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn logs_of_a_folder_are_runs_with_their_curves() {
    let place = Place::new();
    logs(&place);
    let output = place.run(&["import", "logs", "--out", "out"]);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("skipped 2 lines that cannot be understood"), "{}", text(&output.stderr));
    assert_fitted(&place);
    let curves = place.read("out/curves.csv");
    assert_eq!(curves.lines().count(), 1 + 21 * 5);
    assert!(curves.lines().skip(1).all(|line| line.ends_with(',')), "no rate was told: {curves}");
    assert!(place.read("out/runs.csv").lines().next().unwrap().contains("told.config.lr"));
    // A folder a run: the log has no name of its own.
    for (name, ..) in grid() {
        fs::create_dir_all(place.path(&format!("runs/{name}"))).unwrap();
        let log = place.read(&format!("logs/{name}.jsonl"));
        place.write(&format!("runs/{name}/metrics.jsonl"), log);
    }
    assert_code(&place.run(&["import", "runs", "--out", "folders"]), 0);
    assert_eq!(place.read("folders/curves.csv"), place.read("out/curves.csv"));
}

#[test]
fn logs_of_lightning_are_runs_with_their_settings() {
    let place = Place::new();
    for (at, (name, n, d, loss)) in grid().into_iter().enumerate() {
        let folder = format!("lightning_logs/version_{at}");
        fs::create_dir_all(place.path(&folder)).unwrap();
        place.write(
            &format!("{folder}/hparams.yaml"),
            format!("name: {name}\nn_params: {n}\nmodel:\n  params: 3\nseed: null\n"),
        );
        let row = |part: f64| format!("0,{},{},{},\n", 100.0 * part, d * part, loss + 1.0 - part);
        let rows: String = [0.25, 0.5, 0.75, 1.0].map(row).concat();
        place.write(
            &format!("{folder}/metrics.csv"),
            format!("epoch,step,tokens,train_loss,val_loss\n{rows}0,100,,,{loss}\n"),
        );
    }
    assert_code(&place.run(&["import", "lightning_logs", "--out", "out"]), 0);
    assert_fitted(&place);
    assert_eq!(place.read("out/curves.csv").lines().count(), 1 + 21 * 4);
    // A table of runs is no log, though it may tell steps.
    fs::create_dir_all(place.path("tables")).unwrap();
    place.write("tables/runs-of-a-grid.csv", csv().replacen("name", "step", 1));
    assert_refused(&place.run(&["import", "tables", "--out", "other"]), &["tables holds no runs"]);
}

/// Losses of runs that have a name in common, and a run that ends without a number.
#[test]
fn each_run_keeps_its_own_curve_and_one_that_diverges_is_left_out() {
    let place = Place::new();
    fs::create_dir(place.path("logs")).unwrap();
    for (at, (_, n, d, loss)) in grid().into_iter().enumerate() {
        let mut log = format!("{{\"name\": \"baseline\", \"n_params\": {n}}}\n");
        let _ = writeln!(log, "{{\"step\": 10, \"tokens\": {d}, \"loss\": {}, \"val_loss\": {loss}}}", loss + 1.0);
        if at == 20 {
            let _ = writeln!(log, "{{\"step\": 11, \"tokens\": {d}, \"loss\": NaN, \"note\": \"NaN\"}}");
        }
        place.write(&format!("logs/{at:02}.jsonl"), log);
    }
    let output = place.run(&["import", "logs", "--out", "out"]);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("1 run is diverged"), "{}", text(&output.stderr));
    let [runs, curves] = place.tables();
    assert_eq!((runs.lines().count(), curves.lines().count()), (21, 21));
    let column = |table: &str, name: &str| -> Vec<f64> {
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let at = reader.headers().unwrap().iter().position(|header| header == name).expect(name);
        let mut cells: Vec<f64> = reader.records().map(|row| row.unwrap()[at].parse().unwrap()).collect();
        cells.sort_by(f64::total_cmp);
        cells
    };
    let finals = column(&runs, "val_loss");
    let trained = column(&curves, "train_loss");
    assert!(finals.iter().zip(&trained).all(|(end, trained)| (trained - end - 1.0).abs() < 1e-9), "{trained:?}");
}

/// The losses of training in logs and tables that have another one of validation.
#[test]
fn a_loss_of_training_is_not_taken_for_that_of_validation() {
    let place = Place::new();
    fs::create_dir(place.path("logs")).unwrap();
    for (at, (_, n, d, loss)) in grid().into_iter().enumerate() {
        let mut log = format!("{{\"n_params\": {n}, \"max_steps\": 20}}\n");
        for step in [10, 20] {
            let _ = writeln!(log, "{{\"step\": {step}, \"tokens\": {d}, \"loss\": {}}}", loss + 1.0);
        }
        let _ =
            writeln!(log, "{{\"step\": 20, \"eval_loss\": {loss}}}\n{{\"step\": 20, \"train_loss\": {}}}", loss + 2.0);
        if at == 20 {
            log = log.lines().take(2).collect::<Vec<_>>().join("\n");
        }
        place.write(&format!("logs/{at:02}.jsonl"), log);
    }
    let output = place.run(&["import", "logs", "--out", "out"]);
    assert_code(&output, 0);
    let said = text(&output.stderr);
    assert!(said.contains("20.jsonl: it ends at step 10 of 20") && said.contains("1 run is unfinished"), "{said}");
    let [runs, curves] = place.tables();
    assert_eq!((runs.lines().count(), curves.lines().count()), (21, 41));
    let cell = |table: &str, name: &str| -> f64 {
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let at = reader.headers().unwrap().iter().position(|header| header == name).expect(name);
        reader.records().next().unwrap().unwrap()[at].parse().unwrap()
    };
    assert!((cell(&runs, "train_loss") - cell(&runs, "val_loss") - 1.0).abs() < 1e-9, "{runs}");
    // Of a table its user says which.
    let table = grid().into_iter().fold("N,D,loss,eval_loss\n".to_owned(), |mut text, (_, n, d, loss)| {
        let _ = writeln!(text, "{n},{d},{},{loss}", loss + 1.0);
        text
    });
    place.write("hf.csv", table);
    assert_refused(&place.run(&["import", "hf.csv", "--out", "hf"]), &["'loss'", "'eval_loss'", "--columns"]);
    let told = ["import", "hf.csv", "--out", "hf", "--columns", "val_loss=eval_loss"];
    assert_code(&place.run(&told), 0);
}

#[test]
fn runs_without_names_are_the_same_in_a_table_that_has_grown_and_others_in_another() {
    let place = Place::new();
    let table = |optimizer: &str, from: usize, better: f64| {
        grid().into_iter().skip(from).fold("N,D,loss,optimizer\n".to_owned(), |mut text, (_, n, d, loss)| {
            let _ = writeln!(text, "{n},{d},{},{optimizer}", loss - better);
            text
        })
    };
    place.write("some.csv", table("adamw", 3, 0.0));
    place.write("all.csv", table("adamw", 0, 0.0));
    place.write("muon.csv", table("muon", 0, 0.1));
    assert_code(&place.run(&["import", "some.csv", "--out", "adamw"]), 0);
    let grown = place.run(&["import", "all.csv", "--out", "adamw"]);
    assert_code(&grown, 0);
    assert!(text(&grown.stderr).contains("3 runs imported, 18 there already"), "{}", text(&grown.stderr));
    assert_code(&place.run(&["import", "muon.csv", "--out", "muon"]), 0);
    let merged = place.run(&["merge", "both", "adamw", "muon"]);
    assert_code(&merged, 0);
    assert!(!text(&merged.stderr).contains("WARNING"), "{}", text(&merged.stderr));
    assert_eq!(place.read("both/runs.csv").lines().count(), 1 + 42);
    // A retry under the name of the first try is told.
    let first = csv().lines().nth(1).unwrap().to_owned();
    let loss = first.split(',').nth(3).unwrap();
    let retried = csv() + &first.replace(loss, "3.1") + "\n";
    place.write("retried.csv", retried);
    let said = text(&place.run(&["import", "retried.csv", "--out", "retried"]).stderr);
    assert!(said.contains("run-1e16-0 stands twice"), "{said}");
}

#[test]
fn losses_keep_the_unit_of_their_column_and_sums_are_told() {
    let place = Place::new();
    let table = |header: &str, factor: f64| {
        grid().into_iter().fold(format!("N,D,{header}\n"), |mut text, (_, n, d, loss)| {
            let _ = writeln!(text, "{n},{d},{}", loss * factor);
            text
        })
    };
    place.write("bits.csv", table("loss (bits)", std::f64::consts::LOG2_E));
    let fit = |columns: &str| {
        let flags = ["fit", "bits.csv", "--approach", "2", "--json", "--columns", columns];
        text(&place.run(&flags).stdout)
    };
    assert_eq!(fit("val_loss=loss (bits)"), fit("params=N"));
    place.write("sums.csv", table("loss", 100.0));
    let said = text(&place.run(&["fit", "sums.csv", "--approach", "2"]).stderr);
    assert!(said.contains("21 of 21 losses are above 15 nats per token"), "{said}");
    fs::create_dir(place.path("empty")).unwrap();
    assert_refused(&place.run(&["fit", "empty"]), &["folder without runs.csv"]);
}

#[test]
fn an_mlruns_folder_is_read_and_what_failed_is_left_out() {
    let place = Place::new();
    mlruns(&place);
    for source in ["mlruns", "mlruns/7"] {
        let output = place.run(&["import", source, "--out", "out"]);
        assert_code(&output, 0);
        assert!(text(&output.stderr).contains("1 run is failed"), "{}", text(&output.stderr));
        fs::remove_dir_all(place.path("out")).unwrap();
    }
    assert_code(&place.run(&["import", "mlruns", "--out", "out"]), 0);
    assert_fitted(&place);
    assert!(place.read("out/runs.csv").lines().next().unwrap().contains("told.train/lr"));
}

/// An event file of one run: scalars by name and step.
fn events(place: &Place, folder: &str, file: &str, scalars: &[(&str, i64, f32)], hparams: &[(&str, f64)]) {
    let mut bytes = Vec::new();
    let mut record = |step, value| {
        let summary = Some(Summary { value: vec![value] });
        tensorboard::write_record(&mut bytes, &Event { step, summary, ..Event::default() }.encode_to_vec());
    };
    for &(tag, step, value) in scalars {
        record(step, Value { tag: tag.to_owned(), simple_value: Some(value), ..Value::default() });
    }
    if !hparams.is_empty() {
        let kind = |value: f64| Setting { kind: Some(Kind::Number(value)) };
        let settings = hparams.iter().map(|(name, value)| ((*name).to_owned(), kind(*value))).collect();
        let start = Some(SessionStart { settings, ..SessionStart::default() });
        let content = Hparams { start, ..Hparams::default() }.encode_to_vec();
        let plugin_data = Some(Plugin { name: tensorboard::HPARAMS.to_owned(), content });
        record(0, Value { metadata: Some(Metadata { plugin_data }), ..Value::default() });
    }
    fs::create_dir_all(place.path(folder)).unwrap();
    place.write(&format!("{folder}/events.out.tfevents.{file}"), bytes);
}

#[test]
fn event_files_of_tensorboard_are_read_as_several_programs_write_them() {
    let place = Place::new();
    for (at, (name, n, d, loss)) in grid().into_iter().enumerate() {
        let (loss, folder) = (loss as f32, format!("tb/{name}"));
        let curve = [("train/loss", 50, loss + 1.0), ("train/loss", 100, loss + 0.5)];
        let settings = [("n_params", n), ("tokens", d)];
        match at % 3 {
            // In one folder, and after a restart that did some steps again.
            0 => {
                let first = [("train/loss", 50, 9.0), ("eval/loss", 50, 9.0)];
                events(&place, &folder, "100.host", &first, &settings);
                let rest = [&curve[..], &[("eval/loss", 100, loss)]].concat();
                events(&place, &folder, "101.host", &rest, &[]);
            }
            // Hyper-parameters in a folder of their own, as PyTorch has them.
            1 => {
                let whole = [&curve[..], &[("eval/loss", 100, loss), ("eval/loss vs samples", 25600, 1.0)]].concat();
                events(&place, &folder, "100.host", &whole, &[]);
                events(&place, &format!("{folder}/100.7"), "100.host", &[("hparam/accuracy", 0, 0.5)], &settings);
            }
            // Training and evaluation in folders of their own, and settings beside them.
            _ => {
                events(&place, &format!("{folder}/train"), "100.host", &[("loss", 50, loss + 1.0)], &[]);
                events(&place, &format!("{folder}/eval"), "100.host", &[("loss", 100, loss)], &[]);
                place.write(&format!("{folder}/train/hparams.yaml"), format!("n_params: {n}\ntokens: {d}\n"));
            }
        }
    }
    // One that diverged, whose file is cut, and what all runs have in common.
    events(
        &place,
        "tb/nan",
        "100.host",
        &[("train/loss", 50, 5.0), ("train/loss", 100, f32::NAN)],
        &[("n_params", 1e6), ("tokens", 1e8)],
    );
    events(&place, "tb", "100.host", &[], &[]);
    let cut = fs::read(place.path("tb/nan/events.out.tfevents.100.host")).unwrap();
    place.write("tb/nan/events.out.tfevents.101.host", &cut[..cut.len() / 3]);
    let said = text(&place.run(&["import", "tb", "--out", "out"]).stderr);
    assert!(said.contains("21 runs imported") && said.contains("1 run is diverged, and left out"), "{said}");
    assert_fitted(&place);
}

#[test]
fn what_is_exported_for_tensorboard_comes_back() {
    let place = Place::new();
    place.write("spec.toml", QUICKSTART);
    assert_code(&place.run(&["sweep", "spec.toml", "--device", "rehearsal", "--out", "there"]), 0);
    assert_code(&place.run(&["export", "tensorboard", "there", "--out", "events"]), 0);
    assert_code(&place.run(&["import", "events", "--out", "back"]), 0);
    for name in ["params", "tokens", "flops", "flop_budget", "val_loss", "val_loss_se"] {
        let (there, back) = (imported(&place, "there", name), imported(&place, "back", name));
        assert_eq!(there.len(), back.len());
        assert!(there.iter().zip(&back).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs()), "{name}");
    }
}

#[test]
fn what_cannot_be_imported_is_told_with_its_place() {
    let place = Place::new();
    for folder in ["empty", "noise"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    place.write("noise/a.jsonl", [0xff, 0x00, b'\n', 0x80]);
    place.write("noise/b.txt", "no log");
    place.write("short.csv", "N,D,loss\n1000,20,3.0\n");
    place.write("bad.csv", "name,N,D,loss\na,1000,20000,3.0\nb,1000,many,3.0\n");
    for (source, said) in [
        ("absent", &["absent"][..]),
        ("empty", &["holds no runs", "*.jsonl"]),
        ("noise", &["a.jsonl", "none of its 2 lines tells anything"]),
        ("short.csv", &["row 2", "only 20 training tokens", "--columns"]),
        ("bad.csv", &["bad.csv:3", "many"]),
    ] {
        assert_refused(&place.run(&["import", source, "--out", "out"]), said);
        assert!(!place.path("out").exists(), "{source}");
    }
    place.write("mine.txt", "not a ledger");
    fs::create_dir(place.path("out")).unwrap();
    place.write("out/mine.txt", "mine");
    place.write("good.csv", csv());
    assert_refused(&place.run(&["import", "good.csv", "--out", "out"]), &["mine.txt"]);
}

#[test]
fn recipes_whose_runs_have_other_names_are_compared_by_size_and_length() {
    let place = Place::new();
    place.write("a.csv", csv());
    let better = csv().lines().enumerate().fold(String::new(), |text, (at, line)| {
        let cells: Vec<&str> = line.split(',').collect();
        let loss = cells[3].parse::<f64>().map_or_else(|_| cells[3].to_owned(), |loss| (loss - 0.1).to_string());
        let name = if at == 0 { cells[0].to_owned() } else { format!("other-{}", cells[0]) };
        format!("{text}{name},{},{},{loss},{}\n", cells[1], cells[2], cells[4])
    });
    place.write("b.csv", better);
    for name in ["a", "b"] {
        assert_code(&place.run(&["import", &format!("{name}.csv"), "--out", name]), 0);
    }
    let said = place.says(&["compare", "a", "b"]);
    assert!(said.contains("21 runs in common") && said.contains("-0.1000 nats"), "{said}");
    // The models differ in their names alone, which no cell shows at length.
    assert!(said.lines().all(|line| line.chars().count() < 400), "{said}");
}

/// The numbers of a column of the runs that were imported into a folder, in their order.
fn imported(place: &Place, folder: &str, name: &str) -> Vec<f64> {
    let mut table = csv::Reader::from_path(place.path(&format!("{folder}/runs.csv"))).unwrap();
    let at = table.headers().unwrap().iter().position(|header| header == name).expect(name);
    let mut values: Vec<f64> = table.records().map(|row| row.unwrap()[at].parse().unwrap()).collect();
    values.sort_by(f64::total_cmp);
    values
}

#[test]
fn a_loss_goes_with_the_tokens_of_its_step_and_not_with_steps_that_were_gone_back_from() {
    let place = Place::new();
    fs::create_dir(place.path("late")).unwrap();
    let line = |step: u32, more: &str| format!("{{\"step\": {step}, \"n_params\": 1e6, \"tokens\": {step}e4{more}}}\n");
    let late = line(400, ", \"val_loss\": 4.1") + &line(1000, ", \"loss\": 4.0");
    place.write("late/a.jsonl", late);
    let there = [line(100, ", \"val_loss\": 4.4"), line(300, ", \"val_loss\": 4.2")].concat();
    place.write("late/b.jsonl", there + &line(200, ", \"val_loss\": 4.3") + &line(250, ", \"loss\": 4.0"));
    let said = text(&place.run(&["import", "late", "--out", "out"]).stderr);
    assert!(
        said.contains("a.jsonl: its last loss is of step 400") && said.contains("went back from step 300"),
        "{said}"
    );
    assert_eq!(imported(&place, "out", "val_loss"), [4.1, 4.3]);
    assert_eq!(imported(&place, "out", "tokens"), [2e6, 4e6]);
    // MLflow and TensorBoard tell the same by the time of each value.
    fs::create_dir_all(place.path("ml/0/r/metrics")).unwrap();
    fs::create_dir_all(place.path("ml/0/r/params")).unwrap();
    place.write("ml/0/r/meta.yaml", "run_name: r\nstatus: 3\n");
    place.write("ml/0/r/params/n_params", "1e6");
    place.write("ml/0/r/metrics/val_loss", "1 4.4 100\n3 4.2 300\n");
    place.write("ml/0/r/metrics/train_loss", "1 4 100\n3 4 300\n4 4 200\n5 4 250\n9 4 0\n");
    place.write("ml/0/r/metrics/tokens", "1 1e6 100\n3 3e6 300\n4 2e6 200\n5 25e5 250\n");
    assert_code(&place.run(&["import", "ml", "--out", "mlflow"]), 0);
    assert_eq!((imported(&place, "mlflow", "val_loss"), imported(&place, "mlflow", "tokens")), (vec![4.4], vec![1e6]));
    events(
        &place,
        "tb/r",
        "1.h",
        &[("val_loss", 1, 4.5), ("val_loss", 3, 4.25), ("tokens", 1, 1e6), ("tokens", 3, 3e6)],
        &[],
    );
    events(&place, "tb/r", "2.h", &[("tokens", 2, 2e6), ("loss", 3, 4.0)], &[("n_params", 1e6)]);
    assert_code(&place.run(&["import", "tb", "--out", "board"]), 0);
    assert_eq!((imported(&place, "board", "val_loss"), imported(&place, "board", "tokens")), (vec![4.25], vec![3e6]));
}

#[test]
fn what_is_left_out_is_named_and_may_be_taken() {
    let place = Place::new();
    mlruns(&place);
    let last = format!("mlruns/7/{:032}", 20);
    place.write(&format!("{last}/meta.yaml"), "run_name: hanging\nstatus: 1\n");
    place.write(&format!("mlruns/7/{:032}/metrics/tokens", 3), "");
    let said = text(&place.run(&["import", "mlruns", "--out", "out", "--skip-incomplete"]).stderr);
    assert!(said.contains("1 run is running, and left out: hanging; --unfinished takes them too"), "{said}");
    assert!(said.contains("1 run is without a number, and left out: run-1e16-3"), "{said}");
    let said = text(&place.run(&["import", "mlruns", "--out", "more", "--skip-incomplete", "--unfinished"]).stderr);
    assert!(said.contains("20 runs imported"), "{said}");
}

#[test]
fn runs_of_one_name_keep_their_numbers_in_a_folder_that_grows() {
    let place = Place::new();
    let run = |folder: &str, begun: u32, tokens: f64| {
        fs::create_dir_all(place.path(&format!("ml/0/{folder}/metrics"))).unwrap();
        place.write(&format!("ml/0/{folder}/meta.yaml"), format!("run_name: train\nstatus: 3\nstart_time: {begun}\n"));
        for (name, value) in [("tokens", tokens), ("n_params", 1e6), ("val_loss", 4.0)] {
            place.write(&format!("ml/0/{folder}/metrics/{name}"), format!("1 {value} 9\n"));
        }
    };
    run("d", 1, 1e7);
    run("c", 2, 2e7);
    assert_code(&place.run(&["import", "ml", "--out", "out"]), 0);
    run("a", 3, 3e7);
    let said = text(&place.run(&["import", "ml", "--out", "out"]).stderr);
    assert!(said.contains("1 run imported, 2 there already"), "{said}");
}

#[test]
fn a_loss_of_training_that_stands_in_is_told_and_other_measures_are_never_taken() {
    let place = Place::new();
    fs::create_dir(place.path("logs")).unwrap();
    let log = |losses: &str| format!("{{\"n_params\": 1e6, \"tokens\": 1e7, \"step\": 9, {losses}}}\n");
    place.write("logs/a.jsonl", log("\"val/bits_per_byte\": 1.1, \"train/loss\": 3.0"));
    let said = text(&place.run(&["import", "logs", "--out", "out"]).stderr);
    assert!(said.contains("warning: 'train/loss' is by its name a loss of training"), "{said}");
    assert!(said.contains("'val/bits_per_byte' is no loss per token"), "{said}");
    place.write("logs/a.jsonl", log("\"val_bpb\": 1.1"));
    assert_refused(&place.run(&["import", "logs", "--out", "bpb"]), &["'val_bpb' is no loss per token", "nats"]);
    place.write("t.csv", "N,D,val_bpb\n1e6,1e7,1.1\n2e6,1e7,1.0\n");
    assert_refused(&place.run(&["fit", "t.csv"]), &["'val_bpb' is no loss per token"]);
}

#[test]
fn logs_are_found_and_read_as_people_lay_them_out() {
    let place = Place::new();
    let losses = ["\"val/loss\"", "\"eval_loss\"", "\"val\": {\"loss\"", "\"validation/epoch_loss\""];
    for (at, name) in losses.into_iter().enumerate() {
        let folder = ["deep/a/x", "deep/a/y", "deep/b", "deep/c/d/e"][at];
        fs::create_dir_all(place.path(folder)).unwrap();
        let close = if name.contains('{') { "}" } else { "" };
        let more = format!("\"train\": {{\"loss\": 3.9}}, \"num_input_tokens_seen\": 1e7, {name}: 4{close}");
        place.write(
            &format!("{folder}/metrics.jsonl"),
            format!("{{\"step\": 9, \"n_params\": {}e6, {more}}}\n", at + 1),
        );
    }
    let said = text(&place.run(&["import", "deep", "--out", "out"]).stderr);
    assert!(said.contains("4 runs imported") && said.contains("are all taken as val_loss"), "{said}");
    assert_eq!(place.read("out/curves.csv").lines().count(), 5);
    fs::create_dir(place.path("it")).unwrap();
    place.write("it/a.csv", ",Step,Train_Loss,val_loss,tokens,N\n0,1,5,5,1e6,1e6\n1,2,4,4,2e6,1e6\n");
    place.write("it/b.csv", "iteration,val_loss,tokens,N\n1,5,1e6,2e6\n2,4.5,2e6,2e6\n");
    assert_code(&place.run(&["import", "it", "--out", "csv"]), 0);
    assert_eq!(imported(&place, "csv", "tokens"), [2e6, 2e6]);
    // The checkpoints of Hugging Face's trainer, of which the last one knows all.
    for step in [50, 100] {
        fs::create_dir_all(place.path(&format!("hf/r/checkpoint-{step}"))).unwrap();
        let history = format!(
            "[{{\"loss\": 4.5, \"step\": 50}}, {{\"eval_loss\": {}, \"step\": {step}}}]",
            5.0 - f64::from(step) / 100.0
        );
        let state = format!(
            "{{\"global_step\": {step}, \"max_steps\": 100, \"num_input_tokens_seen\": {step}0000, \"n_params\": 1e6, \"log_history\": {history}}}"
        );
        place.write(&format!("hf/r/checkpoint-{step}/trainer_state.json"), state);
    }
    assert_code(&place.run(&["import", "hf", "--out", "trainer"]), 0);
    assert_eq!(
        (imported(&place, "trainer", "val_loss"), imported(&place, "trainer", "tokens")),
        (vec![4.0], vec![1e6])
    );
    // Several values of one name, in folders of their own.
    for [train, val] in [["sx/r/loss/train", "sx/r/loss/val"], ["pt/r/loss_train", "pt/r/loss_val"]] {
        let root = &train[..2];
        events(&place, &format!("{root}/r"), "1.h", &[("tokens", 9, 1e7)], &[("n_params", 1e6)]);
        events(&place, train, "1.h", &[("loss", 9, 3.5)], &[]);
        events(&place, val, "1.h", &[("loss", 9, 4.5)], &[]);
        let said = text(&place.run(&["import", root, "--out", &format!("{root}-out")]).stderr);
        assert!(said.contains("1 run imported"), "{root}: {said}");
        assert_eq!(imported(&place, &format!("{root}-out"), "val_loss"), [4.5]);
    }
}
