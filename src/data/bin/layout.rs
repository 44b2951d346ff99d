//! How ids lie in a token file: whole numbers of 8 to 64 bits, behind a header or none.
//!
//! What a file says of itself holds: llm.c's headers, NumPy's, or the index of Megatron beside it. A file without a header is
//! read as `data.dtype` says, and otherwise as the widest numbers that are all below the vocabulary: two ids of 16 bits read
//! as one of 32 are below it only where every second id is (nearly) zero, which no corpus is. For the same reason a file is
//! refused that would have such ids if it were read as narrow ones: it was cut short, or is not what `[data]` says.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use crate::data::{DataError, cache, foreign};
use crate::foreign::is_plain_text;
use crate::spec::TokenType;

/// llm.c's headers: 256 integers of 32 bits, the first of which is the magic, the second its version, the third the number
/// of tokens.
const LLM_C_BYTES: usize = 256 * 4;
const LLM_C: [(u32, u32, TokenType); 2] = [(20_240_520, 1, TokenType::Uint16), (20_240_801, 7, TokenType::Uint32)];

/// Ids that decide how wide ids are, spread over the file.
const LOOKS: usize = 1 << 14;

/// Where the ids of a file lie, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the first id.
    pub header: usize,
    /// Numbers.
    pub dtype: TokenType,
    /// Who says so.
    pub by: By,
}

/// Where the layout of a file is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A header of llm.c.
    LlmC,
    /// A header of NumPy.
    NumPy,
    /// The index of Megatron beside it.
    Megatron,
    /// `data.dtype`.
    Spec,
    /// The ids themselves.
    Ids,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LlmC => "llm.c's header says so",
            Self::NumPy => "NumPy's header says so",
            Self::Megatron => "Megatron's index says so",
            Self::Spec => "data.dtype says so",
            Self::Ids => "recognised by its ids; data.dtype decides otherwise",
        })
    }
}

impl Layout {
    /// The layout of the file at `path`, all of whose bytes are given.
    pub fn of(bytes: &[u8], path: &Path, dtype: Option<TokenType>, vocab: u64) -> Result<Self, DataError> {
        let wrong = |what: String| DataError::content(path, what);
        if bytes.is_empty() {
            return Err(wrong("is empty; give a file with tokens in it".to_owned()));
        }
        let stated = match llm_c(bytes).or_else(|| numpy(bytes)) {
            Some(layout) => Some(layout.map_err(&wrong)?),
            None => megatron(bytes, path)?,
        };
        let layout = match (stated, dtype) {
            (Some(layout), Some(dtype)) if layout.dtype != dtype => {
                let (is, by) = (layout.dtype, layout.by);
                return Err(wrong(format!("holds {is} ({by}), and data.dtype says {dtype}; delete data.dtype")));
            }
            (Some(layout), _) => layout,
            (None, Some(dtype)) => {
                // Ids of bytes look like text, and any id may begin a file: what is written counts for more than looks, not for
                // more than a mark that no id is.
                foreign::marked_at_length(bytes).map_or(Ok(()), |what| Err(wrong(what)))?;
                Self { header: 0, dtype, by: By::Spec }
            }
            (None, None) => {
                foreign::marked(bytes).map_or(Ok(()), |what| Err(wrong(what)))?;
                let text = || "this is text and holds no token ids; write source = \"text\"".to_owned();
                if let Some(looks) = foreign::name(bytes).or_else(|| is_plain_text(bytes).then(text)) {
                    return Err(wrong(looks + OR_IDS));
                }
                Self { header: 0, dtype: recognised(bytes, vocab).map_err(&wrong)?, by: By::Ids }
            }
        };
        let (length, size) = (bytes.len() - layout.header, layout.dtype.bytes());
        if length % size != 0 {
            let length = bytes.len();
            return Err(wrong(format!(
                "its {length} bytes are not a whole number of ids of {size} bytes; it was cut short, or is not a token file"
            )));
        }
        Ok(layout)
    }
}

