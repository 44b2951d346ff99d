//! Ids as a corpus keeps them: as they are, or those that occur numbered anew, for vocabularies above 16 bits.

use super::{BinFile, DataError};

/// How ids of the files become ids of the corpus.
pub enum Numbering {
    /// As they are, of a vocabulary of so many.
    AsTheyAre(u64),
    /// The place of each among those that occur, in their order.
    Anew(Vec<u32>),
}

impl Numbering {
    /// Size of the corpus's vocabulary.
    pub fn vocab(&self) -> u64 {
        match self {
            Self::AsTheyAre(vocab) => *vocab,
            Self::Anew(originals) => originals.len() as u64,
        }
    }

    /// What ids must be below.
    pub fn checked_against(&self) -> u64 {
        match self {
            Self::AsTheyAre(vocab) => *vocab,
            Self::Anew(originals) => originals.last().map_or(0, |last| u64::from(*last) + 1),
        }
    }

    /// Ids of the corpus. All ids occur, or are below the vocabulary.
    pub fn apply(&self, ids: &[u32]) -> Vec<u16> {
        match self {
            Self::AsTheyAre(_) => ids.iter().map(|id| *id as u16).collect(),
            Self::Anew(originals) => {
                let place = |id: &u32| originals.binary_search(id).expect("every id was counted") as u16;
                ids.iter().map(place).collect()
            }
        }
    }
}

/// Which ids of a vocabulary occur: one bit each.
pub struct Occurring {
    vocab: u64,
    bits: Vec<u64>,
}

impl Occurring {
    /// None yet.
    pub fn new(vocab: u64) -> Self {
        Self { vocab, bits: vec![0; vocab.div_ceil(64) as usize] }
    }

    /// Adds those of a file.
    pub fn add(&mut self, file: &BinFile) -> Result<(), DataError> {
        let bits = &mut self.bits;
        file.pieces(0..file.tokens(), self.vocab, &mut |ids| {
            for id in ids {
                bits[*id as usize / 64] |= 1 << (id % 64);
            }
            Ok(())
        })
    }

    /// All of them, in their order.
    pub fn ids(&self) -> Vec<u32> {
        let of = |(word, bits): (usize, &u64)| {
            let (word, bits) = (word as u32, *bits);
            (0..64_u32).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| 64 * word + bit)
        };
        self.bits.iter().enumerate().flat_map(of).collect()
    }
}
