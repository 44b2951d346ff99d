//! The documents of token files, as far as their tokens show them: how many are there several times, or nearly so.

use std::ops::Range;

use rayon::prelude::*;

use super::file::BinFile;
use crate::data::cache::TokenDocuments;
use crate::data::{DataError, near, split};

/// Ids that stand between documents in what people tokenize: of GPT-2, GPT-4, GPT-4o, Llama 3 (two) and Qwen, and the first
/// few, which are the end or the beginning of a text for most that are trained on their own.
const ENDS: [i128; 9] = [50_256, 100_257, 199_999, 128_000, 128_001, 151_643, 0, 1, 2];

/// A document: its file, and its tokens in that.
type Place = (usize, Range<usize>);

/// Finds the documents of these files and those that repeat others; nothing where the first file neither begins nor ends
/// with one of [`ENDS`] that it has several times.
pub fn find(files: &[&BinFile], vocab: u64) -> Result<Option<TokenDocuments>, DataError> {
    let Some(separator) = files.first().and_then(|file| separator(file)) else { return Ok(None) };
    let places: Vec<Vec<Range<usize>>> =
        files.par_iter().map(|file| between(file, separator, vocab)).collect::<Result<_, _>>()?;
    let of_file = |(file, ranges): (usize, Vec<Range<usize>>)| ranges.into_iter().map(move |range| (file, range));
    let places: Vec<Place> = places.into_iter().enumerate().flat_map(of_file).collect();
    if places.len() < 2 {
        return Ok(None);
    }
    let content = |(file, range): &Place| split::content(files[*file].slice(range));
    let contents: Vec<u64> = places.par_iter().map(content).collect();
    let signature = |at: usize| {
        let (file, range) = &places[at];
        let BinFile { layout, .. } = files[*file];
        let ids = files[*file].slice(range).chunks_exact(layout.dtype.bytes());
        near::signature(ids.map(|id| layout.dtype.read(id) as u64))
    };
    let near_duplicates = near::count(&contents, signature);
    let repeated = near::repeated(&contents);
    Ok(Some(TokenDocuments { separator, documents: places.len() as u64, repeated, near_duplicates }))
}

/// The id that the file begins or ends with, where it is one of those that stand between documents.
fn separator(file: &BinFile) -> Option<u32> {
    let last = file.tokens().checked_sub(1)?;
    let ends = [last, 0].map(|at| file.layout.dtype.read(file.slice(&(at..at + 1))));
    ends.into_iter().find(|id| ENDS.contains(id)).and_then(|id| u32::try_from(id).ok())
}

/// What stands between two separators.
fn between(file: &BinFile, separator: u32, vocab: u64) -> Result<Vec<Range<usize>>, DataError> {
    let (mut ranges, mut start, mut at) = (Vec::new(), 0, 0);
    // Files are padded with separators, as many as there are tokens.
    let end_at =
        |ranges: &mut Vec<Range<usize>>, range: Range<usize>| ranges.extend(Some(range).filter(|r| !r.is_empty()));
    file.pieces(0..file.tokens(), vocab, &mut |ids| {
        for id in ids {
            if *id == separator {
                end_at(&mut ranges, start..at);
                start = at + 1;
            }
            at += 1;
        }
        Ok(())
    })?;
    end_at(&mut ranges, start..at);
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_a_row_hold_no_documents_and_take_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.bin");
        let of = |ids: &[u16]| {
            std::fs::write(&path, ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
            let file = BinFile::open(&path, Some(crate::spec::TokenType::Uint16), 256).unwrap();
            between(&file, 0, 256).unwrap()
        };
        assert_eq!(of(&[0, 0, 5, 6, 0, 0, 7, 0, 8, 9]), [2..4, 6..7, 8..10]);
        let padded = of(&[&[5, 0][..], &vec![0; 100_000]].concat());
        assert!(
            (padded.len(), &padded[0]) == (1, &(0..1)) && padded.capacity() < 100,
            "room for {}",
            padded.capacity()
        );
    }
}
