//! How ids lie in a token file: whole numbers of 8 to 64 bits, behind a header or none.
//!
//! What a file says of itself holds: llm.c's headers, NumPy's, or the index of Megatron beside it. A file without a header is
//! read as `data.dtype` says, and otherwise as the widest numbers that are all below the vocabulary: two ids of 16 bits read
//! as one of 32 are below it only where every second id is (nearly) zero, which no corpus is.

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
const LOOKS: usize = 4096;

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
            (None, _) => {
                foreign::refuse(bytes, path)?;
                if is_plain_text(bytes) {
                    return Err(wrong("this is text and holds no token ids; write source = \"text\"".to_owned()));
                }
                match dtype {
                    Some(dtype) => Self { header: 0, dtype, by: By::Spec },
                    None => Self { header: 0, dtype: recognised(bytes, vocab), by: By::Ids },
                }
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

/// The widest of 64, 32 and 16 bits of which all looked at are below the vocabulary; 16 where none is.
fn recognised(bytes: &[u8], vocab: u64) -> TokenType {
    let fits = |dtype: TokenType| {
        let size = dtype.bytes();
        let count = bytes.len() / size;
        let step = count.div_ceil(LOOKS).max(1);
        let mut ids = (0..count).step_by(step).map(|at| dtype.read(&bytes[at * size..]));
        let mut largest = 0;
        let below = ids.all(|id| {
            largest = largest.max(id);
            (0..i128::from(vocab)).contains(&id)
        });
        // Nothing but zeros looks alike at any width.
        bytes.len().is_multiple_of(size) && below && largest > 0
    };
    [TokenType::Uint64, TokenType::Uint32].into_iter().find(|dtype| fits(*dtype)).unwrap_or(TokenType::Uint16)
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
            Ok(Layout { header, dtype, by: By::NumPy })
        },
    ))
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
        for vocab in [300, 1000, 50_257, 65_536] {
            assert_eq!(recognised(&bytes(ids(vocab), 2), vocab), TokenType::Uint16, "{vocab}");
            assert_eq!(recognised(&bytes(ids(vocab), 4), vocab), TokenType::Uint32, "{vocab}");
            assert_eq!(recognised(&bytes(ids(vocab), 8), vocab), TokenType::Uint64, "{vocab}");
        }
        assert_eq!(recognised(&bytes(ids(128_000), 4), 128_256), TokenType::Uint32);
        // Many zeros, but not every second one.
        let padded = (0..5000_u64).map(|i| if i % 100 < 90 { 0 } else { i });
        assert_eq!(recognised(&bytes(padded, 2), 5000), TokenType::Uint16);
        assert_eq!(recognised(&[0; 4000], 1000), TokenType::Uint16);
    }
}
