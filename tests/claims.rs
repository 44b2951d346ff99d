//! Numbers in the table of claims are numbers of committed results.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use crate::common::{Place, assert_code, repository, text};

/// Keys of `fits.json` whose single numbers people read. Sentences and estimates count wherever they stand.
const READ: [&str; 5] = ["headline", "laws", "approach2", "transfer", "savings"];
/// Keys below which no single number counts: resamples, residuals, curves, ends of intervals, counts.
const UNREAD: &str = "best_loss best_lr bias coefficient cost curves draws envelope forecast high intervals losses low mean \
    mixtures pairs parabola_params parabola_tokens points residuals rows runs schema_version seeds shares sizes spans \
    spline starts sure trained tuning_flops values widths";

/// What the results of a row say.
#[derive(Default)]
pub struct Known {
    /// Value, low and high of one estimate.
    pub estimates: Vec<[f64; 3]>,
    /// All numbers of a sentence, in their order.
    sentences: Vec<Vec<f64>>,
    /// Single numbers that people read, those of sentences too, where they are no ends of intervals.
    values: Vec<f64>,
}

impl Known {
    /// Takes in a value of the field `key`; `read` is whether its single numbers count.
    pub fn take(&mut self, value: &Value, key: &str, read: bool) {
        match value {
            Value::Number(number) if read => self.values.extend(number.as_f64()),
            Value::String(words) if words.contains(' ') => {
                self.sentences.push(numbers(words));
                self.values.extend(numbers(&without_intervals(words)));
            }
            Value::String(name) if read => self.values.extend(numbers(name)),
            Value::Array(list) => list.iter().for_each(|value| self.take(value, key, read)),
            Value::Object(fields) => {
                self.estimates.extend(estimate(["value", "low", "high"].map(|end| fields.get(end))));
                for (name, ends) in fields.get("intervals").and_then(Value::as_object).into_iter().flatten() {
                    self.estimates.extend(estimate([fields.get(name), ends.get(0), ends.get(1)]));
                }
                for (name, value) in fields {
                    // The optima of budgets are a table that people read; those of each setting are not.
                    let unread = UNREAD.split(' ').any(|key| key == name) || (name == "optima" && key != "approach2");
                    self.take(value, name, read && !unread);
                }
            }
            _ => {}
        }
    }

    /// Whether one estimate, one sentence or one value is what the table says.
    pub fn holds(&self, said: &Said) -> bool {
        let scale = if said.percent { 100.0 } else { 1.0 };
        match &said.digits[..] {
            [value] if said.at_most => self.estimates.iter().any(|[_, _, high]| is(value, high * scale)),
            [value] => self.values.iter().any(|known| is(value, *known) || is(value, known * scale)),
            digits => {
                let all = |numbers: &[f64], scale: f64| digits.iter().zip(numbers).all(|(w, n)| is(w, n * scale));
                let together = |numbers: &Vec<f64>| {
                    // How sure the interval is may stand before it: -0.0046 (95% over pairs: -0.0089 to -0.0003).
                    let sure =
                        |four: &[f64]| four[1].to_bits() == 95_f64.to_bits() && all(&[four[0], four[2], four[3]], 1.0);
                    numbers.windows(3).any(|three| all(three, 1.0)) || numbers.windows(4).any(sure)
                };
                self.estimates.iter().any(|known| all(known, scale)) || self.sentences.iter().any(together)
            }
        }
    }
}

fn estimate(ends: [Option<&Value>; 3]) -> Option<[f64; 3]> {
    let [value, low, high] = ends.map(|end| end.and_then(Value::as_f64));
    Some([value?, low?, high?])
}

fn numbers(words: &str) -> Vec<f64> {
    written(words).iter().map(|(_, digits)| digits.parse().unwrap()).collect()
}

/// A sentence without what stands in brackets with "to".
fn without_intervals(words: &str) -> String {
    let parts = words.split(['(', ')']).enumerate();
    let kept: Vec<&str> =
        parts.filter(|(at, part)| at % 2 == 0 || !part.contains(" to ")).map(|(_, part)| part).collect();
    kept.join("()")
}

