//! Numbers in the table of claims are numbers of committed results.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::{Place, assert_code, repository, text};

/// Every number in a JSON value, and in its sentences.
fn numbers(value: &Value, into: &mut Vec<f64>) {
    match value {
        Value::Number(number) => into.extend(number.as_f64()),
        Value::String(words) => into.extend(written(words).iter().filter_map(|number| number.parse::<f64>().ok())),
        Value::Array(list) => list.iter().for_each(|value| numbers(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| numbers(value, into)),
        _ => {}
    }
}

/// The numbers in words: digits with a point or an exponent, and a sign where one stands before them.
fn written(words: &str) -> Vec<String> {
    let mut found = Vec::new();
    let characters: Vec<char> = words.chars().collect();
    let mut at = 0;
    while at < characters.len() {
        let part_of_a_word = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
        if !characters[at].is_ascii_digit() || part_of_a_word {
            at += 1;
            continue;
        }
        let from = at;
        let inside = |at: usize| {
            let next_is_digit = characters.get(at + 1).is_some_and(char::is_ascii_digit);
            characters[at].is_ascii_digit() || (matches!(characters[at], '.' | 'e') && next_is_digit)
        };
        while at < characters.len() && inside(at) {
            at += 1;
        }
        let sign = from > 0 && characters[from - 1] == '-' && (from < 2 || !characters[from - 2].is_alphanumeric());
        let digits: String = characters[from..at].iter().collect();
        found.push(if sign { format!("-{digits}") } else { digits });
    }
    found
}

/// Whether a number is written so, with as many digits.
fn is(written: &str, number: f64) -> bool {
    let places = |digits: &str| digits.split_once('.').map_or(0, |(_, places)| places.len());
    match written.split_once('e') {
        Some((digits, _)) => format!("{number:.*e}", places(digits)) == written,
        None => format!("{number:.*}", places(written)) == written,
    }
}

/// The numbers of all results that a row links to, and of the fits that it says how to make.
fn known(row: &str, place: &Place) -> Vec<f64> {
    let mut found = Vec::new();
    let links = row.split("](../results/").skip(1).map(|rest| rest.split([')', '/']).next().unwrap());
    for folder in links.collect::<BTreeSet<_>>() {
        let fits = std::fs::read(repository().join("results").join(folder).join("fits.json")).unwrap();
        numbers(&serde_json::from_slice(&fits).unwrap(), &mut found);
    }
    for command in row.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("runner ")) {
        let mut typed: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        for word in typed.iter_mut().filter(|word| word.starts_with("results/")) {
            *word = repository().join(&*word).display().to_string();
        }
        typed.push("--json".to_owned());
        let output = place.runner(&typed.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        assert_code(&output, 0);
        text(&output.stdout).lines().for_each(|line| numbers(&serde_json::from_str(line).unwrap(), &mut found));
    }
    found
}

#[test]
fn what_the_table_of_claims_found_is_in_committed_results() {
    let page = std::fs::read_to_string(repository().join("docs/laws.md")).unwrap();
    let place = Place::new();
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 4).collect();
    // The first is the head of the table.
    assert!(rows.len() > 8 && rows[0].contains("verdict"), "{rows:?}");
    for row in &rows[1..] {
        let known = known(row, &place);
        assert!(!known.is_empty(), "no results are linked: {row}");
        let found = row.split(" | ").nth(2).unwrap();
        for number in written(found) {
            assert!(known.iter().any(|known| is(&number, *known)), "{number} is in none of the results of: {row}");
        }
    }
}

#[test]
fn numbers_are_found_in_words_and_compared_by_the_digits_that_are_written() {
    assert_eq!(written("C^0.52 (-0.5 to 3.1e13), x1, 15."), ["0.52", "-0.5", "3.1e13", "15"]);
    assert!(
        is("0.52", 0.5204) && !is("0.52", 0.526) && is("3.1e13", 3.1e13) && is("15", 14.98) && is("-1.08", -1.0812)
    );
}
