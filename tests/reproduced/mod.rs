//! Numbers of docs/reproduction.md, of the README and of results/bench/README.md are those of committed tables and fits.

mod bench;
mod grids;
mod intervals;
mod page;
mod plans;
mod prose;
mod surfaces;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::claims::{is, off, written};
use crate::common::repository;

/// A row of a table: fields by the names of their columns.
pub type Row = HashMap<String, String>;

pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn fits(folder: &str) -> Value {
    serde_json::from_str(&read(&format!("results/{folder}/fits.json"))).unwrap()
}

/// The rows of a committed table.
pub fn rows(path: &str) -> Vec<Row> {
    csv::Reader::from_path(repository().join(path)).unwrap().deserialize().map(Result::unwrap).collect()
}

/// Words without marks of thousands and of millions after a digit.
pub fn plain(words: &str) -> String {
    let characters: Vec<char> = words.chars().collect();
    let digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    let mut kept = String::new();
    for (at, &character) in characters.iter().enumerate() {
        let mark = character == 'M' || (character == ',' && digit(at + 1));
        if !(mark && at > 0 && digit(at - 1)) {
            kept.push(character);
        }
    }
    kept
}

/// The tables of a page whose first line begins so: rows of cells.
pub fn tables(page: &str, head: &str) -> Vec<Vec<Vec<String>>> {
    let lines: Vec<&str> = page.lines().collect();
    let cells = |line: &str| -> Vec<String> {
        let line = line.strip_prefix('|').unwrap().strip_suffix('|').unwrap();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut found = Vec::new();
    for at in (0..lines.len()).filter(|&at| lines[at].starts_with(head)) {
        let below = lines[at + 2..].iter().take_while(|line| line.starts_with('|'));
        found.push(below.map(|line| cells(line)).collect());
    }
    assert!(!found.is_empty(), "no table begins with {head}");
    found
}

/// A cell, and all numbers that it must have in their order.
pub struct Cell {
    text: String,
    numbers: Vec<f64>,
}

impl Cell {
    pub fn new(text: &str, numbers: Vec<f64>) -> Self {
        Self { text: text.to_owned(), numbers }
    }

    /// How its numbers are written.
    fn digits(&self) -> Vec<String> {
        written(&plain(&self.text)).into_iter().map(|(_, digits)| digits).collect()
    }

    fn holds(&self, digits: &[String]) -> bool {
        digits.len() == self.numbers.len()
            && digits.iter().zip(&self.numbers).all(|(digits, number)| is(digits, *number))
    }
}

pub fn ends(estimate: &Value) -> Vec<f64> {
    ["value", "low", "high"].iter().map(|end| estimate[*end].as_f64().unwrap()).collect()
}

/// Of a list the one whose field is this number.
pub fn at<'a>(list: &'a Value, field: &str, number: f64) -> &'a Value {
    let same = |each: &&Value| each[field].as_f64().is_some_and(|known| (known / number - 1.0).abs() < 1e-9);
    list.as_array().unwrap().iter().find(same).unwrap_or_else(|| panic!("no {field} {number}"))
}

/// Approach 2 by a way of counting; where points were tuned, that of the best runs.
pub fn approach2<'a>(fits: &'a Value, counting: &str) -> &'a Value {
    let mut all: Vec<&Value> = fits["approach2"].as_array().into_iter().flatten().collect();
    if let Some(groups) = fits["isoflop_groups"].as_object() {
        all.extend(groups.values().filter_map(Value::as_array).flatten());
    }
    all.into_iter().find(|fit| fit["counting"].as_str() == Some(counting)).unwrap()
}

pub fn surface<'a>(fits: &'a Value, approach: &str, counting: &str) -> &'a Value {
    let same =
        |fit: &&Value| [&fit["approach"], &fit["counting"]].map(Value::as_str) == [Some(approach), Some(counting)];
    fits["approaches"].as_array().unwrap().iter().find(same).unwrap()
}

/// Tokens per parameter at a budget by the law of a fit.
pub fn law(fit: &Value, budget: f64) -> Vec<f64> {
    ends(at(&fit["tokens_per_param"], "flops", budget))
}

/// What the curve of one budget has at its minimum.
pub fn optimum(fit: &Value, budget: f64, field: &str) -> Vec<f64> {
    ends(&at(&fit["optima"], "budget", budget)[field])
}

pub fn exponent(fit: &Value, of: &str) -> Vec<f64> {
    ends(&fit[of]["exponent"])
}

/// All cells and sentences whose sources are known, made once.
static CELLS: LazyLock<Vec<Cell>> = LazyLock::new(|| {
    let page = read("docs/reproduction.md");
    let bench = read("results/bench/README.md");
    let readme = read("README.md");
    let all = [page::tables_of(&page), prose::sentences(&page), bench::tables_of(&bench), grids::readme(&readme)];
    all.into_iter().flatten().collect()
});

#[test]
fn cells_and_sentences_are_what_their_sources_say() {
    let wrong: Vec<String> = CELLS
        .iter()
        .filter(|cell| !cell.holds(&cell.digits()))
        .map(|cell| format!("{:?} is {:?}", cell.text, cell.numbers))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(CELLS.len() > 300, "{} cells", CELLS.len());
}

#[test]
fn a_cell_with_one_last_digit_off_by_one_is_refused() {
    for cell in &*CELLS {
        let digits = cell.digits();
        for (at, by) in (0..digits.len()).flat_map(|at| [(at, -1.0), (at, 1.0)]) {
            let mut copy = digits.clone();
            copy[at] = off(&digits[at], by);
            assert!(!cell.holds(&copy), "{copy:?} for {:?}", cell.text);
        }
    }
}
