//! IsoFLOP curves of a sweep that varies something else as well: a panel and a fit for each group.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The quickstart, rehearsed with further settings; its results folder.
fn rehearsed(dir: &Path, settings: &[&str]) -> std::path::PathBuf {
    let results = dir.join("results");
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.args(["sweep", "sweeps/quickstart.toml", "--device", "rehearsal"]).arg("--out").arg(&results);
    command.arg("--cache").arg(dir.join("cache")).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.args(settings.iter().flat_map(|setting| ["--set", setting])).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    results
}

/// Runs of the figure of IsoFLOP curves by group, under the convention that it draws.
fn drawn(results: &Path) -> BTreeMap<String, usize> {
    let mut reader = csv::Reader::from_path(results.join("figures/isoflop.csv")).unwrap();
    let mut counts = BTreeMap::new();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        if row["counting"] == "blocks_and_unembedding" && row["kind"] == "run" {
            *counts.entry(row["group"].clone()).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn each_group_of_isoflop_curves_has_a_panel_and_a_fit_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let results = rehearsed(dir.path(), &["sweep.axes.optimizer.weight_decay=[0.0, 0.2]"]);
    let groups = ["optimizer.weight_decay 0.0", "optimizer.weight_decay 0.2"];
    assert_eq!(drawn(&results), groups.map(|group| (group.to_owned(), 21)).into());
    let svg = std::fs::read_to_string(results.join("figures/isoflop.svg")).unwrap();
    let page = std::fs::read_to_string(results.join("report.html")).unwrap();
    for group in groups {
        assert!(svg.contains(&format!(">{group}<")), "{group}");
        assert!(page.contains(&format!("{group}: 2, IsoFLOP parabolas")), "{group}");
    }
    assert!(!page.contains("no fit was made"));
    let fits: serde_json::Value = serde_json::from_slice(&std::fs::read(results.join("fits.json")).unwrap()).unwrap();
    for group in groups {
        let of_group = fits["isoflop_groups"][group].as_array().unwrap();
        assert!(of_group.len() == 3 && of_group.iter().all(|fit| fit["status"] == "converged"), "{of_group:?}");
    }
}

#[test]
fn what_is_tuned_at_each_size_is_no_group_and_the_best_of_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let results = rehearsed(dir.path(), &["sweep.axes.optimizer.learning_rate=[0.005, 0.01]"]);
    assert_eq!(drawn(&results), [("the best of what was tuned".to_owned(), 21)].into());
}
