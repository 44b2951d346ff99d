//! The table of sweeps that no card has trained yet: what `runner plan` says of their specs.

use serde_json::Value;

use super::grids::span;
use super::prose::number;
use super::{Cell, rows, tables};
use crate::claims::written;
use crate::common::{Place, repository};

/// Speeds and slots by which the page tells hours.
fn at(speed: &str) -> (&str, usize) {
    let (speed, rest) = speed.split_once(" FLOP/s").unwrap_or_else(|| panic!("no speed in {speed}"));
    (speed.rsplit(' ').next().unwrap(), if rest.contains("each") { 8 } else { 1 })
}

/// What one of the specs plans: no text is at hand, and some name a tokenizer that is trained before.
fn plan(spec: &str, speed: &str, cards: usize) -> Value {
    let path = repository().join(spec).display().to_string();
    let cards = cards.to_string();
    let mut typed =
        vec!["plan", &path, "--without-corpus", "--flops-per-second", speed, "--device-count", &cards, "--json"];
    typed.extend(["--device", "cpu", "--slots-per-device", "1"]);
    let text = std::fs::read_to_string(&path).unwrap();
    // What points are left out depends on how long the text is, which runs on it tell.
    let known = &rows("results/isoflop/runs.csv")[0];
    let epoch = number(known, "tokens") / number(known, "epochs");
    let epoch = format!("data.train_tokens={epoch:.0}.0");
    if text.contains("corpora/rfc.txt") && text.contains("vocab = 1024 ") {
        typed.extend(["--set", &epoch]);
    }
    if text.lines().any(|line| line.starts_with("tokenizer = ")) {
        typed.extend(["--set", "data.tokenizer=", "--set", "data.vocab=4096"]);
    }
    serde_json::from_str(&Place::new().says(&typed)).unwrap()
}

/// Budgets, sizes, FLOPs and hours of each.
pub fn cells(page: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for row in &tables(page, "| spec | budgets |")[0] {
        let spec = row[0].split('`').nth(1).unwrap();
        let (speed, cards) = at(&row[4]);
        let plan = plan(spec, speed, cards);
        let runs: Vec<&Value> = plan["runs"].as_array().unwrap().iter().map(|run| &run["planned"]).collect();
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{spec}: {value}"));
        let [least, most] = span(runs.iter().map(|run| number(&run["run"]["flop_budget"])));
        let all = ["embedding", "position", "blocks", "unembedding"];
        let sizes = span(runs.iter().map(|run| all.iter().map(|part| number(&run["params"][part])).sum::<f64>() / 1e6));
        let budgets = if written(&row[1]).len() == 1 { vec![least] } else { vec![least, most] };
        cells.push(Cell::new(&row[1], budgets));
        cells.push(Cell::new(&row[2], sizes.to_vec()));
        cells.push(Cell::new(&row[3], vec![plan["flops"].as_f64().unwrap()]));
        let seconds = plan["seconds"].as_f64().unwrap();
        let time = if row[4].contains(" min ") { seconds / 60.0 } else { seconds / 3600.0 };
        cells.push(Cell::new(row[4].split(" at ").next().unwrap(), vec![time]));
    }
    cells
}
