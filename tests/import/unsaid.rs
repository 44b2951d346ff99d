//! What logs do not say of their runs.

use std::collections::BTreeMap;
use std::fs;

use super::{grid, logs};
use crate::common::{Place, assert_code, assert_refused, text};

#[test]
fn what_nobody_told_of_a_run_stays_empty_and_an_empty_log_is_left_out() {
    let place = Place::new();
    logs(&place);
    place.write("logs/died.jsonl", "");
    let output = place.run(&["import", "logs", "--out", "out"]);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("died.jsonl: left out, it is empty"), "{}", text(&output.stderr));
    let table = place.read("out/runs.csv");
    let rows: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(table.as_bytes()).deserialize().map(Result::unwrap).collect();
    for column in
        ["steps", "batch_tokens", "batch_sequences", "warmup_steps", "context", "val_loss_se", "learning_rate"]
    {
        assert!(rows.iter().all(|row| row[column].is_empty()), "{column}");
    }
    assert!(rows.iter().all(|row| !row["tokens"].is_empty()));
    // A run that is there and is not among those given is named.
    let first = grid()[0].0.clone();
    fs::remove_file(place.path(&format!("logs/{first}.jsonl"))).unwrap();
    assert_refused(&place.run(&["import", "logs", "--out", "out"]), &[&format!("its run {first:?} is not among them")]);
}
