//! From documents to the tokens of a corpus: in parallel, unknown tokens counted, ids renumbered where the tokenizer
//! has more than fit.

use rayon::prelude::*;

use super::DataError;
use super::cache::TokenWriter;
use super::ids::{MOST_IDS, Numbering, Occurring};
use super::tokenizer::{self, Tokenizer};

/// Pieces of documents that are encoded at once, so that the tokens of a large corpus never lie in memory all together.
const PIECES_AT_ONCE: usize = 1024;

/// A tokenizer and what becomes of its ids.
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    /// How its ids become those of the corpus.
    pub numbering: Numbering,
    /// Unknown tokens so far.
    pub unknown: u64,
    /// Bytes of text so far that no token stands for.
    pub dropped: u64,
}

/// What becomes of one piece of a document.
struct Encoded {
    ids: Vec<u32>,
    dropped: usize,
}

impl<'a> Encoder<'a> {
    /// For these documents, which are encoded once before where the tokenizer has more ids than fit.
    pub fn new(tokenizer: &'a Tokenizer, documents: &[&str], say: &mut dyn FnMut(&str)) -> Result<Self, DataError> {
        let vocab = tokenizer.vocab as u64;
        let mut numbering = Numbering::AsTheyAre(vocab);
        if vocab > MOST_IDS {
            let mut occurring = Occurring::new(vocab);
            encode(documents, tokenizer, &mut |piece| {
                occurring.add(&piece.ids);
                Ok(())
            })?;
            numbering = occurring.numbering("tokenizer", say)?;
        }
        Ok(Self { tokenizer, numbering, unknown: 0, dropped: 0 })
    }

    /// Tokens of all documents, a separator after each.
    pub fn write(&mut self, documents: &[&str], out: &mut TokenWriter) -> Result<(), DataError> {
        let Self { tokenizer, numbering, unknown, dropped } = self;
        encode(documents, tokenizer, &mut |Encoded { ids, dropped: of_piece }| {
            *dropped += *of_piece as u64;
            *unknown += ids.iter().filter(|id| Some(**id) == tokenizer.unknown).count() as u64;
            out.write(&numbering.apply(ids))
        })
    }
}

/// Ids of all documents, in the order of the file whatever the number of threads.
fn encode(
    documents: &[&str],
    tokenizer: &Tokenizer,
    take: &mut dyn FnMut(&Encoded) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let pieces: Vec<(&str, bool)> = documents.iter().flat_map(|text| tokenizer::pieces(text)).collect();
    for group in pieces.chunks(PIECES_AT_ONCE) {
        let encoded: Vec<Encoded> = group
            .par_iter()
            .map(|&(piece, ends_document)| {
                let mut ids = tokenizer.encode(piece)?;
                ids.extend(ends_document.then_some(tokenizer.separator));
                Ok(Encoded { ids, dropped: tokenizer.dropped(piece) })
            })
            .collect::<Result<_, DataError>>()?;
        encoded.iter().try_for_each(&mut *take)?;
    }
    Ok(())
}