/// What to do where a file only looks like something else.
const OR_IDS: &str = "; if these are token ids, write data.dtype, such as \"uint16\"";

/// What decides where ids do not.
const OTHERWISE: &str = "; data.dtype decides otherwise";

/// Share of zeros at every second place of narrow ids above which they are the upper halves of wider ones.
const HALVES: f64 = 0.99;

/// The widest of 64, 32 and 16 bits of which all looked at are below the vocabulary; 16 where none is. An error where wider
/// ids would be read as twice as many, every second of which is zero: because the file was cut short, has its bytes the other
/// way round, or has ids above the vocabulary.
fn recognised(bytes: &[u8], vocab: u64) -> Result<TokenType, String> {
    let below = |dtype: TokenType, read: Read| {
        let ids = looked_at(bytes, dtype, read);
        // Nothing but zeros looks alike at any width.
        ids.iter().all(|id| (0..i128::from(vocab)).contains(id)) && ids.iter().any(|id| *id > 0)
    };
    let wider = [TokenType::Uint64, TokenType::Uint32];
    if let Some(dtype) = wider.into_iter().find(|dtype| below(*dtype, TokenType::read)) {
        let (length, size) = (bytes.len(), dtype.bytes());
        return match length % size {
            0 => Ok(dtype),
            over => Err(format!(
                "it was cut short: as {dtype} all ids are below the vocabulary of {vocab}, and {over} of its {length} bytes are \
                 left over; get it again{OTHERWISE}"
            )),
        };
    }
    let narrow = (!below(TokenType::Uint16, TokenType::read)).then_some(TokenType::Uint16);
    if let Some(dtype) = wider.into_iter().chain(narrow).find(|dtype| below(*dtype, big_endian)) {
        let code = dtype.numpy();
        return Err(format!(
            "its bytes are the other way round: as big-endian {dtype} all ids are below the vocabulary of {vocab}; save them \
             with .astype(\"<{code}\"){OTHERWISE}"
        ));
    }
    for dtype in wider {
        let half = 1_i128 << (4 * dtype.bytes());
        let ids = looked_at(bytes, dtype, TokenType::read);
        let share =
            |is: &dyn Fn(i128) -> bool| ids.iter().filter(|id| is(**id)).count() as f64 / ids.len().max(1) as f64;
        if share(&|id| id < half) > HALVES && share(&|id| id % half != 0) > 0.5 {
            let outside = ids.iter().copied().max().unwrap_or_default();
            return Err(format!(
                "as {dtype} some of its ids are above the vocabulary of {vocab}, such as {outside}, and as narrower numbers \
                 every second one is zero; correct data.vocab{OTHERWISE}"
            ));
        }
    }
    Ok(TokenType::Uint16)
}

/// How the number at the beginning of some bytes is read.
type Read = fn(TokenType, &[u8]) -> i128;

/// Ids spread over the file, without what is left over behind the last.
fn looked_at(bytes: &[u8], dtype: TokenType, read: Read) -> Vec<i128> {
    let (size, count) = (dtype.bytes(), bytes.len() / dtype.bytes());
    // An odd step meets every place of sequences whose length is a power of two, and not their beginnings alone.
    let step = count.div_ceil(LOOKS) | 1;
    (0..count).step_by(step).map(|at| read(dtype, &bytes[at * size..])).collect()
}

/// The number at the beginning of `bytes` with the most significant byte first.
fn big_endian(dtype: TokenType, bytes: &[u8]) -> i128 {
    let reversed: Vec<u8> = bytes[..dtype.bytes()].iter().rev().copied().collect();
    dtype.read(&reversed)
}

