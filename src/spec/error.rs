//! What is wrong with a spec: file, line, key, and what to write instead.

use std::fmt;

use thiserror::Error;

use super::keys;
use super::locate::{Key, Locator};
use crate::units;

/// What is wrong with a spec. Prints as `file:line: key: what is wrong; what to write instead`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SpecError {
    /// The file, empty where a spec was not read from one.
    pub file: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The dotted key, empty where the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
    /// The next mistake of the same file.
    pub next: Option<Box<SpecError>>,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => {}
            (file, Some(line)) => write!(f, "{file}:{line}: ")?,
            (file, None) => write!(f, "{file}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)?;
        self.next.as_ref().map_or(Ok(()), |next| write!(f, "\nerror: {next}"))
    }
}

/// A [`SpecError`] before its place in the file is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub key: Key,
    pub problem: String,
    pub remedy: String,
}

impl Fault {
    pub fn new(key: impl Into<Key>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// The error of a spec that no file is known of.
    pub fn nowhere(self) -> SpecError {
        let Self { key, problem, remedy } = self;
        SpecError { file: String::new(), line: None, key: key.to_string(), problem, remedy, next: None }
    }

    /// The error in a file whose text is known.
    pub fn located(self, file: &str, locator: &Locator) -> SpecError {
        let line = locator.line_of(&self.key);
        SpecError { file: file.to_owned(), line, ..self.nowhere() }
    }
}

/// The error of a text that the TOML parser or the strict reading of [`super::Spec`] refused.
pub(super) fn from_toml(error: &toml::de::Error, file: &str, locator: &Locator) -> SpecError {
    let span = error.span().unwrap_or(0..0);
    let foreign = foreign_word(locator.line_text(span.start));
    let fault = foreign.unwrap_or_else(|| explain(error.message(), &locator.key_at(&span)));
    // The span is better than the key: it also exists for text that is no TOML, and for keys that are unknown.
    let line = Some(locator.line_at(span.start));
    SpecError { file: file.to_owned(), line, ..fault.nowhere() }
}

/// The fault of a line whose value is a word of Python or JSON.
fn foreign_word(line: &str) -> Option<Fault> {
    let (key, value) = line.split_once('=')?;
    let word = value.split('#').next()?.trim();
    let remedy = match word {
        "True" | "TRUE" => "write true".to_owned(),
        "False" | "FALSE" => "write false".to_owned(),
        "None" | "null" | "nil" => {
            format!("TOML has no null: if {} may be left out, delete its line", key.trim())
        }
        _ => other_number(word)?,
    };
    Some(Fault::new(key.trim().trim_matches('"'), format!("{word} is not a TOML value"), remedy))
}

/// What to write for a number as people write it elsewhere: with a decimal comma, or with a letter for thousands.
fn other_number(word: &str) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let parts: Vec<&str> = word.trim_start_matches('-').split(',').collect();
    if let [first, others @ ..] = parts.as_slice()
        && !others.is_empty()
        && parts.iter().all(|part| is_number(part))
    {
        // Three digits behind a comma are thousands as a rule, but not behind a zero.
        let thousands = others.iter().all(|part| part.len() == 3) && !first.starts_with('0');
        let (whole, decimal) = (word.replace(',', ""), word.replace(',', "."));
        return match (thousands, others.len()) {
            (true, 1) => Some(format!("write {whole}, or {decimal} if the comma is a decimal one")),
            (true, _) => Some(format!("write {whole}")),
            (false, 1) => Some(format!("write {decimal}, with a point")),
            (false, _) => None,
        };
    }
    let number = units::amount(word).ok().filter(|_| word.ends_with(|c: char| c.is_ascii_alphabetic()))?;
    number.is_finite().then(|| format!("write {number:e}"))
}

/// Turns serde's message about the value at `key` into a problem and a remedy.
pub(super) fn explain(message: &str, key: &Key) -> Fault {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field") {
        let (unknown, known) = (quoted.first().copied().unwrap_or_default(), quoted.get(1..).unwrap_or_default());
        let key = if key.last() == unknown { key.clone() } else { key.child(unknown) };
        return Fault { key, problem: "there is no such key".to_owned(), remedy: instead(unknown, known, "") };
    }
    if message.starts_with("unknown variant") {
        let (unknown, known) = (quoted.first().copied().unwrap_or_default(), quoted.get(1..).unwrap_or_default());
        let problem = format!("{unknown:?} is not one of {}", known.join(", "));
        return Fault { key: key.clone(), problem, remedy: instead(unknown, known, "\"") };
    }
    if message.starts_with("missing field") {
        let key = key.child(quoted.first().copied().unwrap_or_default());
        let remedy = match example(&key) {
            Some(table) if table.starts_with('[') && table[1..].starts_with(char::is_alphabetic) => {
                format!("write the table {table}, as in sweeps/quickstart.toml")
            }
            Some(value) => format!("write a line such as {} = {value}", key.last()),
            None => format!("write {} = and its value", key.last()),
        };
        return Fault { key, problem: "missing".to_owned(), remedy };
    }
    let wrong = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    if let Some((found, expected)) = wrong.and_then(|rest| rest.rsplit_once(", expected ")) {
        let found = found.replace('`', "").replace(" as i128", "");
        let problem = format!("expected {}, found {found}", plain(expected));
        let remedy = example(key)
            .map_or_else(|| format!("write {}", plain(expected)), |value| format!("write for example {value}"));
        return Fault { key: key.clone(), problem, remedy };
    }
    if message == "duplicate key" {
        return Fault::new("", "a key or table is written twice", "keep one of the two");
    }
    // Our own messages, such as those of rules, carry their remedy after a semicolon.
    let (problem, remedy) = message.split_once("; ").unwrap_or((message, "see https://toml.io for what TOML allows"));
    Fault { key: key.clone(), problem: problem.to_owned(), remedy: remedy.to_owned() }
}

/// Serde's words for a type, in words of TOML.
fn plain(expected: &str) -> &str {
    match expected {
        "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        "path string" => "a path in quotes",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("enum ") => "a word in quotes",
        other => other,
    }
}

/// The nearest of the known words, or all of them where none is near.
fn instead(unknown: &str, known: &[&str], quote: &str) -> String {
    match nearest(unknown, known) {
        Some(word) => format!("write {quote}{word}{quote}"),
        None if known.is_empty() => "delete it".to_owned(),
        None => format!("write one of {}", known.join(", ")),
    }
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |word: &str| strsim::damerau_levenshtein(unknown, word);
    let word = known.iter().min_by_key(|word| distance(word))?;
    (distance(word) <= 1 + word.len() / 3).then_some(word)
}

/// A value that could stand at a key, for remedies.
fn example(key: &Key) -> Option<&'static str> {
    let dotted = key.dotted();
    // An element of a list is shown the whole list.
    keys::example(&dotted)
        .or_else(|| keys::example(&key.parent().dotted()).filter(|_| key.last().parse::<usize>().is_ok()))
}
