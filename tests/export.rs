//! Exports of a rehearsed sweep, read back.

use std::fs;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};

use runner::fit::approaches::headline::Headline;

use crate::common::{Place, assert_code, assert_refused, files, text};

fn rows(path: &Path) -> Vec<csv::StringRecord> {
    csv::Reader::from_path(path).unwrap().records().map(Result::unwrap).collect()
}

/// The headline of the sweep as `ls` says it.
fn headline(place: &Place) -> String {
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let headline: Headline = serde_json::from_value(fits["headline"].clone()).unwrap();
    headline.to_string()
}

#[test]
fn runs_and_curves_come_back_from_json_lines_and_parquet() {
    let place = Place::rehearsed(&[]);
    for (table, flag) in [("runs.csv", &[][..]), ("curves.csv", &["--curves"])] {
        let table = place.path("out").join(table);
        let expected = rows(&table);
        let header = csv::Reader::from_path(&table).unwrap().headers().unwrap().clone();
        // From the folder to standard output, from the table to a file.
        let text = place.says(&[&["export", "jsonl", "out"], flag].concat());
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), expected.len());
        for (line, row) in lines.iter().zip(&expected) {
            for (name, cell) in header.iter().zip(row) {
                let same = match &line[name] {
                    serde_json::Value::Null => cell.is_empty(),
                    serde_json::Value::String(text) => text == cell,
                    value => value.as_f64() == cell.parse().ok(),
                };
                assert!(same, "{name}: {} is not {cell:?}", line[name]);
            }
        }
        place.says(&[&["export", "parquet", "out/runs.csv", "-o", "t.parquet"], flag].concat());
        let file = place.path("t.parquet");
        let reader = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
        let about = reader.metadata().file_metadata();
        assert_eq!(about.num_rows() as usize, expected.len());
        let metadata = about.key_value_metadata().unwrap();
        let headline = metadata.iter().find(|entry| entry.key == "runner.headline").unwrap().value.clone();
        assert_eq!(headline, Some(self::headline(&place)));
        let names: Vec<String> = about.schema_descr().columns().iter().map(|column| column.path().string()).collect();
        assert_eq!(names, header.iter().map(str::to_owned).collect::<Vec<_>>());
        for (row, expected) in reader.get_row_iter(None).unwrap().zip(&expected) {
            for ((_, field), cell) in row.unwrap().get_column_iter().zip(expected) {
                use parquet::record::Field;
                let same = match field {
                    Field::Null => cell.is_empty(),
                    Field::Str(text) => text == cell,
                    Field::Long(value) => cell.parse() == Ok(*value),
                    Field::Double(value) => cell.parse() == Ok(*value),
                    other => panic!("{other}"),
                };
                assert!(same, "{field} is not {cell:?}");
            }
        }
    }
}

#[test]
fn every_run_has_a_folder_of_events_and_a_line_for_the_trackers_and_again_the_same_bytes() {
    let place = Place::rehearsed(&[]);
    let runs = rows(&place.path("out/runs.csv"));
    let headline = headline(&place);
    let read = |folder: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        files(folder).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    for format in ["tensorboard", "mlflow", "wandb"] {
        let out = place.path(format);
        let export = || place.says(&["export", format, "out", "--out", format]);
        export();
        let first = read(&out);
        export();
        assert!(read(&out) == first, "{format}");
        if format == "tensorboard" {
            let events = "events.out.tfevents.0000000000.runner";
            assert!(runs.iter().all(|run| out.join(&run[0]).join(events).exists()));
            let experiment = fs::read(out.join(events)).unwrap();
            assert!(experiment.windows(headline.len()).any(|bytes| bytes == headline.as_bytes()));
        } else {
            let lines = fs::read_to_string(out.join("runs.jsonl")).unwrap();
            assert_eq!(lines.lines().count(), runs.len());
            let script = fs::read_to_string(out.join("import.py")).unwrap();
            assert!(script.contains(" \"out\"\n"), "{format}");
            assert!(script.contains(&format!("HEADLINE = {headline:?}\n")), "{format}: {script}");
        }
    }
}

