//! Where a key stands in the text of a spec: dotted keys to lines, and spans of the TOML parser back to keys.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A path of keys into a spec, such as `sweep.axes."model.width"`. Elements of a list are numbers from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Key(Vec<String>);

impl Key {
    /// The key of `segment` inside this one; the segment may itself contain dots.
    pub fn child(&self, segment: &str) -> Self {
        let mut path = self.0.clone();
        path.push(segment.to_owned());
        Self(path)
    }

    /// The key around this one.
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The last segment, empty for the whole file.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The segments joined by dots, as written in `axes`.
    pub fn dotted(&self) -> String {
        self.0.join(".")
    }
}

impl From<&str> for Key {
    fn from(dotted: &str) -> Self {
        Self(dotted.split('.').filter(|segment| !segment.is_empty()).map(str::to_owned).collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            let bare = segment.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) && !segment.is_empty();
            match segment.parse::<usize>() {
                Ok(index) if i > 0 => write!(f, "[{index}]")?,
                _ => {
                    let dot = if i == 0 { "" } else { "." };
                    if bare { write!(f, "{dot}{segment}")? } else { write!(f, "{dot}{segment:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// The text of a spec with the places of its keys.
pub(super) struct Locator<'a> {
    text: &'a str,
    root: Option<Spanned<DeTable<'a>>>,
}

impl<'a> Locator<'a> {
    /// Reads the places of all keys; a text that is not TOML has none.
    pub fn new(text: &'a str) -> Self {
        Self { text, root: DeTable::parse(text).ok() }
    }

    /// The line, counted from 1, of a byte of the text.
    pub fn line_at(&self, offset: usize) -> usize {
        let mut before = offset.min(self.text.len());
        while !self.text.is_char_boundary(before) {
            before -= 1;
        }
        1 + self.text[..before].matches('\n').count()
    }

    /// The text of the line of a byte.
    pub fn line_text(&self, offset: usize) -> &'a str {
        self.text.lines().nth(self.line_at(offset) - 1).unwrap_or_default()
    }

    /// The line of a key, or of the nearest table around it that is written.
    pub fn line_of(&self, key: &Key) -> Option<usize> {
        let mut table = self.root.as_ref()?.get_ref();
        let mut line = None;
        let mut segments = key.0.iter();
        while let Some(segment) = segments.next() {
            let Some((name, value)) = table.get_key_value(segment.as_str()) else { break };
            line = Some(self.line_at(name.span().start));
            let mut value = value;
            while let DeValue::Array(list) = value.get_ref() {
                let Some(element) = segments.next().and_then(|index| list.get(index.parse::<usize>().ok()?)) else {
                    return line;
                };
                line = Some(self.line_at(element.span().start));
                value = element;
            }
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        line
    }

    /// A table at the top that is written as a list, `[[sweep]]`, which serde would take for the list of its fields.
    pub fn list_of_tables(&self) -> Option<&str> {
        let is_list = |value: &DeValue| matches!(value, DeValue::Array(list) if list.iter().any(|element| matches!(element.get_ref(), DeValue::Table(_))));
        let mut entries = self.root.as_ref()?.get_ref().iter();
        entries.find(|(_, value)| is_list(value.get_ref())).map(|(name, _)| name.get_ref().as_ref())
    }

    /// The key whose name or value stands at `span`.
    pub fn key_at(&self, span: &Range<usize>) -> Key {
        let root = self.root.as_ref();
        root.and_then(|root| in_table(root.get_ref(), &Key::default(), span)).unwrap_or_default()
    }
}

fn in_table(table: &DeTable, path: &Key, span: &Range<usize>) -> Option<Key> {
    table.iter().find_map(|(name, value)| {
        let key = path.child(name.get_ref());
        if name.span() == *span { Some(key) } else { in_value(value, &key, span) }
    })
}

fn in_value(value: &Spanned<DeValue>, key: &Key, span: &Range<usize>) -> Option<Key> {
    let inside = match value.get_ref() {
        DeValue::Table(table) => in_table(table, key, span),
        DeValue::Array(list) => {
            list.iter().enumerate().find_map(|(i, element)| in_value(element, &key.child(&i.to_string()), span))
        }
        _ => None,
    };
    inside.or_else(|| (value.span() == *span).then(|| key.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"x\"\n\n[model]\nwidth = 64\n\n[sweep]\nbudgets = [\n  1.0, # a\n  2.0,\n]\n[[sweep.zip]]\n\"a.b\" = [1]\n";

    #[test]
    fn a_key_is_found_at_its_line_and_a_missing_one_at_its_table() {
        let locator = Locator::new(TEXT);
        let line = |key: &str| locator.line_of(&Key::from(key));
        assert_eq!(line("name"), Some(1));
        assert_eq!(line("model.width"), Some(4));
        assert_eq!(line("model.depth"), Some(3));
        assert_eq!(line("sweep.budgets.1"), Some(9));
        assert_eq!(line("eval.tokens"), None);
        assert_eq!(locator.line_of(&Key::from("sweep.zip.0").child("a.b")), Some(12));
    }

    #[test]
    fn a_span_leads_back_to_its_key() {
        let locator = Locator::new(TEXT);
        let at = |piece: &str| {
            let start = TEXT.find(piece).unwrap();
            locator.key_at(&(start..start + piece.len())).to_string()
        };
        assert_eq!(at("width"), "model.width");
        assert_eq!(at("64"), "model.width");
        assert_eq!(at("2.0"), "sweep.budgets[1]");
        assert_eq!(at("\"a.b\""), "sweep.zip[0].\"a.b\"");
    }
}
