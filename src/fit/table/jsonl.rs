//! JSON: one object a line, or a list of objects. Columns are the fields of all objects in the order in which they come,
//! those of an object inside as `outer.inner`; a field that is absent or null is an empty cell.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use csv::StringRecord;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{At, TableError};
use super::rows::{Listed, Opened, Rows, fill};
use crate::lines::plain_json;

/// What a list is in a cell: no number, and named by the error that says so.
const LIST: &str = "(a list)";

/// A value: text, a number or a truth as text, or an object.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Object(Vec<(String, Value)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Text(String::new()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Text(LIST.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("the field {name:?} appears twice")));
            }
            fields.push((name, value));
        }
        Ok(Value::Object(fields))
    }
}

impl Value {
    /// Hands every text in it to `take` with its name.
    fn flatten<'a>(&'a self, name: Cow<'a, str>, take: &mut dyn FnMut(Cow<'a, str>, &'a str)) {
        match self {
            Self::Text(text) => take(name, text),
            Self::Object(fields) => {
                for (inner, value) in fields {
                    let full =
                        if name.is_empty() { Cow::Borrowed(inner.as_str()) } else { format!("{name}.{inner}").into() };
                    value.flatten(full, take);
                }
            }
        }
    }
}

/// Names of columns, and the place of each.
#[derive(Default)]
struct Names {
    headers: StringRecord,
    places: HashMap<String, usize>,
}

impl Names {
    fn see(&mut self, object: &Value) {
        object.flatten(Cow::Borrowed(""), &mut |name, _| {
            if !self.places.contains_key(name.as_ref()) {
                self.places.insert(name.to_string(), self.headers.len());
                self.headers.push_field(&name);
            }
        });
    }

    /// The cells of an object, in the order of the columns.
    fn row(&self, object: &Value, number: u64, row: &mut StringRecord) {
        let mut cells = vec![""; self.headers.len()];
        object.flatten(Cow::Borrowed(""), &mut |name, text| {
            if let Some(place) = self.places.get(name.as_ref()) {
                cells[*place] = text;
            }
        });
        fill(row, cells.into_iter().map(Cow::Borrowed), number);
    }
}

struct Lines<'a> {
    path: PathBuf,
    names: Names,
    rest: Numbered<'a>,
}

/// Lines with their numbers from 0.
type Numbered<'a> = std::iter::Enumerate<std::slice::Split<'a, u8, fn(&u8) -> bool>>;

fn numbered(bytes: &[u8]) -> Numbered<'_> {
    let is_end: fn(&u8) -> bool = |byte| *byte == b'\n';
    bytes.split(is_end).enumerate()
}

/// Opens JSON Lines. All of it is read once for the names of the columns.
pub(super) fn lines<'a>(path: &Path, bytes: &'a [u8]) -> Result<Opened<'a>, TableError> {
    let mut names = Names::default();
    for (at, line) in numbered(bytes) {
        if let Some(object) = object(path, at, line)? {
            names.see(&object);
        }
    }
    let headers = names.headers.clone();
    Ok(Opened { headers, rows: Box::new(Lines { path: path.to_owned(), names, rest: numbered(bytes) }), note: None })
}

