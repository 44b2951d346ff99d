//! What every key of a spec means: read off its schema, which is derived from the types.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use thiserror::Error;

use super::error::nearest;
use super::keys;
use super::schema::{join, schema};
use super::synonyms;

/// What there is to say of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The dotted key.
    pub key: String,
    /// What it means.
    pub text: String,
    /// What may stand there, in words.
    pub kind: String,
    /// Words that may stand there, with what they mean.
    pub choices: Vec<(String, String)>,
    /// The unit of the value, where it has one.
    pub unit: Option<String>,
    /// What holds where nothing is written.
    pub default: String,
    /// A value that could stand there, as TOML.
    pub example: String,
}

impl Entry {
    /// Whether it is a table of further keys.
    pub fn is_table(&self) -> bool {
        self.kind == TABLE
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        let Self { key, text, kind, choices, unit, default, example } = self;
        let mut out = format!("{key}\n  {text}\n\n  type     {kind}\n");
        for (word, meaning) in choices {
            let _ = writeln!(out, "             {word}: {meaning}");
        }
        if let Some(unit) = unit {
            let _ = writeln!(out, "  unit     {unit}");
        }
        let _ = writeln!(out, "  default  {default}");
        let last = key.rsplit('.').next().unwrap_or(key);
        let example = if self.is_table() { example.clone() } else { format!("{last} = {example}") };
        let _ = writeln!(out, "  example  {example}");
        out
    }
}

const TABLE: &str = "table";

/// A key that no spec has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key:?} is not a key of a spec; {remedy}")]
pub struct UnknownKey {
    /// What was asked for.
    pub key: String,
    /// What to ask for instead.
    pub remedy: String,
}

/// Every key of a spec, in the order of its types: a table comes before its keys.
pub fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    add(&schema(), "", &mut entries);
    // A JSON object has no order, the table of keys has.
    entries.sort_by_key(|entry| keys::position(&entry.key));
    entries
}

/// What there is to say of a key; for a table, of its keys as well.
pub fn explain(key: &str) -> Result<Vec<Entry>, UnknownKey> {
    let entries = entries();
    let within =
        |entry: &Entry| entry.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let found: Vec<Entry> = entries.iter().filter(|entry| within(entry)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    // The beginning of a key, or of its last segment, is enough where one key alone begins so.
    let last = |known: &str| known.rsplit('.').next().unwrap_or_default().to_owned();
    for begins in [&|known: &str| known.starts_with(key), &|known: &str| last(known) == key, &|known: &str| {
        last(known).starts_with(key)
    }] as [&dyn Fn(&str) -> bool; 3]
    {
        if let (false, [only]) = (
            key.is_empty(),
            keys.iter()
                .filter(|known| begins(known) && !within_other(&keys, known, &begins))
                .collect::<Vec<_>>()
                .as_slice(),
        ) {
            return explain(only);
        }
    }
    // Another name of the field for one key or several.
    match synonyms::keys(key) {
        [] => {}
        [only] => return explain(only),
        several => {
            return Err(UnknownKey { key: key.to_owned(), remedy: format!("ask for {}", several.join(" or ")) });
        }
    }
    // A last segment alone is often meant.
    let ends: Vec<&str> = keys.iter().copied().filter(|known| known.rsplit('.').next() == Some(key)).collect();
    let remedy = match (nearest(key, &keys), ends.as_slice()) {
        (_, [_, ..]) => format!("ask for {}", ends.join(" or ")),
        (Some(word), []) => format!("ask for {word}"),
        (None, []) => instead(key, &entries),
    };
    Err(UnknownKey { key: key.to_owned(), remedy })
}

/// Keys that are told of at once, where a word is no key.
const TOLD: usize = 5;

/// What to ask for in the place of a word that is near no whole key: keys whose last segment was probably meant, or else
/// those that take the word as a value or speak of it.
fn instead(word: &str, entries: &[Entry]) -> String {
    let last = |entry: &Entry| entry.key.rsplit('.').next().unwrap_or_default().to_owned();
    let segments: Vec<String> = entries.iter().map(last).collect();
    // One slip, or two in a long word: short words are near too many, and those of two letters near most.
    let meant = nearest(word, &segments.iter().map(String::as_str).collect::<Vec<_>>())
        .filter(|_| word.chars().count() > 2)
        .filter(|meant| strsim::damerau_levenshtein(word, meant) <= 1 + word.chars().count() / 8);
    let wanted = word.to_lowercase();
    // Shorter words are in nearly every text.
    let speaks = |text: &str| {
        wanted.len() > 2 && text.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|part| part == wanted)
    };
    let takes = |entry: &&Entry| entry.choices.iter().any(|(choice, _)| choice.to_lowercase() == wanted);
    let spoken = |entry: &&Entry| speaks(&entry.text) || entry.choices.iter().any(|(_, about)| speaks(about));
    let searches: [&dyn Fn(&&Entry) -> bool; 3] =
        [&takes, &|entry| meant.is_some_and(|meant| last(entry) == meant), &spoken];
    for search in searches {
        let found: Vec<&str> = entries.iter().filter(search).map(|entry| entry.key.as_str()).collect();
        if !found.is_empty() {
            let more = found.len().saturating_sub(TOLD);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            return format!("ask for {}{rest}", found[..found.len().min(TOLD)].join(" or "));
        }
    }
    "`runner explain` lists them all".to_owned()
}

