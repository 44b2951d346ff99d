//! Ids as a corpus keeps them: as they are, or those that occur renumbered, for vocabularies above 16 bits.

use std::path::Path;

use super::{DataError, cache};

/// Most ids that a corpus may use: more do not fit its token files.
pub const MOST_IDS: u64 = 65_536;

/// The file in the cache with the ids that were renumbered, in the order of their new numbers.
pub const ORIGINAL_IDS: &str = "ids.u32";

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

    /// Writes the ids that were renumbered into the corpus's folder.
    pub fn keep(&self, folder: &Path) -> Result<(), DataError> {
        let Self::Anew(originals) = self else { return Ok(()) };
        let bytes: Vec<u8> = originals.iter().flat_map(|id| id.to_le_bytes()).collect();
        cache::write_synced(&folder.join(ORIGINAL_IDS), &bytes)
    }

    /// That of a corpus in this folder, of whose ids `original` names the vocabulary where they were renumbered.
    pub fn kept_in(folder: &Path, vocab: u64, original: Option<u64>) -> Result<Self, DataError> {
        if original.is_none() {
            return Ok(Self::AsTheyAre(vocab));
        }
        let bytes = cache::file(folder, ORIGINAL_IDS)?;
        Ok(Self::Anew(bytes.as_chunks().0.iter().copied().map(u32::from_le_bytes).collect()))
    }

    /// The corpus's own number of an id; nothing where the corpus has no such id.
    pub fn number(&self, id: u32) -> Option<u16> {
        match self {
            Self::AsTheyAre(vocab) => u16::try_from(id).ok().filter(|id| u64::from(*id) < *vocab),
            Self::Anew(originals) => originals.binary_search(&id).ok().map(|place| place as u16),
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
            Self::Anew(_) => ids.iter().map(|id| self.number(*id).expect("every id was counted")).collect(),
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

    /// Adds some, all of them below the vocabulary.
    pub fn add(&mut self, ids: &[u32]) {
        for id in ids {
            self.bits[*id as usize / 64] |= 1 << (id % 64);
        }
    }

    /// Those that occur renumbered, if they fit; `key` of `[data]` names the vocabulary.
    pub fn numbering(&self, key: &'static str, say: &mut dyn FnMut(&str)) -> Result<Numbering, DataError> {
        let originals = self.ids();
        let (count, vocab) = (originals.len(), self.vocab);
        if count as u64 > MOST_IDS {
            let what = format!(
                "{count} of {vocab} ids occur in these files, and at most {MOST_IDS} fit; take fewer files, or tokens of a \
                 smaller vocabulary"
            );
            return Err(DataError::configuration(key, what));
        }
        say(&format!("{count} of {vocab} ids occur; they are renumbered, and {ORIGINAL_IDS} in the cache has them"));
        Ok(Numbering::Anew(originals))
    }

    /// All of them, in their order.
    fn ids(&self) -> Vec<u32> {
        let of = |(word, bits): (usize, &u64)| {
            let (word, bits) = (word as u32, *bits);
            (0..64_u32).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| 64 * word + bit)
        };
        self.bits.iter().enumerate().flat_map(of).collect()
    }
}
