//! What a file is by its first bytes, where somebody gives it by mistake: its name, and what to do. One table for corpora and
//! for tables of runs.

/// A kind of file that is given by mistake.
pub struct Foreign {
    /// How it begins.
    begins: &'static [u8],
    /// What it is, as after "this is".
    pub name: &'static str,
    /// What to do where it was given as a corpus.
    pub corpus: &'static str,
    /// What to do where it was given as a table of runs; nothing for what a table may be.
    pub table: &'static str,
}

impl Foreign {
    /// Bytes of its mark.
    pub fn mark(&self) -> usize {
        self.begins.len()
    }
}

const fn kind(begins: &'static [u8], name: &'static str, corpus: &'static str, table: &'static str) -> Foreign {
    Foreign { begins, name, corpus, table }
}

/// A kind with which everybody does the same.
const fn alike(begins: &'static [u8], name: &'static str, remedy: &'static str) -> Foreign {
    kind(begins, name, remedy, remedy)
}

const PARQUET: &str = "save it as Parquet, and write source = \"parquet\"";
const NPY: &str = "save the tokens as .npy";
const CSV: &str = "save the table as CSV or Parquet";
const WIDE: &str = "write source = \"text\" or \"jsonl\", which read it";

/// Longer beginnings before shorter ones that they begin with.
static FOREIGN: [Foreign; 34] = [
    kind(b"PAR1", "Parquet", "write source = \"parquet\", and data.column", ""),
    kind(
        b"\x93NUMPY",
        "a NumPy array",
        "write source = \"bin\", which reads arrays of token ids",
        "save it as CSV with the names of its columns in the first line",
    ),
    kind(b"MMIDIDX\0\0", "the index of a Megatron dataset", "give the .bin beside it, with source = \"bin\"", CSV),
    kind(b"LITPKDS", "a packed dataset of LitGPT", "save its tokens as a .bin or .npy of integers", CSV),
    kind(b"\x1f\x8b\x08", "compressed by gzip", "unpack it with `gunzip`", ""),
    kind(b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "unpack it with `unzstd`", ""),
    kind(b"\x50\x2a\x4d\x18", "compressed by pzstd", "unpack it with `unzstd`", ""),
    alike(b"\x04\x22\x4d\x18", "compressed by lz4", "unpack it with `unlz4`, or compress it by gzip or Zstandard"),
    alike(b"BZh", "compressed by bzip2", "unpack it with `bunzip2`, or compress it by gzip or Zstandard"),
    alike(b"\xfd7zXZ", "compressed by xz", "unpack it with `unxz`, or compress it by gzip or Zstandard"),
    alike(b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it and give the files in it"),
    kind(
        b"PK\x03\x04",
        "a zip archive, as workbooks, .npz and .pt files are",
        "unpack it, or save the array as .npy",
        "save its sheet as CSV, if it is a workbook",
    ),
    alike(b"PK\x05\x06", "an empty zip archive", "get the file again"),
    // What protocols 2 and 3 begin with: a long integer (PyTorch), a dictionary, a list, a name.
    kind(b"\x80\x02\x8a", "a pickle of PyTorch", NPY, CSV),
    kind(b"\x80\x02}q", "a pickle of Python", NPY, CSV),
    kind(b"\x80\x02]q", "a pickle of Python", NPY, CSV),
    kind(b"\x80\x02c", "a pickle of Python", NPY, CSV),
    kind(b"\x80\x03}q", "a pickle of Python", NPY, CSV),
    kind(b"\x80\x03]q", "a pickle of Python", NPY, CSV),
    kind(b"\x80\x03c", "a pickle of Python", NPY, CSV),
    kind(b"\x80\x04\x95", "a pickle of Python", NPY, CSV),
    kind(b"\x80\x05\x95", "a pickle of Python", NPY, CSV),
    kind(b"ARROW1", "an Arrow file (Feather)", PARQUET, "save it as Parquet"),
    kind(
        b"\xff\xff\xff\xff",
        "an Arrow stream, as datasets of Hugging Face are kept",
        "save it with `to_parquet`",
        "save it as Parquet",
    ),
    kind(b"ORC", "an ORC file", PARQUET, "save it as Parquet"),
    kind(b"\x89HDF", "an HDF5 file", "save its tokens as .npy, or its text as JSON Lines", CSV),
    kind(b"SQLite format 3", "an SQLite database", "write its texts out as JSON Lines", "write the table out as CSV"),
    kind(b"%PDF", "a PDF", "take the text out of it, for instance with `pdftotext`", "copy its table into a CSV"),
    kind(b"\xd0\xcf\x11\xe0", "a document of an old Office", "save its text as plain text", "save its sheet as CSV"),
    alike(
        b"version https://git-lfs",
        "a Git LFS pointer instead of the file",
        "get the file itself with `git lfs pull`",
    ),
    alike(b"\xff\xfe\0\0", "UTF-32", "convert it with `iconv -f UTF-32 -t UTF-8`"),
    alike(b"\0\0\xfe\xff", "UTF-32", "convert it with `iconv -f UTF-32 -t UTF-8`"),
    kind(b"\xff\xfe", "text in UTF-16", WIDE, ""),
    kind(b"\xfe\xff", "text in UTF-16", WIDE, ""),
];

/// A web page of at most so many bytes stands instead of a file; a longer one may be somebody's text.
const LONGEST_PAGE: usize = 1 << 20;

static PAGE: Foreign = alike(
    b"<html",
    "a web page instead of the file",
    "open it in a browser to see what the server said, and get the file again",
);

/// Where a tar archive says that it is one.
static TAR: (usize, Foreign) = (257, alike(b"ustar", "a tar archive", "unpack it and give the files in it"));

/// What a file is, where its first bytes tell. `bytes` is all of it.
pub fn named(bytes: &[u8]) -> Option<&'static Foreign> {
    let begins = |kind: &&Foreign| bytes.starts_with(kind.begins) && (kind.begins.len() > 3 || !is_plain_text(bytes));
    let tar = bytes.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1.begins));
    let opening: Vec<u8> = bytes.trim_ascii_start().iter().take(15).map(u8::to_ascii_lowercase).collect();
    let page = opening.starts_with(b"<!doctype html") || opening.starts_with(PAGE.begins);
    let page = page && bytes.len() <= LONGEST_PAGE;
    FOREIGN.iter().find(begins).or(tar.then_some(&TAR.1)).or(page.then_some(&PAGE))
}

