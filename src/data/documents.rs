//! From the bytes of a file of text to its documents.

use std::path::Path;

use super::{DataError, foreign};

/// The text as UTF-8 without the byte 0, which is what separates documents in the token files.
pub fn checked<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, DataError> {
    foreign::refuse(bytes, path)?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let what =
            format!("not UTF-8 at byte offset {offset}; convert it, for instance with `iconv -f LATIN1 -t UTF-8`");
        DataError::content(path, what)
    })?;
    match bytes.iter().position(|&byte| byte == 0) {
        Some(offset) => {
            let what = format!("a NUL character at byte offset {offset}; remove it, for instance with `tr -d '\\000'`");
            Err(DataError::content(path, what))
        }
        None => Ok(text),
    }
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
    fn bytes_that_are_no_text_are_named_by_their_offset() {
        let path = Path::new("x.txt");
        let error = checked(b"abc\xff", path).unwrap_err().to_string();
        assert!(error.contains("x.txt") && error.contains("byte offset 3") && error.contains("UTF-8"), "{error}");
        let error = checked(b"ab\0c", path).unwrap_err().to_string();
        assert!(error.contains("NUL") && error.contains("byte offset 2"), "{error}");
        let error = checked(b"\xfd7zXZ\0\xff", path).unwrap_err().to_string();
        assert!(error.contains("unxz") && !error.contains("iconv"), "{error}");
    }
}
