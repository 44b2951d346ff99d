//! From the bytes of a file of text to its documents.

use std::fmt;
use std::io::{BufRead, Read as _};
use std::path::Path;

use super::bad::NOT_UTF8;
use super::{DataError, foreign};
use crate::foreign::is_page;

/// The text as UTF-8 without the byte 0, which is what separates documents in the token files. A web page is a text `among` other
/// files; alone it stands in the place of one.
pub fn checked<'a>(bytes: &'a [u8], path: &Path, among: bool) -> Result<&'a str, DataError> {
    if foreign::may_be_tokens(bytes, path) {
        let what = "this is no text; if it holds token ids, write source = \"bin\", and data.vocab";
        return Err(DataError::content(path, what));
    }
    if !(among && is_page(bytes)) {
        foreign::refuse(bytes, path)?;
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        DataError::content(path, format!("not UTF-8 at byte offset {offset}; {NOT_UTF8}"))
    })?;
    match bytes.iter().position(|&byte| byte == 0) {
        Some(offset) => {
            let what = format!("a NUL character at byte offset {offset}; remove it, for instance with `tr -d '\\000'`");
            Err(DataError::content(path, what))
        }
        None => Ok(text),
    }
}

/// What separates the documents of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Separator {
    /// A line that is empty or has only white space.
    BlankLine,
    /// The end of a line: each is a document.
    Line,
    /// The end of a file: each is a document.
    File,
    /// Nothing: one text, whose end is held out.
    Nothing,
    /// This text.
    Text(String),
}

/// What many corpora write between two documents.
const MARK: &str = "<|endoftext|>";

/// The beginning of a text in which marks are looked for, in bytes.
const LOOK: usize = 4 << 20;

impl Separator {
    /// As `data.separator` names it.
    pub fn named(name: &str) -> Self {
        match name {
            "blank line" => Self::BlankLine,
            "line" => Self::Line,
            "file" => Self::File,
            "none" => Self::Nothing,
            text => Self::Text(text.to_owned()),
        }
    }

    /// The documents of a text, without the ends of lines around them; one of white space is none.
    pub fn cut<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let pieces: Vec<&str> = match self {
            Self::BlankLine => return between_blank_lines(text),
            Self::Line => text.lines().collect(),
            Self::File | Self::Nothing => vec![text],
            Self::Text(mark) => text.split(mark.as_str()).collect(),
        };
        let trimmed = pieces.into_iter().map(|piece| piece.trim_matches(['\n', '\r']));
        trimmed.filter(|piece| !piece.trim().is_empty()).collect()
    }
}

impl Separator {
    /// What stands for it in fingerprints: words that were once told to people, and stay whatever is told to them now.
    pub fn key(&self) -> String {
        match self {
            Self::BlankLine => "blank lines separate documents".to_owned(),
            Self::Line => "each line is a document".to_owned(),
            Self::File => "each file is a document".to_owned(),
            Self::Nothing => "one text, held out from its end".to_owned(),
            Self::Text(mark) => format!("{mark} separates documents"),
        }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlankLine => f.write_str("blank lines separate documents"),
            Self::Line => f.write_str("each line is a document"),
            Self::File => f.write_str("each file is a document"),
            Self::Nothing => f.write_str("one text, held out from its end"),
            // On one line, whatever the mark has.
            Self::Text(mark) => {
                write!(f, "{} separates documents", mark.replace('\r', "\\r").replace('\n', "\\n").replace('\t', "\\t"))
            }
        }
    }
}

/// What a text shows of what separates its documents.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Marks near its beginning on lines of their own.
    alone: usize,
    /// Marks between the end of one text and the beginning of another on the same line.
    glued: usize,
    /// Marks that stand as people write about them: between blanks, in quotes.
    mentioned: usize,
    /// Whether there is text.
    text: bool,
    /// Whether there is text on both sides of a blank line.
    blocks: bool,
}

