//! Keys of a spec set from outside, as in `--set sweep.seeds=[1,2,3]`: an edit of its text, comments and all, which is
//! then read as strictly as any other.

use std::collections::BTreeSet;

use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::SpecError;
use super::locate::{Key, Locator};

/// One key and what to make of it.
#[derive(Clone, Debug)]
pub(super) struct Override {
    /// As it was written.
    written: String,
    key: Vec<String>,
    /// Nothing takes the key away.
    value: Option<Value>,
}

impl Override {
    /// Reads `KEY=VALUE`. The value is one of TOML; a word that is none is taken for a text, so that shells need no
    /// further quotes. An empty value takes the key away.
    fn read(written: &str) -> Result<Self, SpecError> {
        let wrong = |problem: &str, remedy: &str| error(written, "", problem, remedy);
        let (key, value) = written
            .split_once('=')
            .ok_or_else(|| wrong("no value", "write KEY=VALUE, such as sweep.seeds=[1,2,3]; KEY= removes a key"))?;
        let key = toml_edit::Key::parse(key.trim())
            .map_err(|_| wrong("the key is not a TOML key", "write a dotted key, such as optimizer.weight_decay"))?;
        let mut key: Vec<String> = key.iter().map(|segment| segment.get().to_owned()).collect();
        // Axes are named by dotted fields, which need quotes in a file and are tedious to quote in a shell.
        if key.len() > 3 && key[0] == "sweep" && key[1] == "axes" {
            let field = key.split_off(2).join(".");
            key.push(field);
        }
        let value = match value.trim() {
            "" => None,
            text => Some(read_value(text).ok_or_else(|| {
                wrong("the value is not valid TOML", "write a number, true, \"text\", [a, list] or { a = \"table\" }")
            })?),
        };
        Ok(Self { written: written.to_owned(), key, value })
    }

    fn key(&self) -> Key {
        self.key.iter().fold(Key::default(), |key, segment| key.child(segment))
    }

    /// Whether an error at a key comes from this one: it is here, inside it, or at a table that it is in.
    fn causes(&self, error: &str) -> bool {
        let own = self.key().to_string();
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        within(error, &own) || (!error.is_empty() && within(&own, error))
    }

    fn apply(&self, document: &mut DocumentMut) -> Result<(), SpecError> {
        let wrong = |problem: &str, remedy: &str| error(&self.written, &self.key().to_string(), problem, remedy);
        let (last, parents) = self.key.split_last().expect("a parsed key is not empty");
        let mut table: &mut dyn TableLike = document.as_table_mut();
        for parent in parents {
            if self.value.is_none() && !table.contains_key(parent) {
                return Err(wrong("there is no such key to remove", "name a key that the spec has"));
            }
            let inner = table.entry(parent).or_insert_with(|| Item::Table(toml_edit::Table::new()));
            table = inner
                .as_table_like_mut()
                .ok_or_else(|| wrong(&format!("{parent} is not a table"), "set it as a whole, or edit the file"))?;
        }
        let Some(value) = self.value.clone() else {
            let taken = table.remove(last);
            return taken
                .map(drop)
                .ok_or_else(|| wrong("there is no such key to remove", "name a key that the spec has"));
        };
        match table.get_mut(last) {
            Some(Item::Value(old)) => replace(old, value),
            _ => {
                table.insert(last, Item::Value(value));
            }
        }
        Ok(())
    }
}

/// Puts a value in the place of another, the comment behind it in the same column where there is room.
fn replace(old: &mut Value, mut new: Value) {
    *new.decor_mut() = old.decor().clone();
    let suffix = old.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default();
    if let Some(comment) = suffix.find('#') {
        let length = |value: &Value| value.clone().decorated("", "").to_string().chars().count();
        let room = (length(old) + comment).saturating_sub(length(&new)).max(1);
        new.decor_mut().set_suffix(format!("{:room$}{}", "", &suffix[comment..]));
    }
    *old = new;
}

/// A value of TOML, or else a plain word or path as a text.
fn read_value(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse::<Value>() {
        return Some(value.decorated(" ", ""));
    }
    let plain = !text.contains(|c: char| c.is_control() || "[]{}\"'=,#".contains(c));
    plain.then(|| Value::from(text).decorated(" ", ""))
}

/// The text of a spec with keys set, each written as [`Override::read`] says.
pub(super) fn apply(text: &str, overrides: &[Override]) -> Result<String, SpecError> {
    // Text that is no TOML is left as it is: whoever reads it says what is wrong with it.
    let Ok(mut document) = text.parse::<DocumentMut>() else { return Ok(text.to_owned()) };
    overrides.iter().try_for_each(|each| each.apply(&mut document))?;
    Ok(document.to_string())
}

/// Reads overrides, each key once.
pub(super) fn read(written: &[String]) -> Result<Vec<Override>, SpecError> {
    let overrides: Vec<Override> = written.iter().map(|each| Override::read(each)).collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    match overrides.iter().find(|each| !seen.insert(&each.key)) {
        Some(twice) => Err(error(&twice.written, &twice.key().to_string(), "set twice", "set each key once")),
        None => Ok(overrides),
    }
}

/// Puts an error of the edited text on the override that made it, or on the line of the text as it was.
pub(super) fn blame(mut error: SpecError, overrides: &[Override], text: &str) -> SpecError {
    error.next = error.next.map(|next| Box::new(blame(*next, overrides, text)));
    match overrides.iter().find(|each| each.causes(&error.key)) {
        Some(each) => SpecError { file: format!("--set {}", each.written), line: None, ..error },
        None => SpecError { line: Locator::new(text).line_of(&Key::from(error.key.as_str())), ..error },
    }
}

fn error(written: &str, key: &str, problem: &str, remedy: &str) -> SpecError {
    SpecError {
        file: format!("--set {written}"),
        line: None,
        key: key.to_owned(),
        problem: problem.to_owned(),
        remedy: remedy.to_owned(),
        next: None,
    }
}