/// A header of llm.c, or what is wrong with it.
fn llm_c(bytes: &[u8]) -> Option<Result<Layout, String>> {
    let integer = |index: usize| bytes.as_chunks().0.get(index).copied().map(u32::from_le_bytes);
    let (_, expected, dtype) = LLM_C.into_iter().find(|(magic, ..)| integer(0) == Some(*magic))?;
    let size = dtype.bytes();
    if integer(1) != Some(expected) {
        let version = integer(1).map_or("no number".to_owned(), |n| n.to_string());
        return Some(Err(format!("llm.c's layout of version {version}; only version {expected}, {dtype}, is read")));
    }
    let there = bytes.len().checked_sub(LLM_C_BYTES).filter(|length| length % size == 0).map(|length| length / size);
    if there.is_none() || integer(2).map(|n| n as usize) != there {
        let stated = integer(2).map_or("no number of".to_owned(), |n| n.to_string());
        let follow = bytes.len().saturating_sub(LLM_C_BYTES);
        return Some(Err(format!(
            "its header states {stated} tokens of {size} bytes, and {follow} bytes follow; it was cut short, get it again"
        )));
    }
    Some(Ok(Layout { header: LLM_C_BYTES, dtype, by: By::LlmC }))
}

/// A header of NumPy (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>), or what is wrong with it.
fn numpy(bytes: &[u8]) -> Option<Result<Layout, String>> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    Some(numpy_header(rest).ok_or_else(|| "a NumPy array whose header is damaged; save it again".to_owned()).and_then(
        |(header, text)| {
            let descr = text.split("'descr':").nth(1).and_then(|rest| rest.split('\'').nth(1));
            let code = descr.unwrap_or("a structure");
            let kind = code.trim_start_matches(['<', '|', '=']);
            let dtype = TokenType::ALL.into_iter().find(|dtype| dtype.numpy() == kind).ok_or_else(|| {
                format!(
                    "a NumPy array of {code}, which are not token ids; save it with .astype(\"uint16\") or \"uint32\""
                )
            })?;
            if text.contains("'fortran_order': True") {
                return Err("a NumPy array by columns; save it with numpy.ascontiguousarray".to_owned());
            }
            numpy_shape(&text, bytes.len().saturating_sub(header), dtype)?;
            Ok(Layout { header, dtype, by: By::NumPy })
        },
    ))
}

/// Compares the shape that a header of NumPy states with the bytes that follow.
fn numpy_shape(text: &str, follow: usize, dtype: TokenType) -> Result<(), String> {
    let size = dtype.bytes();
    let shape = text.split("'shape':").nth(1).and_then(|rest| rest.trim_start().strip_prefix('(')?.split(')').next());
    let numbers = shape.map(|shape| shape.split(',').map(str::trim).filter(|number| !number.is_empty()));
    let stated = numbers
        .and_then(|mut numbers| numbers.try_fold(1_usize, |product, number| product.checked_mul(number.parse().ok()?)));
    let Some(stated) = stated else { return Err("a NumPy array whose header is damaged; save it again".to_owned()) };
    let why = match stated.saturating_mul(size).cmp(&follow) {
        Ordering::Equal => return Ok(()),
        Ordering::Greater => "it was cut short, get it again",
        Ordering::Less => "it is damaged, save it again",
    };
    Err(format!("its header states {stated} tokens of {size} bytes, and {follow} bytes follow; {why}"))
}

/// Length of the header of NumPy up to the first number, and its text.
fn numpy_header(rest: &[u8]) -> Option<(usize, String)> {
    let (major, text) = (*rest.first()?, rest.get(2..)?);
    let (length, begins) = match major {
        1 => (usize::from(u16::from_le_bytes(text.first_chunk().copied()?)), 10),
        2 | 3 => (u32::from_le_bytes(text.first_chunk().copied()?) as usize, 12),
        _ => return None,
    };
    let text = rest.get(begins - 6..begins - 6 + length)?;
    Some((begins + length, String::from_utf8_lossy(text).into_owned()))
}

/// How the index of a Megatron dataset begins, followed by its version and the code of the numbers.
const MEGATRON: &[u8] = b"MMIDIDX\0\0";