/// The numbers in words, each with its place: digits with a point or an exponent, and a sign where one stands before them.
pub fn written(words: &str) -> Vec<(std::ops::Range<usize>, String)> {
    let mut found = Vec::new();
    let bytes = words.as_bytes();
    let in_word = |at: usize| bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_';
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() || (at > 0 && in_word(at - 1)) {
            at += 1;
            continue;
        }
        let from = at;
        let inside = |at: usize| {
            let next_is_digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            bytes[at].is_ascii_digit() || (matches!(bytes[at], b'.' | b'e') && next_is_digit)
        };
        while at < bytes.len() && inside(at) {
            at += 1;
        }
        let sign = from > 0 && bytes[from - 1] == b'-' && (from < 2 || !in_word(from - 2));
        let from = from - usize::from(sign);
        found.push((from..at, words[from..at].to_owned()));
    }
    found
}

/// Whether a number is written so, with as many digits.
pub fn is(written: &str, number: f64) -> bool {
    let places = |digits: &str| digits.split_once('.').map_or(0, |(_, places)| places.len());
    // Most numbers are far off, and to write one takes longer than to read one.
    let unit = 10_f64.powf(-(places(written) as f64));
    if !written.contains('e') && written.parse::<f64>().is_ok_and(|value| (value - number).abs() > 0.51 * unit) {
        return false;
    }
    match written.split_once('e') {
        Some((digits, _)) => format!("{number:.*e}", places(digits)) == written,
        None => format!("{number:.*}", places(written)) == written,
    }
}

/// What a row says: "v (l to h)" as three numbers, or one number alone.
#[derive(Clone, Debug)]
pub struct Said {
    pub digits: Vec<String>,
    percent: bool,
    /// It is the upper end of an interval.
    at_most: bool,
}

pub fn said(found: &str) -> Vec<Said> {
    let written = written(found);
    let between = |at: usize| {
        let to = written.get(at + 1).map_or(found.len(), |(place, _)| place.start);
        &found[written[at].0.end..to]
    };
    let mut said = Vec::new();
    let mut at = 0;
    while at < written.len() {
        let opens = |words: &str| words.ends_with('(') && words.matches(['(', ')']).count() == 1;
        let interval = at + 2 < written.len()
            && opens(between(at))
            && between(at + 1) == " to "
            && between(at + 2).starts_with(')');
        let many = if interval { 3 } else { 1 };
        let digits = written[at..at + many].iter().map(|(_, digits)| digits.clone()).collect();
        let at_most = found[..written[at].0.start].ends_with("at most ");
        said.push(Said { digits, percent: between(at).starts_with('%'), at_most });
        at += many;
    }
    said
}

struct Row {
    text: String,
    said: Vec<Said>,
    known: Known,
}

/// The rows of the table, made once: they run commands.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let page = std::fs::read_to_string(repository().join("docs/laws.md")).unwrap();
    let place = Place::new();
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 4).collect();
    // The first is the head of the table.
    assert!(rows.len() > 8 && rows[0].contains("verdict"), "{rows:?}");
    let row = |text: &&str| {
        let said = said(text.split(" | ").nth(2).unwrap());
        Row { text: (*text).to_owned(), said, known: known(text, &place) }
    };
    rows[1..].iter().map(row).collect()
});

/// The results that a row links to, and the fits that it says how to make.
fn known(row: &str, place: &Place) -> Known {
    let mut known = Known::default();
    let links = row.split("](../results/").skip(1).map(|rest| rest.split([')', '/']).next().unwrap());
    for folder in links.collect::<BTreeSet<_>>() {
        let fits = std::fs::read(repository().join("results").join(folder).join("fits.json")).unwrap();
        let fits: serde_json::Map<String, Value> = serde_json::from_slice(&fits).unwrap();
        fits.iter().for_each(|(key, value)| known.take(value, key, READ.contains(&&**key)));
    }
    for command in row.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("runner ")) {
        let mut typed: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        for word in typed.iter_mut().filter(|word| word.starts_with("results/")) {
            *word = repository().join(&*word).display().to_string();
        }
        typed.push("--json".to_owned());
        let output = place.runner(&typed.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        assert_code(&output, 0);
        text(&output.stdout).lines().for_each(|line| known.take(&serde_json::from_str(line).unwrap(), "", true));
    }
    known
}

#[test]
fn what_the_table_of_claims_found_is_in_committed_results() {
    for row in &*ROWS {
        assert!(!row.known.sentences.is_empty() || !row.known.estimates.is_empty(), "no results: {}", row.text);
        for said in &row.said {
            assert!(row.known.holds(said), "{said:?} is in none of the results of: {}", row.text);
        }
    }
}

