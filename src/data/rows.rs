//! Rows where a text is expected: JSON Lines, a list in JSON, a table of CSV. As a text they would be trained on with their
//! braces, names and numbers.

use std::collections::HashSet;
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The name of a file without what says that it is compressed, in small letters.
pub fn without_packing(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
}

/// The beginning of a file's name, up to its first end.
pub fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').find(|part| !part.is_empty()).unwrap_or("text").to_owned()
}

/// What rows a text is made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Rows {
    /// One object a line, of which this field seems to have the text.
    Lines(Option<String>),
    /// One list of objects.
    List,
    /// Lines of cells.
    Table,
}

/// The beginning of a text that shows what it is, in bytes.
pub const LOOK: usize = 4 << 20;

/// Lines of a file that are looked at, and how many are enough where it has more.
const LINES: usize = 50;
const ENOUGH_LINES: usize = 3;

/// Lines of cells that are looked at, and how many a table has at the least.
const CELLS: usize = 20;
const ENOUGH_CELLS: usize = 10;

impl Rows {
    /// What a text is by its beginning and its name; nothing where it is no rows. `whole` where nothing follows.
    pub fn of(beginning: &[u8], whole: bool, path: &Path) -> Option<Self> {
        let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
        let begins = beginning.trim_ascii_start();
        match begins.first()? {
            b'{' => lines(begins, whole),
            b'[' => is_list(&begins[1..]).then_some(Self::List),
            _ => (is_named_a_table(path) || [b',', b'\t', b';'].iter().any(|cell| is_table(begins, *cell, whole)))
                .then_some(Self::Table),
        }
    }

    /// What they are, and what to do.
    pub fn told(&self, path: &Path) -> String {
        let column = |found: Option<&str>| toml::Value::from(found.unwrap_or("text")).to_string();
        match self {
            Self::Lines(found) => format!(
                "its lines are JSON objects, and as text their braces and names would be trained on; write source = \"jsonl\" \
                 and column = {}",
                column(found.as_deref())
            ),
            Self::List => format!(
                "this is a JSON list, and as text its braces and names would be trained on; {}, and write source = \"jsonl\" \
                 and column = \"text\", by the field of the text",
                unlisted(path)
            ),
            Self::Table => format!(
                "this is a table, and as text all its cells would be trained on; save it as JSON Lines, in pandas with \
                 read_csv(\"{}\").to_json(\"{}.jsonl\", orient=\"records\", lines=True), and write source = \"jsonl\" and \
                 column = \"text\", by the column of the text",
                path.display(),
                stem(path)
            ),
        }
    }
}

/// How a list becomes lines.
pub fn unlisted(path: &Path) -> String {
    format!("convert it with `jq -c '.[]' {} > {}.jsonl`", path.display(), stem(path))
}

/// JSON Lines: all of the first lines are objects, or all that there are.
fn lines(text: &[u8], whole: bool) -> Option<Rows> {
    let mut all: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    if !whole {
        all.pop();
    }
    let all = all.into_iter().map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let looked_at: Vec<&[u8]> = all.take(LINES).collect();
    let is_object = |line: &&[u8]| line.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(line).is_ok();
    let enough = if whole { 1 } else { ENOUGH_LINES };
    let are = looked_at.len() >= enough && looked_at.iter().all(is_object);
    are.then(|| Rows::Lines(looked_at.first().and_then(|line| field_of_text(line))))
}

/// The field of a line that has the text: `text`, or the longest string.
pub fn field_of_text(line: &[u8]) -> Option<String> {
    let object: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let strings = || object.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let text = strings().find(|(name, _)| *name == "text");
    text.or_else(|| strings().max_by_key(|(_, value)| value.len())).map(|(name, _)| name.clone())
}

/// Whether an object follows the bracket, and another or the end follows that.
fn is_list(inside: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(inside).into_iter::<Map<String, Value>>();
    let first = values.next().is_some_and(|first| first.is_ok());
    first && matches!(inside[values.byte_offset()..].trim_ascii_start().first(), Some(b',' | b']'))
}

fn is_named_a_table(path: &Path) -> bool {
    let name = without_packing(path);
    [".csv", ".tsv"].iter().any(|end| name.ends_with(end))
}