impl Look {
    /// Looks at the beginning; to the end for a blank line, where this is the `only_file`. What cannot be read ends the look:
    /// it is told when all is read.
    pub fn at(mut text: impl BufRead, only_file: bool) -> Self {
        let (mut seen, mut look, mut line) = (0, Self::default(), Vec::new());
        // Whether there was a blank line behind text.
        let mut gap_seen = false;
        loop {
            line.clear();
            // A line that is longer counts as several, and never lies in memory as a whole.
            let count = text.by_ref().take(2 * LOOK as u64).read_until(b'\n', &mut line).unwrap_or_default();
            if count == 0 {
                return look;
            }
            let content = line.trim_ascii();
            look.blocks |= gap_seen && !content.is_empty();
            gap_seen |= look.text && content.is_empty();
            look.text |= !content.is_empty();
            if seen < LOOK {
                look.count(&content[..content.len().min(LOOK)]);
            }
            seen += count;
            if look.alone == 2 || seen >= LOOK && (look.blocks || !only_file) {
                return look;
            }
        }
    }

    /// Counts the marks in a line.
    fn count(&mut self, line: &[u8]) {
        let begin = MARK.as_bytes();
        if line == begin {
            self.alone += 1;
        } else if line.windows(begin.len()).any(|bytes| bytes == begin) {
            let line = String::from_utf8_lossy(line);
            for (at, _) in line.match_indices(MARK) {
                let before = line[..at].chars().next_back();
                let after = line[at + MARK.len()..].chars().next();
                let count = if is_between(before, after) { &mut self.glued } else { &mut self.mentioned };
                *count += 1;
            }
        }
    }

    /// Whether marks separate its documents: two on lines of their own, or more that separate than are written about.
    pub fn is_marked(&self) -> bool {
        self.alone >= 2 || self.has_a_mark() && self.alone + self.glued > self.mentioned.max(1)
    }

    /// Whether a mark separates something, as in the last of many files that are marked.
    pub fn has_a_mark(&self) -> bool {
        self.alone + self.glued > 0
    }

    /// Whether there is anything to see.
    pub fn has_text(&self) -> bool {
        self.text
    }

    /// What separates its documents: the mark where it is `marked`; nothing, where there is no blank line inside the
    /// `only_file`; otherwise blank lines.
    pub fn separator(&self, marked: bool, only_file: bool) -> Separator {
        match (marked, only_file && !self.blocks) {
            (true, _) => Separator::Text(MARK.to_owned()),
            (false, true) => Separator::Nothing,
            (false, false) => Separator::BlankLine,
        }
    }
}

/// Whether a mark between these characters stands between two texts: right behind or before one of them. Nothing is the end
/// of a line.
fn is_between(before: Option<char>, after: Option<char>) -> bool {
    let ends = |c: char| c.is_alphanumeric() || ".!?\u{2026}\u{3002}\u{ff01}\u{ff1f}".contains(c);
    let may_end = |c: char| ends(c) || c.is_whitespace() || "\"'\u{201d}\u{2019}\u{bb})]}".contains(c);
    let may_begin = |c: char| c.is_alphanumeric() || c.is_whitespace() || "\"'\u{201c}\u{2018}\u{ab}([{#*-".contains(c);
    let plainly = before.is_some_and(ends) || after.is_some_and(char::is_alphanumeric);
    plainly && before.is_none_or(may_end) && after.is_none_or(may_begin)
}

/// One text in two: all but its last share, and that; cut at the end of a line or word where there is one near.
pub fn cut_once(text: &str, share: f64) -> [&str; 2] {
    let at = text.floor_char_boundary((text.len() as f64 * (1.0 - share)) as usize);
    let near = &text[at..text.ceil_char_boundary((at + (1 << 16)).min(text.len()))];
    let end = near.find('\n').or_else(|| near.find(char::is_whitespace)).map_or(at, |found| at + found + 1);
    // White space of several bytes ends where its character does.
    let (first, last) = text.split_at(text.ceil_char_boundary(end));
    [first, last]
}

