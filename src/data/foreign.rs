//! What a file is by its first bytes, where it is not what a source of text reads, and what to do with it.

use std::path::Path;

use super::DataError;
use crate::foreign::{self, Foreign, is_plain_text};

/// What a file is, with what to do, where its first bytes tell. `bytes` is all of it.
pub fn name(bytes: &[u8]) -> Option<String> {
    marked(bytes).or_else(|| utf_16_without_a_mark(bytes).map(str::to_owned))
}

/// The same of a file that begins with a mark of its kind, and does not only look like one.
pub fn marked(bytes: &[u8]) -> Option<String> {
    foreign::named(bytes).map(|Foreign { name, corpus, .. }| format!("this is {name}; {corpus}"))
}

/// The same by a mark that ids of 16 bits hardly begin with.
pub fn marked_at_length(bytes: &[u8]) -> Option<String> {
    foreign::named(bytes).filter(|kind| kind.mark() > 2).and_then(|_| marked(bytes))
}

fn utf_16_without_a_mark(bytes: &[u8]) -> Option<&'static str> {
    // UTF-16 without a mark: every other byte of plain letters is zero.
    let (even, odd) = (zeros(bytes, 0), zeros(bytes, 1));
    let enough = bytes.len() >= 16;
    match (enough && even > 0.4, enough && odd > 0.4) {
        (true, false) if letters(bytes, 1) => Some(UTF_16.0),
        (false, true) if letters(bytes, 0) => Some(UTF_16.1),
        _ => None,
    }
}

const UTF_16: (&str, &str) = (
    "this is UTF-16 without a mark; convert it with `iconv -f UTF-16BE -t UTF-8`",
    "this is UTF-16 without a mark; convert it with `iconv -f UTF-16LE -t UTF-8`",
);

/// Bytes that are looked at to see what they are.
const LOOK: usize = 4096;

/// Every other byte from `first` on.
fn alternate(bytes: &[u8], first: usize) -> impl Iterator<Item = u8> {
    bytes[..bytes.len().min(LOOK)].iter().skip(first).step_by(2).copied()
}

/// Share of zeros among every other byte.
fn zeros(bytes: &[u8], first: usize) -> f64 {
    let (zeros, all) =
        alternate(bytes, first).fold((0_u32, 0_u32), |(n, all), byte| (n + u32::from(byte == 0), all + 1));
    f64::from(zeros) / f64::from(all.max(1))
}

/// Whether every other byte is mostly printable: text, and no token ids.
fn letters(bytes: &[u8], first: usize) -> bool {
    let printable = |byte: u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let (n, all) = alternate(bytes, first).fold((0, 0), |(n, all), byte| (n + u32::from(printable(byte)), all + 1));
    all > 0 && f64::from(n) > 0.95 * f64::from(all)
}

/// Refuses a file that its first bytes show to be something else than what is to be read.
pub fn refuse(bytes: &[u8], path: &Path) -> Result<(), DataError> {
    name(bytes).map_or(Ok(()), |what| Err(DataError::content(path, what)))
}

/// Whether a file that is to be read as text has the name of a token file, and does not begin as text does.
pub fn may_be_tokens(bytes: &[u8], path: &Path) -> bool {
    let named = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("bin"));
    named && foreign::named(bytes).is_none() && !bytes.is_empty() && !is_plain_text(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_people_give_by_mistake_are_named() {
        let utf_16 =
            |order: fn(u16) -> [u8; 2]| "plain words, one after another".encode_utf16().flat_map(order).collect();
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(Vec<u8>, &str); 9] = [
            (b"\x04\x22\x4d\x18....".to_vec(), "lz4"),
            (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "git lfs pull"),
            (b"\n<!DOCTYPE html><html>404".to_vec(), "web"),
            (b"\xff\xfeh\0i\0".to_vec(), "source = \"text\""),
            (utf_16(u16::to_le_bytes), "UTF-16LE"),
            (utf_16(u16::to_be_bytes), "UTF-16BE"),
            (tar, "tar"),
            (b"PK\x03\x04".to_vec(), "zip"),
            (b"\x93NUMPY\x01\0".to_vec(), "source = \"bin\""),
        ];
        for (bytes, expected) in cases {
            let said = name(&bytes).unwrap_or_default();
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn text_and_tokens_are_not_taken_for_something_else() {
        let ids: Vec<u8> = (0..2000_u16).flat_map(|i| (i * 31 % 1000).to_le_bytes()).collect();
        let small: Vec<u8> = (0..2000_u16).flat_map(|i| (i * 31 % 200).to_le_bytes()).collect();
        let plain = b"Some text, as people write it.\n".to_vec();
        for bytes in [ids, small, plain, Vec::new(), b"x".to_vec()] {
            assert_eq!(name(&bytes), None);
        }
    }
}