/// What the index beside a file of Megatron says of its numbers; nothing where there is none.
fn megatron(bytes: &[u8], path: &Path) -> Result<Option<Layout>, DataError> {
    let index = path.with_extension("idx");
    if path.extension().is_none_or(|extension| extension != "bin") || !index.is_file() {
        return Ok(None);
    }
    let about = cache::map(&index)?;
    let Some(rest) = about.strip_prefix(MEGATRON) else { return Ok(None) };
    let damaged = |what: &str| DataError::content(&index, format!("{what}; get both files again"));
    let number = |at: usize| rest.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes);
    let (Some(1), Some(code), Some(sequences)) = (number(0), rest.get(8), number(9)) else {
        return Err(damaged("an index of Megatron of another version than 1, or cut short"));
    };
    // The order of Megatron-LM's `DType`.
    let dtype = match code {
        1 => TokenType::Uint8,
        3 => TokenType::Int16,
        4 => TokenType::Int32,
        5 => TokenType::Int64,
        8 => TokenType::Uint16,
        _ => return Err(damaged(&format!("numbers of Megatron's kind {code} are not token ids"))),
    };
    // Behind the two counts, the length of each sequence.
    let lengths = usize::try_from(sequences).ok().and_then(|n| rest.get(25..)?.get(..n.checked_mul(4)?));
    let Some(lengths) = lengths else { return Err(damaged("an index of Megatron that was cut short")) };
    let tokens: u64 = lengths.as_chunks().0.iter().map(|four| u64::from(u32::from_le_bytes(*four))).sum();
    if tokens.saturating_mul(dtype.bytes() as u64) != bytes.len() as u64 {
        let (length, size) = (bytes.len(), dtype.bytes());
        let what =
            format!("its index states {tokens} tokens of {size} bytes, and it has {length} bytes; get both again");
        return Err(DataError::content(path, what));
    }
    Ok(Some(Layout { header: 0, dtype, by: By::Megatron }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(ids: impl Iterator<Item = u64>, size: usize) -> Vec<u8> {
        ids.flat_map(|id| id.to_le_bytes()[..size].to_vec()).collect()
    }

    #[test]
    fn the_width_of_ids_is_recognised() {
        let ids = |largest: u64| (0..5000_u64).map(move |i| i * 7919 % largest);
        let is = |content: &[u8], vocab| recognised(content, vocab).unwrap();
        for vocab in [300, 1000, 50_257, 65_536] {
            assert_eq!(is(&bytes(ids(vocab), 2), vocab), TokenType::Uint16, "{vocab}");
            assert_eq!(is(&bytes(ids(vocab), 4), vocab), TokenType::Uint32, "{vocab}");
            assert_eq!(is(&bytes(ids(vocab), 8), vocab), TokenType::Uint64, "{vocab}");
        }
        assert_eq!(is(&bytes(ids(128_000), 4), 128_256), TokenType::Uint32);
        // Many zeros, but not every second one.
        let padded = (0..5000_u64).map(|i| if i % 100 < 90 { 0 } else { i });
        assert_eq!(is(&bytes(padded, 2), 5000), TokenType::Uint16);
        assert_eq!(is(&[0; 4000], 1000), TokenType::Uint16);
    }

    #[test]
    fn a_file_that_was_cut_short_is_not_read_at_half_its_width() {
        let ids = || (0..5000_u64).map(|i| i * 7919 % 300);
        for (size, name) in [(4, "uint32"), (8, "uint64")] {
            for cut in 1..size {
                let content = bytes(ids(), size);
                let error = recognised(&content[..content.len() - cut], 300).unwrap_err();
                let (over, length) = (size - cut, 5000 * size - cut);
                let expected = format!(
                    "as {name} all ids are below the vocabulary of 300, and {over} of its {length} bytes are left"
                );
                assert!(error.contains(&expected) && error.contains("data.dtype"), "{cut}: {error}");
            }
        }
        // Of narrow ids there may be any number.
        assert_eq!(recognised(&bytes(ids(), 2)[..9998], 300), Ok(TokenType::Uint16));
    }

    #[test]
    fn bytes_the_other_way_round_are_told() {
        let cases = [(2, "uint16", 300), (4, "uint32", 300), (4, "uint32", 65_536), (8, "uint64", 65_536)];
        for (size, name, vocab) in cases {
            let ids = (0..5000_u64).map(|i| i * 7919 % vocab);
            let content: Vec<u8> = ids.flat_map(|id| id.to_be_bytes()[8 - size..].to_vec()).collect();
            let error = recognised(&content, vocab).unwrap_err();
            let expected = format!("as big-endian {name} all ids are below the vocabulary of {vocab}");
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn wide_ids_above_the_vocabulary_are_not_read_as_narrow_ones() {
        // One is 100,000 and all others are below 300: read as 16 bits all would be below 65,536.
        let ids = || (0..4000_u64).map(|i| if i == 2000 { 100_000 } else { i * 7919 % 300 });
        for (size, name) in [(4, "uint32"), (8, "uint64")] {
            let error = recognised(&bytes(ids(), size), 65_536).unwrap_err();
            assert!(error.contains(&format!("as {name} some of its ids")), "{error}");
            assert!(error.contains("such as 100000"), "{error}");
        }
    }

    #[test]
    fn an_array_has_as_many_numbers_as_its_header_states() {
        let array = |shape: &str, numbers: usize| {
            let text = format!("{{'descr': '<u2', 'fortran_order': False, 'shape': ({shape}), }}\n");
            let head = [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
            let layout = Layout::of(&[head, vec![7; 2 * numbers]].concat(), Path::new("t.npy"), None, 5000);
            layout.map_err(|error| error.to_string())
        };
        assert!(array("12,", 12).is_ok() && array("3, 4", 12).is_ok() && array("", 1).is_ok());
        let short = array("12,", 11).unwrap_err();
        assert!(short.contains("states 12 tokens of 2 bytes, and 22 bytes follow; it was cut short"), "{short}");
        let long = array("3, 4", 13).unwrap_err();
        assert!(long.contains("states 12 tokens of 2 bytes, and 26 bytes follow; it is damaged"), "{long}");
        for damaged in ["x,", "99999999999, 99999999999"] {
            assert!(array(damaged, 1).unwrap_err().contains("header is damaged"));
        }
    }

    #[test]
    fn ids_that_look_like_text_are_ids_where_the_spec_says_so() {
        let text = b"Plain words of English, in ids of bytes. ".repeat(20);
        let wide: Vec<u8> = text.iter().flat_map(|byte| [*byte, 0]).collect();
        let of = |bytes: &[u8], dtype| {
            let layout = Layout::of(bytes, Path::new("t.bin"), dtype, 256);
            layout.map(|layout| (layout.dtype, layout.by)).map_err(|error| error.to_string())
        };
        for (content, dtype, looks) in
            [(&wide, TokenType::Uint16, "UTF-16"), (&text, TokenType::Uint8, "source = \"text\"")]
        {
            assert_eq!(of(content, Some(dtype)), Ok((dtype, By::Spec)));
            let refused = of(content, None).unwrap_err();
            assert!(refused.contains(looks) && refused.contains("data.dtype"), "{refused}");
        }
        // Id 640 is what an old pickle begins with, and 65279 what UTF-16 does.
        for first in [640_u16, 896, 65_279] {
            let content: Vec<u8> = std::iter::once(first).chain(1000..2000).flat_map(u16::to_le_bytes).collect();
            let layout = Layout::of(&content, Path::new("t.bin"), Some(TokenType::Uint16), 65_536);
            assert_eq!(layout.unwrap().by, By::Spec, "{first}");
        }
        let packed = of(b"\x1f\x8b\x08\0", Some(TokenType::Uint16)).unwrap_err();
        assert!(packed.contains("gzip") && !packed.contains("data.dtype"), "{packed}");
    }
}
