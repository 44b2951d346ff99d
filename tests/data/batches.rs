//! Batches of training and of validation: which sequences, in which order.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use runner::data::Corpus;
use runner::spec::{Data, Source};

use super::{CONTEXT, bytes, data, llm_c, train_rows};
use crate::common::Place;

#[test]
fn an_epoch_has_every_window_once_and_the_next_one_has_other_windows() {
    let place = Place::new();
    // Ids that tell the place: each window begins with its own.
    let ids: Vec<u16> = (0..2000).collect();
    let path = place.write("train.bin", bytes(&ids));
    let data = Data { path: Some(path), vocab: Some(2000), validation_fraction: Some(0.1), ..data(Source::Bin) };
    let corpus = place.prepare(&data).unwrap();
    let epoch = corpus.facts().train_tokens.unwrap() as usize / CONTEXT;
    assert!((1800 / CONTEXT - 1..=1800 / CONTEXT).contains(&epoch));
    let rows = train_rows(&corpus, 3, 4, 2 * epoch);
    for half in [&rows[..epoch], &rows[epoch..]] {
        let starts: BTreeSet<u16> = half.iter().map(|row| row[0]).collect();
        assert_eq!(starts.len(), epoch);
        assert!(starts.iter().all(|start| start % CONTEXT as u16 == starts.first().unwrap() % CONTEXT as u16));
        assert!(half.iter().all(|row| row.windows(2).all(|pair| pair[1] == pair[0] + 1) && row[CONTEXT] < 1800));
    }
    assert_ne!(rows[..epoch], rows[epoch..]);
    assert_ne!(rows, train_rows(&corpus, 4, 4, 2 * epoch), "the seed of the run orders the data");
}

#[test]
fn validation_sequences_are_spread_evenly_and_do_not_depend_on_the_batch() {
    let place = Place::new();
    let train = place.write("train.bin", bytes(&[1; 100]));
    let ids: Vec<u16> = (0..1601).collect();
    let path = place.write("validation.bin", llm_c(&ids));
    let data = Data { path: Some(train), validation_path: Some(path), vocab: Some(2000), ..data(Source::Bin) };
    let corpus = place.prepare(&data).unwrap();
    assert_eq!(corpus.facts().validation_tokens, Some(1600));
    assert_eq!(corpus.validation_sequences(1_000_000), 100, "no more than there are");
    assert_eq!(corpus.validation_sequences(1), 1);
    assert_eq!(corpus.validation_sequences(20 * CONTEXT as u64), 20);
    let (mut all, mut part, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    corpus.validation_batch(320, 0, 20, &mut all);
    for first in (0..20).step_by(3) {
        corpus.validation_batch(320, first, 3, &mut part);
        joined.extend_from_slice(&part);
    }
    assert_eq!(all, joined);
    let starts: Vec<u16> = all.chunks(CONTEXT + 1).map(|row| row[0]).collect();
    assert_eq!(starts, (0..20).map(|i| i * 5 * CONTEXT as u16).collect::<Vec<_>>());
}

/// Both kinds of corpus, prepared once for all cases.
static CORPORA: LazyLock<[Corpus; 2]> = LazyLock::new(|| {
    let place = Place::new();
    [&data(Source::Synthetic), &place.text(50)].map(|data| place.prepare(data).unwrap())
});

proptest! {
    #[test]
    fn the_stream_of_sequences_does_not_depend_on_the_batch_size(a in 1_usize..9, b in 1_usize..9, seed: u64) {
        for corpus in &*CORPORA {
            prop_assert_eq!(train_rows(corpus, seed, a, 40), train_rows(corpus, seed, b, 40));
        }
    }
}

#[test]
fn the_built_in_language_is_unlimited_and_knows_its_entropy() {
    let place = Place::new();
    let data = Data { vocab: Some(512), ..data(Source::Synthetic) };
    let corpus = place.prepare(&data).unwrap();
    let facts = corpus.facts();
    assert_eq!((facts.vocab, facts.train_tokens, facts.validation_tokens), (512, None, None));
    let entropy = corpus.entropy().unwrap();
    assert!((2.5..4.0).contains(&entropy.nats_per_token) && entropy.standard_error < 5e-4, "{entropy:?}");
    let again = Corpus::open(&data, &facts.fingerprint, CONTEXT, &place.cache()).unwrap();
    assert_eq!(again.entropy(), corpus.entropy());
    assert_eq!(train_rows(&again, 1, 4, 12), train_rows(&corpus, 1, 4, 12));
    assert_eq!(corpus.validation_sequences(1000), 1000_usize.div_ceil(CONTEXT));
    let mut validation = Vec::new();
    corpus.validation_batch(1000, 0, 12, &mut validation);
    assert_ne!(validation, train_rows(&corpus, 1, 4, 12).concat());
    let mistaken = Data { seed: 8, ..data };
    assert!(Corpus::open(&mistaken, &facts.fingerprint, CONTEXT, &place.cache()).is_err());
    let other = place.prepare(&mistaken).unwrap();
    assert_ne!(other.facts().fingerprint, facts.fingerprint);
}
