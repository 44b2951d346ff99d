//! Exports of a rehearsed sweep, read back.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use parquet::file::reader::{FileReader, SerializedFileReader};
use tempfile::TempDir;

fn runner() -> Command {
    Command::cargo_bin("runner").unwrap()
}

/// Results of the quickstart, rehearsed.
fn results() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("results");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let spec = root.join("sweeps/quickstart.toml");
    let sweep = runner()
        .arg("sweep")
        .arg(spec)
        .args(["--device", "rehearsal", "--out"])
        .arg(&out)
        .arg("--cache")
        .arg(dir.path().join("cache"))
        .assert();
    sweep.success();
    (dir, out)
}

fn rows(path: &Path) -> Vec<csv::StringRecord> {
    csv::Reader::from_path(path).unwrap().records().map(Result::unwrap).collect()
}

#[test]
fn runs_and_curves_come_back_from_json_lines_and_parquet() {
    let (dir, results) = results();
    for (table, flag) in [("runs.csv", None), ("curves.csv", Some("--curves"))] {
        let expected = rows(&results.join(table));
        let header = csv::Reader::from_path(results.join(table)).unwrap().headers().unwrap().clone();
        // From the folder to standard output, from the table to a file.
        let output = runner().args(["export", "jsonl"]).arg(&results).args(flag).assert().success();
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
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
        let file = dir.path().join("t.parquet");
        runner()
            .args(["export", "parquet"])
            .arg(results.join("runs.csv"))
            .arg("-o")
            .arg(&file)
            .args(flag)
            .assert()
            .success();
        let reader = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
        let about = reader.metadata().file_metadata();
        assert_eq!(about.num_rows() as usize, expected.len());
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
    let (dir, results) = results();
    let runs = rows(&results.join("runs.csv"));
    let read = |folder: &Path| {
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push((path.clone(), fs::read(&path).unwrap())) }
            }
        }
        files.sort();
        files
    };
    for format in ["tensorboard", "mlflow", "wandb"] {
        let out = dir.path().join(format);
        let export = || runner().args(["export", format]).arg(&results).arg("--out").arg(&out).assert().success();
        export();
        let first = read(&out);
        export();
        assert!(read(&out) == first, "{format}");
        if format == "tensorboard" {
            assert!(runs.iter().all(|run| out.join(&run[0]).join("events.out.tfevents.0000000000.runner").exists()));
        } else {
            let lines = fs::read_to_string(out.join("runs.jsonl")).unwrap();
            assert_eq!(lines.lines().count(), runs.len());
            assert!(fs::read_to_string(out.join("import.py")).unwrap().contains("= \"results\"") || format == "wandb");
        }
    }
}

#[test]
fn a_name_with_quotes_stays_a_text_in_the_import_script() {
    let dir = TempDir::new().unwrap();
    let table = dir.path().join("runs.csv");
    fs::write(&table, "id,width\na,64\n").unwrap();
    let out = dir.path().join("out");
    let name = "x\"; import os #\n\\";
    runner().args(["export", "mlflow"]).arg(&table).args(["--name", name, "--out"]).arg(&out).assert().success();
    let script = fs::read_to_string(out.join("import.py")).unwrap();
    assert!(script.contains(r#"EXPERIMENT = "x\"; import os #\n\\""#), "{script}");
}

#[test]
fn what_cannot_be_exported_is_told_with_the_reason() {
    let (dir, results) = results();
    let fails = |args: &[&str], expected: &str| {
        let assert = runner().arg("export").args(args).assert().code(2);
        let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(said.contains(expected), "{args:?}: {said}");
    };
    let results = results.to_str().unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    fails(&["transformers", results, "--out", out], "rehearsal: no model was trained");
    fails(&["transformers", results, "--out", out, "--architecture", "gpt2"], "possible values: arcee, llama");
    fails(&["jsonl", "/nowhere"], "cannot read /nowhere");
    fails(&["jsonl", out.rsplit_once('/').unwrap().0], "ledger.json");
    let table = dir.path().join("t.csv");
    fs::write(&table, "id,val_loss\na,3\nb,low\n").unwrap();
    let table = table.to_str().unwrap();
    fails(&["parquet", table, "--out", out], "t.csv:3: column val_loss: \"low\" is no number");
    fs::write(table, "id,val_loss\na,3\n").unwrap();
    fails(&["jsonl", table, "--curves"], "no curves.csv");
    fails(&["jsonl", table, "--out", "/nowhere/x"], "cannot write /nowhere/x");
}