/// Documents: what stands between lines that are empty or have only white space, without the last line's end.
pub fn between_blank_lines(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if content.trim().is_empty() {
            documents.extend(open.take().map(|(start, end)| &text[start..end]));
        } else {
            open = Some((open.map_or(at, |(start, _)| start), at + content.len()));
        }
        at += line.len();
    }
    documents.extend(open.map(|(start, end)| &text[start..end]));
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stand_between_blank_lines() {
        assert_eq!(between_blank_lines("\n\na\nb\n\n \t\nc\r\n\r\nd"), ["a\nb", "c", "d"]);
        assert_eq!(between_blank_lines("one"), ["one"]);
        assert!(between_blank_lines(" \n\n").is_empty());
    }

    #[test]
    fn a_separator_cuts_where_it_stands_and_keeps_blank_lines_inside() {
        let text = "a\n\nb\n<|endoftext|>\nc\r\n<|endoftext|>\n\n<|endoftext|>\n";
        assert_eq!(Separator::named("<|endoftext|>").cut(text), ["a\n\nb", "c"]);
        assert_eq!(Separator::named("line").cut("a\n\nb\r\n"), ["a", "b"]);
        assert_eq!(Separator::named("file").cut("\na\n\nb\n"), ["a\n\nb"]);
        assert_eq!(Separator::named("blank line").cut(text), between_blank_lines(text));
    }

    fn recognised(text: &str, only_file: bool) -> Separator {
        let look = Look::at(text.as_bytes(), only_file);
        look.separator(look.is_marked(), only_file)
    }

    #[test]
    fn a_separator_is_recognised_only_where_it_is_plain() {
        let of = |text: &str| recognised(text, true);
        assert_eq!(of("a\n\nb\n<|endoftext|>\nc\n<|endoftext|>\n"), Separator::named(MARK));
        assert_eq!(of("a\n\nOnce <|endoftext|> in a line\n\nand once\n<|endoftext|>\nalone"), Separator::BlankLine);
        assert_eq!(of("a\n\nb"), Separator::BlankLine);
        assert_eq!(of("\n\nanarchism originated as a term\n\n"), Separator::Nothing);
        assert_eq!(recognised("one file of many", false), Separator::BlankLine);
        // One document that is longer than the look, and others behind it.
        let long = format!("{}\n\nanother\n", "line\n".repeat(LOOK / 5 + 10));
        assert_eq!(of(&long), Separator::BlankLine);
        assert_eq!(of(&long[..long.len() - 10]), Separator::Nothing);
    }

    #[test]
    fn marks_inside_of_lines_are_told_from_those_that_are_written_about() {
        for text in [
            "The end.<|endoftext|>Begin of the next.<|endoftext|>And of one more",
            "<|endoftext|>First\n\nwith a gap.\n<|endoftext|>Second\n\nwith one.\n",
            "first\n\nwith a gap<|endoftext|>\nsecond<|endoftext|>\n",
            "\u{201c}Yes!\u{201d}<|endoftext|>No.<|endoftext|>(Perhaps)\n\nand perhaps not",
            "\u{6771}\u{3002}<|endoftext|>\u{4eac}<|endoftext|>\u{6771}",
            "First. <|endoftext|>Second<|endoftext|> third, with \"<|endoftext|>\"",
            "one.<|endoftext|>Of \"<|endoftext|>\" it tells.\n\n<|endoftext|>Three\n\n",
        ] {
            assert_eq!(recognised(text, true), Separator::named(MARK), "{text}");
        }
        for text in [
            "GPT-2 has \"<|endoftext|>\" and '<|endoftext|>'\n\n`<|endoftext|>` (<|endoftext|>)",
            "| <|endoftext|> | 50256 |\n<|endoftext|> ends\n\nall: <|endoftext|>, <|endoftext|>.",
            "Once.<|endoftext|>Only\n\nonce",
            "eos=<|endoftext|>\n\n\u{201c}<|endoftext|>\u{201d}\n\n<|endoftext|>: a<|endoftext|>b",
        ] {
            assert_eq!(recognised(text, true), Separator::BlankLine, "{text}");
        }
    }

    #[test]
    fn one_text_is_cut_once_at_an_end_of_a_word_and_loses_nothing() {
        for text in
            ["one two three four five six", "ein\u{2003}zwei\u{2003}drei\u{2003}vier", "abcdefghij", "a\nb\nc\nd"]
        {
            let [first, last] = cut_once(text, 0.5);
            assert_eq!([first, last].concat(), text);
            assert!(!first.is_empty() && !last.is_empty(), "{first:?} {last:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_their_offset() {
        let path = Path::new("x.txt");
        let error = checked(b"abc\xff", path, false).unwrap_err().to_string();
        assert!(error.contains("x.txt") && error.contains("byte offset 3") && error.contains("UTF-8"), "{error}");
        let error = checked(b"ab\0c", path, false).unwrap_err().to_string();
        assert!(error.contains("NUL") && error.contains("byte offset 2"), "{error}");
        let error = checked(b"\xfd7zXZ\0\xff", path, true).unwrap_err().to_string();
        assert!(error.contains("unxz") && !error.contains("iconv"), "{error}");
    }
}
