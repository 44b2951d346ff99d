//! JSON Lines: one object a line, one of whose fields is the text of a document. A line of white space, and a field that
//! is null, is no document.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::bad::{Bad, NOT_UTF8};
use super::{DataError, foreign, rows};

/// Reads the field called `column` of each line and hands it to `document`, which says what is wrong with it. Errors name
/// the line, and the column of it.
pub fn read(
    bytes: &[u8],
    column: &str,
    path: &Path,
    document: &mut dyn FnMut(&str) -> Result<(), String>,
    bad: &mut Bad,
) -> Result<(), DataError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    foreign::refuse(bytes, path)?;
    if bytes.trim_ascii_start().starts_with(b"[") {
        let what = format!("this is a JSON list and not one object a line; {}", rows::unlisted(path));
        return Err(DataError::content(path, what));
    }
    let mut first = true;
    for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let remedy = bad.remedy();
        let wrong = |column: usize, what: String| {
            let place = if column == 0 { String::new() } else { format!(":{column}") };
            DataError::content(path, format!("line {}{place}: {what}", at + 1))
        };
        let mut reader = serde_json::Deserializer::from_slice(line);
        let text = reader.deserialize_map(Line(column)).and_then(|text| reader.end().map(|()| text));
        let text = text.map_err(|error| {
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
            // The first line is like the others: what it lacks all lack.
            let all = first && (message.starts_with("there is no field") || message.ends_with(TEXT_OR_NULL));
            let what = match understood(message, column) {
                _ if std::str::from_utf8(line).is_err() => format!("not UTF-8: {message}; {NOT_UTF8}{remedy}"),
                _ if first && error.is_eof() && is_object(bytes) => spread(path),
                Some(what) if all => what,
                Some(what) => what + remedy,
                None if all => format!("{message}; correct data.column"),
                None => format!("{message}; correct or remove the line{remedy}"),
            };
            wrong(error.column(), what)
        });
        first = false;
        let taken = text.and_then(|text| match text {
            Some(text) => document(&text).map_err(|what| wrong(0, format!("{column}: {what}{remedy}"))),
            None => Ok(()),
        });
        taken.or_else(|error| bad.take(error))?;
    }
    Ok(())
}

/// What to do where a field holds several texts instead of one; nothing where an error says something else.
fn understood(message: &str, column: &str) -> Option<String> {
    let is = message.strip_prefix("invalid type: ")?.strip_suffix(TEXT_OR_NULL)?;
    let plain = column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let field = if plain { format!(".{column}") } else { format!(".[{column:?}]") };
    match is {
        "sequence" => Some(format!(
            "{column} is a list, and a document is one text: join lists of texts with `jq -c '{field} |= join(\"\\n\")'`, and \
             lists of messages with `jq -c '{field} |= (map(.content) | join(\"\\n\"))'`"
        )),
        "map" => Some(format!(
            "{column} is an object, and a document is one text: write column = \"{column}.NAME\" with a name in it"
        )),
        _ => None,
    }
}

/// How the library says what was expected.
const TEXT_OR_NULL: &str = ", expected a text or null";

/// Whether an object is at the beginning, on however many lines.
fn is_object(bytes: &[u8]) -> bool {
    serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>().next().is_some_and(|first| first.is_ok())
}

fn spread(path: &Path) -> String {
    let (file, stem) = (path.display(), rows::stem(path));
    format!(
        "its objects take several lines, and one line is one object; convert it with `jq -c . {file} > {stem}.jsonl`"
    )
}

/// The text of a line; nothing where it has none or cannot be read.
pub fn text<'a>(line: &'a [u8], column: &str) -> Option<Cow<'a, str>> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    reader.deserialize_map(Line(column)).ok().flatten()
}

/// What is found under a name: nothing, a null, or a text.
type Found<'de> = Option<Option<Cow<'de, str>>>;

/// The text in one field of an object, or of an object in it: `data.text` is the field of that very name, and where there is
/// none, `text` in `data`. Everything else is skipped without being kept.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field {:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut exact, mut inner): (Found<'de>, Found<'de>) = (None, None);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let key = key.0.as_deref().unwrap_or_default();
            let inside = self.0.strip_prefix(key).and_then(|rest| rest.strip_prefix('.'));
            let twice = match inside {
                _ if key == self.0 => exact.replace(map.next_value::<Text<'de>>()?.0).is_some(),
                Some(inside) if !key.is_empty() => {
                    let found = map.next_value_seed(Field(inside))?;
                    found.is_some_and(|text| inner.replace(text).is_some())
                }
                _ => map.next_value::<IgnoredAny>().map(|_| false)?,
            };
            if twice {
                return Err(A::Error::custom(format_args!("the field {:?} appears twice", self.0)));
            }
        }
        Ok(exact.or(inner))
    }

    // Inside of an object anything may stand under the first part of the name; a null holds no text.

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// The same of a line, which has to be an object with that field.
struct Line<'a>(&'a str);

impl<'de> Visitor<'de> for Line<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Field(self.0).expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let missing = || A::Error::custom(format_args!("there is no field {:?}, which data.column names", self.0));
        Field(self.0).visit_map(map)?.ok_or_else(missing)
    }
}