/// Digits with the last one off.
pub fn off(digits: &str, by: f64) -> String {
    let (mantissa, exponent) = digits.split_at(digits.find('e').unwrap_or(digits.len()));
    let places = mantissa.split_once('.').map_or(0, |(_, places)| places.len());
    let number = mantissa.parse::<f64>().unwrap() + by / 10_f64.powf(places as f64);
    format!("{number:.places$}{exponent}")
}

/// 97% are: 99% of those of an interval, 83% of those of a number alone.
#[test]
fn nearly_all_copies_of_the_table_with_one_last_digit_off_by_one_are_refused() {
    // Refused and all: of values with intervals, and of numbers alone.
    let mut counts = [[0, 0]; 2];
    for row in &*ROWS {
        for said in &row.said {
            let [refused, all] = &mut counts[usize::from(said.digits.len() == 1)];
            for (at, by) in (0..said.digits.len()).flat_map(|at| [(at, -1.0), (at, 1.0)]) {
                let mut copy = said.clone();
                copy.digits[at] = off(&said.digits[at], by);
                *refused += u32::from(!row.known.holds(&copy));
                *all += 1;
            }
        }
    }
    let [[intervals, of_intervals], [alone, of_alone]] = counts;
    println!("refused: {intervals} of {of_intervals} with intervals, {alone} of {of_alone} alone");
    assert!(of_intervals > 400 && of_alone > 60, "{counts:?}");
    assert!(f64::from(intervals) >= 0.98 * f64::from(of_intervals), "{counts:?}");
    assert!(f64::from(intervals + alone) >= 0.95 * f64::from(of_intervals + of_alone), "{counts:?}");
}

#[test]
fn numbers_are_found_in_words_and_compared_by_the_digits_that_are_written() {
    let digits = |words: &str| written(words).into_iter().map(|(_, digits)| digits).collect::<Vec<_>>();
    assert_eq!(digits("C^0.52 (-0.5 to 3.1e13), x1, 15."), ["0.52", "-0.5", "3.1e13", "15"]);
    assert!(
        is("0.52", 0.5204) && !is("0.52", 0.526) && is("3.1e13", 3.1e13) && is("15", 14.98) && is("-1.08", -1.0812)
    );
    let found = said("97% (93 to 100) of 24, off by -0.2 nats (-0.3 to 0.1), at most 4.0 (no more)");
    let short: Vec<_> = found.iter().map(|said| (said.digits.join(" "), said.percent, said.at_most)).collect();
    let row = |digits: &str, percent, at_most| (digits.to_owned(), percent, at_most);
    let [first, last] = [row("97 93 100", true, false), row("4.0", false, true)];
    assert_eq!(short, [first, row("24", false, false), row("-0.2 -0.3 0.1", false, false), last]);
    assert_eq!([off("3.1e13", 1.0), off("-0.100", -1.0), off("9", 1.0)], ["3.2e13", "-0.101", "10"]);
}

/// The ends of one estimate are not those of another, and resamples and residuals are no results.
#[test]
fn an_interval_is_found_as_one_and_numbers_that_nobody_reads_are_not_found() {
    let mut known = Known::default();
    let result = serde_json::json!({
        "exponent": {"value": 0.521, "low": 0.498, "high": 0.549}, "gain": 1.5, "alpha": 0.3,
        "intervals": {"alpha": [0.2, 0.4]}, "draws": [0.77], "residuals": {"rms": 0.66}, "group": "1024",
        "conclusion": "It gains -0.0046 nats (95% over pairs: -0.0089 to -0.0003), 12 (10 to 15) in 5 of 20.",
    });
    known.take(&result, "", true);
    let holds = |words: &str| said(words).iter().all(|said| known.holds(said));
    for words in ["C^0.52 (0.50 to 0.55)", "52% (50 to 55)", "-0.0046 (-0.0089 to -0.0003)", "12 (10 to 15)"] {
        assert!(holds(words), "{words}");
    }
    for words in ["0.30 (0.20 to 0.40)", "0.521", "1.5", "5", "20", "1024", "at most 0.549"] {
        assert!(holds(words), "{words}");
    }
    for words in ["0.52 (0.50 to 0.40)", "12 (10 to 16)", "0.77", "0.66", "0.549", "10", "at most 0.498"] {
        assert!(!holds(words), "{words}");
    }
}
