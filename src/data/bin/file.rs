//! One token file, with its layout.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::layout::{By, Layout};
use crate::data::DataError;
use crate::data::cache::{self, TokenWriter};
use crate::data::ids::Numbering;
use crate::spec::TokenType;

/// Tokens that are checked and copied at once.
const PIECE: usize = 1 << 20;

/// One file, its layout found out.
pub struct BinFile {
    pub path: PathBuf,
    map: Mmap,
    pub layout: Layout,
}

impl BinFile {
    pub fn open(path: &Path, dtype: Option<TokenType>, vocab: u64) -> Result<Self, DataError> {
        let map = cache::map(path)?;
        let layout = Layout::of(&map, path, dtype, vocab)?;
        Ok(Self { path: path.to_owned(), map, layout })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.map[self.layout.header..]
    }

    /// The bytes of a range of ids.
    pub fn slice(&self, range: &Range<usize>) -> &[u8] {
        let size = self.layout.dtype.bytes();
        &self.bytes()[size * range.start..size * range.end]
    }

    pub fn tokens(&self) -> usize {
        self.bytes().len() / self.layout.dtype.bytes()
    }

    /// Ids of a range, piece by piece, each with its place; all of them below `vocab`.
    pub fn pieces(
        &self,
        range: Range<usize>,
        vocab: u64,
        piece: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (dtype, size) = (self.layout.dtype, self.layout.dtype.bytes());
        let mut at = range.start;
        for bytes in self.slice(&range).chunks(size * PIECE) {
            let ids = bytes.chunks_exact(size).map(|id| dtype.read(id));
            let ids: Vec<u32> = ids
                .enumerate()
                .map(|(i, id)| u32::try_from(id).ok().filter(|id| u64::from(*id) < vocab).ok_or((id, at + i)))
                .collect::<Result<_, _>>()
                .map_err(|(id, position)| self.outside(id, position, vocab))?;
            at += ids.len();
            piece(&ids)?;
        }
        Ok(())
    }

    fn outside(&self, id: i128, position: usize, vocab: u64) -> DataError {
        let Layout { dtype, by, .. } = self.layout;
        let mut what = format!(
            "token id {id} at position {position} is outside the vocabulary of {vocab}; correct data.vocab, or the file"
        );
        if by == By::Ids {
            let _ = write!(what, " (read as {dtype}; write data.dtype if its ids are others)");
        }
        DataError::content(&self.path, what)
    }

    pub fn copy(&self, range: Range<usize>, numbering: &Numbering, out: &mut TokenWriter) -> Result<(), DataError> {
        self.pieces(range, numbering.checked_against(), &mut |ids| out.write(&numbering.apply(ids)))
    }
}
