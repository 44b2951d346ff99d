//! Estimates with intervals, wherever pages say them, are estimates of some committed result.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::{plain, read, rows};
use crate::claims::{Known, Said, off, said};
use crate::common::{Place, assert_code, repository, text};

/// Pages whose estimates with intervals are looked for in all results.
const PAGES: [&str; 3] = ["docs/reproduction.md", "README.md", "docs/parameterizations.md"];

/// Commands on committed results whose estimates these pages have.
const COMMANDS: [&str; 9] = [
    "compare results/isoflop results/why-15-context",
    "compare results/isoflop results/why-15-embedding",
    "compare results/isoflop results/why-15-schedule",
    "compare results/isoflop-up results/tuned-rules-1e14",
    "compare results/completep results/completep-tuned",
    "compare results/why-15-tuning results/completep",
    "allocate --flops 1e14 --fit results/isoflop",
    "allocate --flops 3e14 --fit results/isoflop",
    "fit results/kaplan-1-kaplan/runs.csv --recount non-embedding --approach 2",
];

/// Of no committed table: forecasts that were written down before the runs, what a page said once, and what others published.
const KEPT: [&str; 22] = [
    "1.16 (0.91 to 1.38)",
    "13.9 (11.4 to 18.1)",
    "12.0 (8.3 to 19.9)",
    "2.883 (2.857 to 2.931)",
    "2.05 (1.51 to 2.53)",
    "21.8 (17.1 to 30.9)",
    "10.6 (6.8 to 20.5)",
    "2.788 (2.752 to 2.859)",
    "3.83 (2.61 to 4.95)",
    "35.8 (26.8 to 55.2)",
    "9.3 (5.4 to 21.1)",
    "2.711 (2.664 to 2.803)",
    "14.2 (8.4 to 20.1)",
    "101 (69 to 185)",
    "7.1 (3.4 to 22.0)",
    "2.610 (2.543 to 2.736)",
    "33 (27 to 50)",
    "0.835 (0.824 to 0.846)",
    "0.707 (0.692 to 0.717)",
    "0.602 (0.591 to 0.617)",
    "0.572 (0.560 to 0.589)",
    "0.497 (0.491 to 0.505)",
];

/// Estimates of all results, of committed tables, and of commands on them.
static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known::default();
    let results = repository().join("results");
    for folder in std::fs::read_dir(&results).unwrap().map(|folder| folder.unwrap().path()) {
        if let Ok(fits) = std::fs::read(folder.join("fits.json")) {
            known.take(&serde_json::from_slice(&fits).unwrap(), "", false);
        }
    }
    for file in ["frontier.json", "tuned.json", "tuning.jsonl"] {
        let told = read(&format!("results/merged/{file}"));
        for fit in serde_json::Deserializer::from_str(&told).into_iter::<Value>() {
            known.take(&fit.unwrap(), "", false);
        }
    }
    for (file, value) in [("causes", "factor"), ("tuned-pairs", "value"), ("tuned-tau", "value")] {
        for row in rows(&format!("results/{file}.csv")) {
            let [value, low, high] = [value, "low", "high"].map(|end| row[end].parse::<f64>().ok());
            known.estimates.extend(value.zip(low).zip(high).map(|((value, low), high)| [value, low, high]));
        }
    }
    let place = Place::new();
    for command in COMMANDS {
        let results = format!("{}/", results.display());
        let mut typed: Vec<String> = command.split(' ').map(|word| word.replace("results/", &results)).collect();
        typed.push("--json".to_owned());
        let output = place.runner(&typed.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        assert_code(&output, 0);
        text(&output.stdout).lines().for_each(|line| known.take(&serde_json::from_str(line).unwrap(), "", false));
    }
    // Many results have the same estimates, and pages write large ones in millions.
    let bits: BTreeSet<[u64; 3]> = known.estimates.iter().map(|estimate| estimate.map(f64::to_bits)).collect();
    known.estimates = bits.into_iter().map(|estimate| estimate.map(f64::from_bits)).collect();
    let large = known.estimates.iter().filter(|estimate| estimate[0] > 1e5);
    let millions: Vec<[f64; 3]> = large.map(|estimate| estimate.map(|number| number / 1e6)).collect();
    known.estimates.extend(millions);
    known
});

/// Whether results have it; words such as "lower" tell the sign of some.
fn known(said: &Said) -> bool {
    let turned = |digits: &String| digits.strip_prefix('-').map_or_else(|| format!("-{digits}"), str::to_owned);
    let mut other = said.clone();
    other.digits = [0, 2, 1].map(|at| turned(&said.digits[at])).to_vec();
    KNOWN.holds(said) || KNOWN.holds(&other)
}

/// What pages say with an interval and do not keep from elsewhere.
fn intervals() -> Vec<Said> {
    let mut all = Vec::new();
    let mut kept: BTreeSet<&str> = KEPT.into_iter().collect();
    for page in PAGES {
        let words = plain(&read(page)).split_whitespace().collect::<Vec<_>>().join(" ");
        for said in said(&words).into_iter().filter(|said| said.digits.len() == 3) {
            let [value, low, high] = [0, 1, 2].map(|at| &said.digits[at]);
            let short = format!("{value} ({low} to {high})");
            if KEPT.contains(&&*short) {
                kept.remove(&*short);
            } else {
                all.push(said);
            }
        }
    }
    assert!(kept.is_empty(), "no page has {kept:?}");
    all
}

#[test]
fn estimates_with_intervals_are_of_committed_results() {
    let all = intervals();
    let unknown: Vec<&Said> = all.iter().filter(|said| !known(said)).collect();
    assert!(unknown.is_empty(), "in no results: {unknown:#?}");
    assert!(all.len() > 120, "{} estimates", all.len());
}

/// Some 96% are: others are by chance an estimate of some other result.
#[test]
fn nearly_all_estimates_with_one_last_digit_off_by_one_are_in_no_results() {
    let (mut refused, mut all) = (0, 0);
    for said in intervals() {
        for (at, by) in (0..3).flat_map(|at| [(at, -1.0), (at, 1.0)]) {
            let mut copy = said.clone();
            copy.digits[at] = off(&said.digits[at], by);
            refused += u32::from(!known(&copy));
            all += 1;
        }
    }
    println!("refused: {refused} of {all}");
    assert!(f64::from(refused) >= 0.93 * f64::from(all), "{refused} of {all}");
}