/// Names of which a table of two columns has one.
const COLUMNS: [&str; 14] = [
    "id", "text", "content", "body", "label", "title", "url", "name", "date", "source", "index", "prompt", "question",
    "document",
];

/// The longest line of names that a table begins with, in bytes.
const LONGEST_NAMES: usize = 1 << 12;

/// Whether a text has lines of equally many cells below the names of columns.
fn is_table(text: &[u8], cell: u8, whole: bool) -> bool {
    let names = text[..text.len().min(LONGEST_NAMES)].split(|&byte| byte == b'\n').next().unwrap_or_default();
    if names.len() == LONGEST_NAMES || !names.contains(&cell) {
        return false;
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(cell).has_headers(false).flexible(true).from_reader(text);
    let mut rows: Vec<csv::StringRecord> = reader.records().take(CELLS + 1).map_while(Result::ok).collect();
    if !whole && rows.len() <= CELLS {
        rows.pop();
    }
    rows.truncate(CELLS);
    let Some(names) = rows.first().filter(|_| rows.len() >= ENOUGH_CELLS) else { return false };
    let distinct: HashSet<&str> = names.iter().collect();
    // Verses and names have one comma in each line too.
    let few = names.len() == 2 && !names.iter().any(|name| COLUMNS.contains(&name.trim().to_lowercase().as_str()));
    names.len() > 1
        && !few
        && distinct.len() == names.len()
        && names.iter().all(is_name)
        && rows.iter().all(|row| row.len() == names.len())
}

/// Whether this may be the name of a column: a few words, and no sentence.
fn is_name(text: &str) -> bool {
    let text = text.trim();
    let plain = |c: char| c.is_alphanumeric() || "_-./ ()".contains(c);
    !text.is_empty()
        && text.chars().all(plain)
        && !text.ends_with('.')
        && text.chars().any(char::is_alphabetic)
        && text.split(' ').count() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, name: &str) -> Option<Rows> {
        Rows::of(text.as_bytes(), true, Path::new(name))
    }

    #[test]
    fn rows_are_known_by_their_first_lines() {
        let lines = |field: &str| Some(Rows::Lines(Some(field.to_owned())));
        assert_eq!(
            of("\u{feff}{\"text\": \"a\", \"b\": \"long one\"}\r\n\n{\"text\": \"b\"}\n", "a.txt"),
            lines("text")
        );
        assert_eq!(of("{\"id\": \"1\", \"body\": \"words\"}", "a.txt"), lines("body"));
        assert_eq!(of("[\n  {\n    \"text\": \"a\"\n  },\n  {\"text\": \"b\"}]", "a.json"), Some(Rows::List));
        let table = |cell: &str| -> String {
            (0..12).fold(format!("id{cell}text\n"), |all, i| all + &format!("{i}{cell}\"one, two\nlines\"\n"))
        };
        for cell in [",", "\t", ";"] {
            assert_eq!(of(&table(cell), "a.txt"), Some(Rows::Table), "{cell}");
        }
        assert_eq!(of("text\nonly one column\n", "a.csv.gz"), Some(Rows::Table));
    }

    #[test]
    fn a_text_about_rows_is_a_text() {
        let prose = "{\"text\": \"a\"}\nis an object of JSON, and\n{\"text\": \"b\"}\nis another.\n";
        let poem = "Had we but world enough, and time\nThis coyness, lady, were no crime.\n".repeat(20);
        let listing = "One, two and three are first.\nWords, commas and such come next.\n".repeat(20);
        let litany = "Lord, have mercy\nSaint Peter, pray for us\nSaint Paul, pray for us\n".repeat(20);
        let assembly = "mov r1, r2\nadd r3, r4\n".repeat(20);
        for text in [
            prose,
            &poem,
            &listing,
            &litany,
            &assembly,
            "[1] A reference, 2020.\n",
            "{ braces }",
            "",
            "[{curly}]",
            "{\n  \"a\": 1\n}\n",
        ] {
            assert_eq!(of(text, "a.txt"), None, "{text}");
        }
        // Two objects at the beginning of a long text are too few to tell.
        let cut = b"{\"a\": \"b\"}\n{\"a\": \"b\"}\n{\"a\":";
        assert_eq!(Rows::of(cut, false, Path::new("a.txt")), None);
    }
}