#[test]
fn a_name_with_quotes_stays_a_text_in_the_import_script() {
    let place = Place::new();
    place.write("runs.csv", "id,width\na,64\n");
    let name = "x\"; import os #\n\\";
    place.says(&["export", "mlflow", "runs.csv", "--name", name, "--out", "out"]);
    let script = place.read("out/import.py");
    assert!(script.contains(r#"EXPERIMENT = "x\"; import os #\n\\""#), "{script}");
}

#[test]
fn what_cannot_be_exported_is_told_with_the_reason() {
    let place = Place::rehearsed(&[]);
    fs::create_dir(place.path("empty")).unwrap();
    place.write("bad.csv", "id,val_loss\na,3\nb,low\n");
    place.write("good.csv", "id,val_loss\na,3\n");
    for (args, words) in [
        (&["transformers", "out", "--out", "x"][..], "rehearsal: no model was trained"),
        (&["transformers", "out", "--out", "x", "--architecture", "gpt2"], "possible values: arcee, llama"),
        (&["jsonl", "/nowhere"], "cannot read /nowhere"),
        (&["jsonl", "empty"], "ledger.json"),
        (&["parquet", "bad.csv", "--out", "x"], "bad.csv:3: column val_loss: \"low\" is not a number"),
        (&["jsonl", "good.csv", "--curves"], "no curves.csv"),
        (&["jsonl", "good.csv", "--out", "/nowhere/x"], "cannot write /nowhere/x"),
    ] {
        assert_refused(&place.run(&[&["export"], args].concat()), &[words]);
    }
}

#[test]
fn nothing_of_a_results_folder_is_overwritten_and_a_dash_is_standard_output() {
    let place = Place::rehearsed(&[]);
    let before = place.read("out/runs.csv");
    let own = std::fs::read_dir(place.path("out/runs")).unwrap().next().unwrap().unwrap().path().join("config.json");
    let own = own.strip_prefix(place.path("")).unwrap().to_str().unwrap().to_owned();
    for file in ["out/runs.csv", "out/curves.csv", "out/plan.csv", "out/spec.toml", "out/fits.json", &own] {
        for kind in ["jsonl", "parquet"] {
            let refused = place.refusal(&["export", kind, "out", "--out", file]);
            assert!(refused.contains(&format!("{file} belongs to the results of a sweep or a run")), "{refused}");
        }
    }
    assert_eq!(place.read("out/runs.csv"), before);
    place.write("mine.csv", &before);
    let refused = place.refusal(&["export", "jsonl", "mine.csv", "--out", "mine.csv"]);
    assert!(refused.contains("--out mine.csv is the table that is read"), "{refused}");
    assert_eq!(place.says(&["export", "jsonl", "out", "--out", "-"]), place.says(&["export", "jsonl", "out"]));
    assert!(!place.path("-").exists());
    for kind in ["tensorboard", "mlflow", "wandb", "transformers"] {
        let refused = place.refusal(&["export", kind, "out", "--out", "-"]);
        assert!(refused.contains("writes a folder, which does not fit into standard output"), "{refused}");
    }
}

#[test]
fn a_folder_that_was_copied_in_part_is_told_and_its_table_still_exports_all() {
    let place = Place::rehearsed(&[]);
    let table = place.read("out/runs.csv");
    let whole = place.run(&["export", "jsonl", "out/runs.csv"]);
    let quiet = place.run(&["export", "jsonl", "out"]);
    // But that it was rehearsed, which every command says.
    let says_nothing_else =
        |output: &std::process::Output| text(&output.stderr).lines().all(|line| line.starts_with("REHEARSAL"));
    assert!(says_nothing_else(&quiet), "{}", text(&quiet.stderr));
    let runs = rows(&place.path("out/runs.csv"));
    for run in &runs[..2] {
        fs::remove_dir_all(place.path("out/runs").join(&run[0])).unwrap();
    }
    let said = "2 runs that out/runs.csv lists as ended have no result in out/runs";
    for (args, more) in [
        (&["export", "jsonl", "out"][..], "export out/runs.csv"),
        (&["export", "tensorboard", "out", "--out", "events"], "export out/runs.csv"),
        (&["status", "out"], "count as pending"),
    ] {
        let output = place.run(args);
        assert_code(&output, 0);
        assert!(text(&output.stderr).contains(said) && text(&output.stderr).contains(more), "{}", text(&output.stderr));
    }
    let export = place.run(&["export", "jsonl", "out"]);
    assert_eq!(text(&export.stdout).matches("\"status\":\"pending\"").count(), 2);
    // As it says.
    let from_table = place.run(&["export", "jsonl", "out/runs.csv"]);
    assert_eq!((&from_table.stdout, says_nothing_else(&from_table)), (&whole.stdout, true));
    // The rows are not written over.
    assert_refused(&place.run(&["ledger", "rebuild", "out"]), &[said, "would be lost"]);
    assert_eq!(place.read("out/runs.csv"), table);
    // A result that was taken away on purpose leaves its folder.
    for run in &runs[..2] {
        fs::create_dir(place.path("out/runs").join(&run[0])).unwrap();
    }
    place.says(&["ledger", "rebuild", "out"]);
    assert_eq!(place.read("out/runs.csv").matches(",pending,").count(), 2);
}

#[test]
fn rows_without_any_loss_are_exported_with_a_warning() {
    let place = Place::new();
    let said = |loss: &str| {
        place.write("t.csv", format!("id,status,val_loss\na,pending,\nb,finished,{loss}\n"));
        let output = place.run(&["export", "jsonl", "t.csv"]);
        assert_code(&output, 0);
        text(&output.stderr)
    };
    assert!(said("").contains("no run of t.csv has a val_loss"), "{}", said(""));
    assert_eq!(said("3.1"), "");
}

/// As git keeps them: without `runs/`, one of them by the first version of the program.
#[test]
fn a_folder_of_tables_exports_what_its_tables_say() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    for (name, count) in [("isoflop", 56), ("isoflop-first", 27)] {
        let folder = results.join(name);
        let place = Place::new();
        let output = place.run(&["export", "jsonl", folder.to_str().unwrap()]);
        assert_code(&output, 0);
        let rows: Vec<serde_json::Value> =
            text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), count, "{name}");
        for row in &rows {
            assert_eq!(row["status"], "finished", "{name}: {row}");
            assert!(row["val_loss"].as_f64().is_some_and(|loss| loss > 2.0), "{name}: {row}");
        }
        let output = place.run(&["export", "jsonl", "--curves", folder.to_str().unwrap()]);
        assert_code(&output, 0);
        assert!(text(&output.stdout).lines().count() > 20 * count, "{name}");
        let out = place.path("events");
        let output = place.run(&["export", "tensorboard", folder.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert_code(&output, 0);
        let folders = fs::read_dir(out).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        assert_eq!(folders, count, "{name}");
        // And `show` knows its plan.
        let id = rows[0]["id"].as_str().unwrap();
        let output = place.run(&["show", &format!("{}/{id}", folder.display())]);
        assert_code(&output, 0);
    }
}