impl Rows for Lines<'_> {
    fn next(&mut self, row: &mut StringRecord) -> Result<bool, TableError> {
        for (at, line) in self.rest.by_ref() {
            if let Some(object) = object(&self.path, at, line)? {
                self.names.row(&object, at as u64 + 1, row);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The object of a line, or nothing where it is white space.
fn object(path: &Path, at: usize, line: &[u8]) -> Result<Option<Value>, TableError> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let what = match parse::<Value>(line) {
        Ok(object @ Value::Object(_)) => return Ok(Some(object)),
        Ok(Value::Text(_)) => "is not a JSON object; write one object a line".to_owned(),
        Err(error) => format!("{error}; write one JSON object a line"),
    };
    Err(TableError::Row { path: path.to_owned(), at: At::Line(at as u64 + 1), what })
}

/// JSON, and where it is none the same with NaN and Infinity as texts: Python writes them so.
fn parse<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, String> {
    let told = |error: serde_json::Error| {
        let text = error.to_string();
        text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
    };
    serde_json::from_slice(json).or_else(|error| serde_json::from_slice(&plain_json(json)).map_err(|_| told(error)))
}

/// Opens a list of objects, as pandas writes records.
pub(super) fn list<'a>(path: &Path, bytes: &[u8]) -> Result<Opened<'a>, TableError> {
    let wrong = |at, what| TableError::Row { path: path.to_owned(), at, what };
    let objects: Vec<Value> =
        parse(bytes).map_err(|error| wrong(At::Names, format!("is not a list of objects: {error}")))?;
    let mut names = Names::default();
    for (at, object) in objects.iter().enumerate() {
        if matches!(object, Value::Text(_)) {
            return Err(wrong(At::Row(at as u64 + 1), "is not an object".to_owned()));
        }
        names.see(object);
    }
    let of = |(at, object): (usize, &Value)| {
        let mut row = StringRecord::new();
        names.row(object, at as u64 + 1, &mut row);
        row
    };
    let rows: Vec<StringRecord> = objects.iter().enumerate().map(of).collect();
    Ok(Opened { headers: names.headers, rows: Box::new(Listed(rows.into_iter())), note: None })
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Cells, cells};
    use super::*;

    fn of(text: &str) -> Result<Cells, String> {
        cells(lines(Path::new("t.jsonl"), text.as_bytes()))
    }

    #[test]
    fn fields_become_columns_whatever_their_order() {
        let table = of(
            "{\"N\": 5, \"loss\": 3.25, \"tag\": \"a \\\"b\\\"\"}\r\n\n{\"loss\": null, \"seed\": true, \"N\": \"5.06M\"}\n",
        );
        let expected = [["N", "loss", "tag", "seed"], ["5", "3.25", "a \"b\"", ""], ["5.06M", "", "", "true"]];
        assert_eq!(table.unwrap(), expected);
    }

    #[test]
    fn objects_inside_are_columns_and_lists_are_named() {
        let table =
            of("{\"config\": {\"n\": 1, \"opt\": {\"lr\": 0.1}}, \"curve\": [1, [2]]}\n{\"config\": {}}\n").unwrap();
        assert_eq!(table[0], ["config.n", "config.opt.lr", "curve"]);
        assert_eq!(table[1], ["1", "0.1", "(a list)"]);
        assert_eq!(table[2], ["", "", ""]);
    }

    #[test]
    fn what_python_writes_for_no_number_is_read() {
        let table = of("{\"note\": \"NaN \\\" NaN\", \"loss\": NaN, \"x\": -Infinity}\n").unwrap();
        assert_eq!(table[1], ["NaN \" NaN", "NaN", "-Infinity"]);
    }

    #[test]
    fn every_number_comes_back_to_the_bit() {
        let values = [0.1 + 0.2, 5.76e23, 1e-300, 1.797e308, 3.0];
        for value in values {
            let table = of(&format!("{{\"x\": {value:e}}}")).unwrap();
            assert_eq!(table[1][0].parse(), Ok(value));
        }
    }

    #[test]
    fn a_list_of_objects_is_the_same_table() {
        let table = cells(list(Path::new("t.json"), b"[\n {\"N\": 1},\n {\"N\": 2, \"L\": NaN}\n]")).unwrap();
        assert_eq!(table, [["N", "L"], ["1", ""], ["2", "NaN"]]);
        let error = cells(list(Path::new("t.json"), b"[{}, 5]")).unwrap_err();
        assert!(error.contains("t.json, row 2: is not an object"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let deep = "{\"x\": ".repeat(100_000);
        for (text, expected) in [
            ("{\"N\": 1}\n{\"N\": }\n", "t.jsonl:2: expected value"),
            ("{\"N\": 1}\n5\n", "t.jsonl:2: is not a JSON object"),
            ("{\"N\": 1, \"N\": 2}\n", "t.jsonl:1: the field \"N\" appears twice"),
            ("{\"N\": 1\n", "t.jsonl:1: EOF"),
            (&deep, "t.jsonl:1: recursion limit"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