/// A text, borrowed where it is written without escapes, or nothing.
struct Text<'de>(Option<Cow<'de, str>>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or null")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Result<Vec<String>, String> {
        texts_of(bytes, "text", &mut Bad::new(false))
    }

    fn texts_of(bytes: &[u8], column: &str, bad: &mut Bad) -> Result<Vec<String>, String> {
        let mut texts = Vec::new();
        let mut keep = |text: &str| {
            texts.push(text.to_owned());
            if text == "bad" { Err("it is bad".to_owned()) } else { Ok(()) }
        };
        read(bytes, column, Path::new("x.jsonl"), &mut keep, bad).map_err(|error| error.to_string())?;
        Ok(texts)
    }

    #[test]
    fn one_field_of_each_line_is_read_and_all_else_passed_over() {
        let lines =
            b"\xef\xbb\xbf{\"text\": \"a \\\"b\\\"\\n\\u00e9\", \"meta\": {\"text\": [1, {\"deep\": null}]}}\r\n\n  \n\
            {\"id\": 7, \"text\": \"plain\"}\n{\"text\": null}\n{\"te\\u0078t\": \"last\"}";
        assert_eq!(texts(lines).unwrap(), ["a \"b\"\n\u{e9}", "plain", "last"]);
    }

    #[test]
    fn a_field_inside_a_field_is_found_by_its_path() {
        let of = |line: &str, column| texts_of(line.as_bytes(), column, &mut Bad::new(false));
        let nested = "{\"data\": {\"id\": 1, \"text\": \"deep\"}, \"text\": \"shallow\"}\n{\"data\": null}\n";
        assert_eq!(of(nested, "data.text").unwrap(), ["deep"]);
        assert_eq!(of("{\"a\": {\"b\": {\"c\": \"x\"}}}", "a.b.c").unwrap(), ["x"]);
        assert_eq!(of("{\"a.b\": \"whole\", \"c\": {}}", "a.b").unwrap(), ["whole"]);
        let missing = of("{\"data\": {\"body\": \"x\"}}", "data.text").unwrap_err();
        assert!(missing.contains("no field \"data.text\""), "{missing}");
        let twice = of("{\"a\": {\"b\": \"x\"}, \"a\": {\"b\": \"y\"}}", "a.b").unwrap_err();
        assert!(twice.contains("twice"), "{twice}");
        // A field of the very name wins, whatever stands under the first part of it.
        for other in ["\"x\"", "7", "-7", "0.5", "true", "[1, [2]]", "{\"id\": 1}", "{\"text\": \"x\"}", "null"] {
            let line = format!("{{\"data\": {other}, \"data.text\": \"y\"}}");
            assert_eq!(of(&line, "data.text").unwrap(), ["y"], "{other}");
        }
    }

    #[test]
    fn bad_lines_are_counted_and_passed_over_on_demand() {
        let lines = b"{\"text\": \"one\"}\nnonsense\n{\"body\": 1}\n{\"text\": \"bad\"}\n{\"text\": \"two\"}\n";
        let mut bad = Bad::new(true);
        assert_eq!(texts_of(lines, "text", &mut bad).unwrap(), ["one", "bad", "two"], "what was handed over");
        assert_eq!(bad.count, 3);
        let first = bad.first.unwrap();
        assert!(first.contains("line 2:2") && !first.contains("skip_bad"), "{first}");
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        let deep = [b"{\"x\": ".to_vec(), b"[".repeat(100_000)].concat();
        let cases: [(&[u8], &str); 21] = [
            (
                b"{\"text\": \"a\"}\n{\"text\": 5}",
                "x.jsonl: line 2:10: invalid type: integer `5`, expected a text or null",
            ),
            (b"{\"body\": \"a\"}", "line 1:13: there is no field \"text\", which data.column names"),
            (b"{\"text\": \"a\", \"text\": \"b\"}", "twice"),
            (b"\n\n{\"text\": \"a\"", "line 3:12: EOF while parsing an object"),
            (b"{\"text\": \"a\"} {}", "line 1:15: trailing characters"),
            (b"\"text\"", "expected an object with the field \"text\""),
            (
                b"{\"text\": \"\xff\"}",
                "line 1:11: not UTF-8: invalid unicode code point; convert it, for instance with `iconv",
            ),
            (
                b"{\"text\": \"a\"}\n{\"id\": 1}",
                "which data.column names; correct or remove the line; data.skip_bad = true",
            ),
            (b"{\"text\": [\"a\", \"b\"]}", "line 1:10: text is a list, and a document is one text"),
            (b"{\"text\": [\"a\"]}", "`jq -c '.text |= join(\"\\n\")'`"),
            (
                b"{\"text\": {\"body\": \"a\"}}",
                "text is an object, and a document is one text: write column = \"text.NAME\"",
            ),
            (b"{\"text\": \"a\"}\n{\"text\": [\"b\"]}", "data.skip_bad = true skips"),
            (
                b"{\n  \"text\": \"a\"\n}\n",
                "several lines, and one line is one object; convert it with `jq -c . x.jsonl",
            ),
            (
                b"[\n  {\n    \"text\": \"a\"\n  }\n]\n",
                "this is a JSON list and not one object a line; convert it with `jq -c '.[]'",
            ),
            (b"{\"text\": \"\\ud800\"}", "line 1:"),
            (b"{\"text\": \"bad\"}", "line 1: text: it is bad"),
            (b"nonsense", "line 1:2: expected ident"),
            (b"BZh9", "bunzip2"),
            (b"PAR1", "source = \"parquet\""),
            (b"[{\"text\": \"a\"}]", "jq -c"),
            (&deep, "EOF while parsing a list"),
        ];
        for (bytes, expected) in cases {
            let error = texts(bytes).unwrap_err();
            assert!(error.contains(expected), "{}: {error}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
        }
        // No way out where no row has the field.
        assert!(!texts(b"{\"body\": \"a\"}").unwrap_err().contains("skip_bad"));
    }
}