/// Whether a key belongs to a table that is found as well.
fn within_other(keys: &[&str], key: &str, found: &dyn Fn(&str) -> bool) -> bool {
    keys.iter().any(|table| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')) && found(table))
}

/// The reference of all keys as Markdown: `docs/spec.md`.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    let (tables, top): (Vec<_>, Vec<_>) =
        entries().into_iter().partition(|entry| entry.key.contains('.') || entry.is_table());
    section(&mut out, "At the top", "", &top);
    let mut tables = tables.into_iter().peekable();
    while let Some(table) = tables.next() {
        let mut keys = Vec::new();
        while let Some(key) = tables.next_if(|entry| entry.key.contains('.')) {
            keys.push(key);
        }
        section(&mut out, &format!("`[{}]`", table.key), &table.text, &keys);
    }
    out
}

const HEAD: &str = "# Keys of a spec

This page is written by `runner schema --markdown`. `runner explain KEY` prints the same for one key. `runner schema` prints
a JSON schema. Save it as `spec.schema.json` next to a spec whose first line is `#:schema spec.schema.json`: an editor with
TOML support then completes and checks the keys.

A spec is a TOML file. With `[sweep]` it describes a grid of runs for `runner sweep`, without it one run for `runner train`.
Every key can also be set on the command line, as in `--set sweep.seeds=[1,2,3]`.
";

fn section(out: &mut String, title: &str, text: &str, keys: &[Entry]) {
    let _ = writeln!(out, "\n## {title}\n");
    if !text.is_empty() {
        let _ = writeln!(out, "{text}\n");
    }
    out.push_str("| key | meaning | type | unit | default | example |\n|---|---|---|---|---|---|\n");
    for Entry { key, text, kind, choices, unit, default, example } in keys {
        let key = key.split_once('.').map_or(key.as_str(), |(_, rest)| rest);
        let choices: Vec<String> = choices.iter().map(|(word, text)| format!("<br>`{word}`: {text}")).collect();
        let unit = unit.as_deref().unwrap_or_default();
        let cells = format!("| `{key}` | {text}{} | {kind} | {unit} | {default} | `{example}` |", choices.concat());
        let _ = writeln!(out, "{cells}");
    }
}

/// Adds the keys of a table.
fn add(table: &Value, path: &str, entries: &mut Vec<Entry>) {
    let required = |name: &str| table["required"].as_array().is_some_and(|list| list.iter().any(|key| key == name));
    for (name, value) in properties(table) {
        let key = join(path, name);
        entries.push(entry(&key, value, required(name)));
        add(value, &key, entries);
        for form in value["anyOf"].as_array().into_iter().flatten() {
            add(form, &key, entries);
        }
    }
}

fn properties(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table["properties"].as_object().into_iter().flat_map(Map::iter)
}

fn entry(key: &str, value: &Value, required: bool) -> Entry {
    let string = |name: &str| value[name].as_str().map(str::to_owned);
    let default = match value.get("default") {
        Some(default) => default.to_string(),
        None if required => "none, must be written".to_owned(),
        None => "may be left out".to_owned(),
    };
    Entry {
        key: key.to_owned(),
        // A paragraph is one line in the types' comments after their ends are joined.
        text: string("description").unwrap_or_default().replace('\n', " "),
        kind: kind(value),
        choices: choices(value),
        unit: string("x-unit"),
        default,
        example: string("x-example").unwrap_or_default(),
    }
}

/// Words that may stand at a key.
fn choices(value: &Value) -> Vec<(String, String)> {
    let choice = |form: &Value| {
        let text = form["description"].as_str().unwrap_or_default().replace('\n', " ");
        Some((form["const"].as_str()?.to_owned(), text))
    };
    value["oneOf"].as_array().into_iter().flatten().filter_map(choice).collect()
}

/// What may stand at a key, in words.
fn kind(value: &Value) -> String {
    if let Some(forms) = value["anyOf"].as_array() {
        return forms.iter().map(kind).collect::<Vec<_>>().join(", ");
    }
    if let Some(word) = value["const"].as_str() {
        return format!("\"{word}\"");
    }
    match value["type"].as_str() {
        Some("string") => "text",
        Some("integer") => "whole number",
        Some("number") => "number",
        Some("boolean") => "true or false",
        Some("object") if value["additionalProperties"]["type"] == "array" => "table of lists",
        Some("object") if value.get("properties").is_none() => "table of keys of your own",
        Some("object") => TABLE,
        Some("array") => {
            return match kind(&value["items"]).as_str() {
                "text" => "list of texts".to_owned(),
                "a word" => "list of words".to_owned(),
                TABLE => "list of tables".to_owned(),
                "table of lists" => "list of tables of lists".to_owned(),
                "anything" => "list".to_owned(),
                one => format!("list of {one}s"),
            };
        }
        _ if value["oneOf"].is_array() => "a word",
        _ => "anything",
    }
    .to_owned()
}