/// Whether a file is a web page, which among others of a text is one of them.
pub fn is_page(bytes: &[u8]) -> bool {
    named(bytes).is_some_and(|kind| kind.name == PAGE.name)
}

/// Bytes that are looked at to see whether a file is plain text.
const LOOK: usize = 4096;

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
    fn plain_text_is_told_from_tokens() {
        assert!(is_plain_text("Straße und naïve Wörter.\n".as_bytes()));
        assert!(is_plain_text("é".repeat(LOOK).as_bytes()));
        assert!(!is_plain_text(&(0..200_u16).flat_map(u16::to_le_bytes).collect::<Vec<_>>()));
        assert!(!is_plain_text(b""));
    }

    #[test]
    fn a_text_may_begin_as_a_short_mark_does() {
        for text in ["ORCs and elves", "BZh is no word"] {
            assert!(named(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(named(b"ORC\x08\x01\x10\xff\xff").unwrap().name, "an ORC file");
        assert!(named(&[b"<html>".to_vec(), vec![b'x'; LONGEST_PAGE]].concat()).is_none());
    }

    #[test]
    fn longer_marks_come_before_shorter_ones_that_they_begin_with() {
        for (at, kind) in FOREIGN.iter().enumerate() {
            let first = FOREIGN.iter().position(|other| kind.begins.starts_with(other.begins));
            assert_eq!(first, Some(at), "{}", kind.name);
        }
    }
}
