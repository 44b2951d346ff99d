//! Files of tokens: raw, and in the layout of llm.c.

use runner::spec::{Data, Source};

use super::{bytes, data, llm_c};
use crate::common::Place;

#[test]
fn raw_tokens_and_llm_c_files_give_the_same_tokens() {
    let place = Place::new();
    let ids: Vec<u16> = (0..1000).map(|i| i * 7 % 500).collect();
    let split = |file| Data { path: Some(file), vocab: Some(500), validation_fraction: Some(0.1), ..data(Source::Bin) };
    let raw = place.prepare(&split(place.write("raw.bin", bytes(&ids)))).unwrap();
    let with_header = place.prepare(&split(place.write("header.bin", llm_c(&ids)))).unwrap();
    assert_eq!(raw.facts(), with_header.facts());
    assert_eq!(place.tokens(&raw.facts().fingerprint, "train.u16"), ids[..900]);
    assert_eq!(place.tokens(&raw.facts().fingerprint, "validation.u16"), ids[900..]);
}

#[test]
fn broken_token_files_are_errors_that_say_where() {
    let place = Place::new();
    let ids: Vec<u16> = (0..1000).map(|i| i % 500).collect();
    let error = |content: Vec<u8>, vocab| {
        let path = Some(place.write("tokens.bin", content));
        place.error(&Data { path, vocab: Some(vocab), validation_fraction: Some(0.1), ..data(Source::Bin) })
    };
    let odd = error([bytes(&ids), vec![1]].concat(), 500);
    assert!(odd.contains("2001 bytes") && odd.contains("tokens.bin"), "{odd}");
    let above = error(bytes(&ids), 499);
    assert!(above.contains("499 at position 499") && above.contains("data.vocab"), "{above}");
    let mut cut = llm_c(&ids);
    cut.truncate(cut.len() - 100);
    let cut = error(cut, 500);
    assert!(cut.contains("states 1000 tokens of 2 bytes, and 1900 bytes follow"), "{cut}");
    let header_alone = error(llm_c(&ids)[..8].to_vec(), 500);
    assert!(header_alone.contains("cut short"), "{header_alone}");
    let mut version = llm_c(&ids);
    version[4] = 2;
    let version = error(version, 500);
    assert!(version.contains("version"), "{version}");
    assert!(error(Vec::new(), 500).contains("empty"));
    let short = error(bytes(&ids[..20]), 500);
    assert!(short.contains("at least") && short.contains("model.context"), "{short}");
}
