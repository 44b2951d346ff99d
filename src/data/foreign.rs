//! What a file is by its first bytes, where it is not what a source reads: its name, and what to do with it. One table for
//! every source.

use std::path::Path;

use super::DataError;

/// A kind of file that is given by mistake.
struct Kind {
    /// How it begins.
    begins: &'static [u8],
    /// What it is, as after "this is".
    name: &'static str,
    /// What to do.
    remedy: &'static str,
}

const fn kind(begins: &'static [u8], name: &'static str, remedy: &'static str) -> Kind {
    Kind { begins, name, remedy }
}

/// Longer beginnings before shorter ones that they begin with.
const KINDS: [Kind; 27] = [
    kind(b"PAR1", "Parquet", "write source = \"parquet\", and data.column"),
    kind(b"\x93NUMPY", "a NumPy array", "write source = \"bin\", which reads arrays of token ids"),
    kind(b"MMIDIDX\0\0", "the index of a Megatron dataset", "give the .bin beside it, with source = \"bin\""),
    kind(b"LITPKDS", "a packed dataset of LitGPT", "save its tokens as a .bin or .npy of integers"),
    kind(b"\x1f\x8b", "compressed by gzip", "unpack it with `gunzip`"),
    kind(b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "unpack it with `unzstd`"),
    kind(b"\x04\x22\x4d\x18", "compressed by lz4", "unpack it with `unlz4`, or compress it by gzip or Zstandard"),
    kind(b"BZh", "compressed by bzip2", "unpack it with `bunzip2`, or compress it by gzip or Zstandard"),
    kind(b"\xfd7zXZ", "compressed by xz", "unpack it with `unxz`, or compress it by gzip or Zstandard"),
    kind(b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it and give the files in it"),
    kind(
        b"PK\x03\x04",
        "a zip archive, or a .npz or .pt file, which are zip archives",
        "unpack it, or save the array as .npy",
    ),
    kind(b"PK\x05\x06", "an empty zip archive", "get the file again"),
    kind(b"\x80\x02", "a pickle of Python or PyTorch", "save the tokens as .npy"),
    kind(b"\x80\x03", "a pickle of Python", "save the tokens as .npy"),
    kind(b"\x80\x04\x95", "a pickle of Python", "save the tokens as .npy"),
    kind(b"\x80\x05\x95", "a pickle of Python", "save the tokens as .npy"),
    kind(b"ARROW1", "an Arrow file (Feather)", "save it as Parquet, and write source = \"parquet\""),
    kind(b"\xff\xff\xff\xff", "an Arrow stream, as datasets of Hugging Face are kept", "save it with `to_parquet`"),
    kind(b"ORC", "an ORC file", "save it as Parquet, and write source = \"parquet\""),
    kind(b"\x89HDF", "an HDF5 file", "save its tokens as .npy, or its text as JSON Lines"),
    kind(b"SQLite format 3", "an SQLite database", "write its texts out as JSON Lines"),
    kind(b"%PDF", "a PDF", "take the text out of it, for instance with `pdftotext`"),
    kind(
        b"version https://git-lfs",
        "a Git LFS pointer instead of the file",
        "get the file itself with `git lfs pull`",
    ),
    kind(b"\xff\xfe\0\0", "UTF-32", "convert it with `iconv -f UTF-32 -t UTF-8`"),
    kind(b"\0\0\xfe\xff", "UTF-32", "convert it with `iconv -f UTF-32 -t UTF-8`"),
    kind(b"\xff\xfe", "text in UTF-16", "write source = \"text\" or \"jsonl\", which read it"),
    kind(b"\xfe\xff", "text in UTF-16", "write source = \"text\" or \"jsonl\", which read it"),
];

/// A web page of at most so many bytes stands instead of a file; a longer one may be somebody's text.
const LONGEST_PAGE: usize = 1 << 20;

/// Where a tar archive says that it is one.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// What a file is, with what to do, where its first bytes tell. `bytes` is all of it.
pub fn name(bytes: &[u8]) -> Option<String> {
    if let Some(Kind { name, remedy, .. }) = KINDS.iter().find(|kind| bytes.starts_with(kind.begins)) {
        return Some(format!("this is {name}; {remedy}"));
    }
    if bytes.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return Some("this is a tar archive; unpack it and give the files in it".to_owned());
    }
    let opening: Vec<u8> = bytes.trim_ascii_start().iter().take(15).map(u8::to_ascii_lowercase).collect();
    if bytes.len() <= LONGEST_PAGE && (opening.starts_with(b"<!doctype html") || opening.starts_with(b"<html")) {
        let what = "this is a web page instead of the file; open it in a browser to see what the server said, and \
                    get the file again";
        return Some(what.to_owned());
    }
    // UTF-16 without a mark: every other byte of plain letters is zero.
    let (even, odd) = (zeros(bytes, 0), zeros(bytes, 1));
    let enough = bytes.len() >= 16;
    match (enough && even > 0.4, enough && odd > 0.4) {
        (true, false) if letters(bytes, 1) => Some(UTF_16.0.to_owned()),
        (false, true) if letters(bytes, 0) => Some(UTF_16.1.to_owned()),
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
    let known = KINDS.iter().any(|kind| bytes.starts_with(kind.begins));
    named && !known && !bytes.is_empty() && !is_plain_text(bytes)
}

/// Whether a file begins as plain text does.
pub fn is_plain_text(bytes: &[u8]) -> bool {
    let look = &bytes[..bytes.len().min(LOOK)];
    let whole = match std::str::from_utf8(look) {
        Ok(text) => text,
        // The look may end inside of a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&look[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return false,
    };
    whole.len() >= 8 && whole.chars().all(|c| !c.is_control() || c.is_whitespace())
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
        let page = [b"<html>".to_vec(), vec![b'x'; LONGEST_PAGE]].concat();
        let plain = b"Some text, as people write it.\n".to_vec();
        for bytes in [ids, small, page, plain, Vec::new(), b"x".to_vec()] {
            assert_eq!(name(&bytes), None);
        }
    }

    #[test]
    fn plain_text_is_told_from_tokens() {
        assert!(is_plain_text("Straße und naïve Wörter.\n".as_bytes()));
        assert!(is_plain_text("é".repeat(LOOK).as_bytes()));
        assert!(!is_plain_text(&(0..200_u16).flat_map(u16::to_le_bytes).collect::<Vec<_>>()));
        assert!(!is_plain_text(b""));
    }
}
