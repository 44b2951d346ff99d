//! Files of tokens: raw ids of any width, and the layouts of llm.c, NumPy and Megatron.

use std::collections::HashMap;

use runner::data::ORIGINAL_IDS;
use runner::spec::{Data, Source, TokenType};

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

/// Ids drawn with p(i) proportional to 1 / (i + 1), by inversion of evenly spread quantiles in a scrambled order.
fn zipf(vocab: u32, count: u64) -> Vec<u32> {
    let total: f64 = (1..=vocab).map(|i| 1.0 / f64::from(i)).sum();
    let mut cumulative = 0.0;
    let ends: Vec<f64> = (1..=vocab)
        .map(|i| {
            cumulative += 1.0 / f64::from(i) / total;
            cumulative
        })
        .collect();
    let id = |i: u64| {
        let quantile = (i * 7_919 % count) as f64 / count as f64;
        (ends.partition_point(|end| *end <= quantile) as u32).min(vocab - 1)
    };
    (0..count).map(id).collect()
}

/// Entropy of single tokens, in nats.
fn unigram_entropy(ids: impl Iterator<Item = u32>) -> f64 {
    let mut counts: HashMap<u32, f64> = HashMap::new();
    ids.for_each(|id| *counts.entry(id).or_default() += 1.0);
    let all: f64 = counts.values().sum();
    counts.values().map(|n| -n / all * (n / all).ln()).sum()
}

fn wide(ids: &[u32], size: usize) -> Vec<u8> {
    ids.iter().flat_map(|id| u64::from(*id).to_le_bytes()[..size].to_vec()).collect()
}

fn numpy(code: &str, content: &[u8]) -> Vec<u8> {
    let size: usize = code.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
    let count = content.len() / size;
    let header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({count},), }}\n");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), content].concat()
}

fn llm_c_wide(ids: &[u32]) -> Vec<u8> {
    let mut header = [0_u32; 256];
    header[..3].copy_from_slice(&[20_240_801, 7, ids.len() as u32]);
    header.iter().flat_map(|word| word.to_le_bytes()).chain(wide(ids, 4)).collect()
}

fn megatron_index(code: u8, lengths: &[u32]) -> Vec<u8> {
    let counts = [lengths.len() as u64, lengths.len() as u64 + 1].map(u64::to_le_bytes).concat();
    let lengths: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
    [b"MMIDIDX\0\0", &1_u64.to_le_bytes()[..], &[code], &counts, &lengths, &[0; 100]].concat()
}

fn split_of(path: std::path::PathBuf, vocab: u32) -> Data {
    Data { path: Some(path), vocab: Some(vocab), validation_fraction: Some(0.1), ..data(Source::Bin) }
}

/// Read as 16 bits, ids of 32 would have an entropy of 2.6 nats and those of 64 of 1.6.
#[test]
fn ids_of_every_width_and_layout_are_the_same_tokens_and_keep_their_entropy() {
    let place = Place::new();
    let ids = zipf(1000, 40_000);
    let truth = unigram_entropy(ids.iter().copied());
    assert!((truth - 5.19).abs() < 0.01, "{truth}");
    let files = [
        ("a.bin", wide(&ids, 2), "16 bits"),
        ("b.bin", wide(&ids, 4), "32 bits"),
        ("c.bin", wide(&ids, 8), "64 bits"),
        ("d.npy", numpy("<u2", &wide(&ids, 2)), "uint16 of NumPy"),
        ("e.npy", numpy("<i8", &wide(&ids, 8)), "int64 of NumPy"),
        ("f.bin", llm_c_wide(&ids), "llm.c for Llama 3"),
    ];
    for (name, content, what) in files {
        let [train, validation] = place.split(&split_of(place.write(name, content), 1000));
        let read: Vec<u32> = train.iter().chain(&validation).map(|id| u32::from(*id)).collect();
        assert_eq!(read, ids, "{what}");
        assert!((unigram_entropy(read.into_iter()) - truth).abs() < 1e-12, "{what}");
    }
    for (code, size, dtype) in [(8, 2, TokenType::Uint16), (4, 4, TokenType::Int32)] {
        let path = place.write("m.bin", wide(&ids, size));
        place.write("m.idx", megatron_index(code, &[10_000, 30_000]));
        assert_eq!(
            place.split(&split_of(path.clone(), 1000))[0][..],
            place.split(&split_of(place.path("a.bin"), 1000))[0]
        );
        // Of other tokens, since a corpus that is in the cache stays as it was prepared.
        let fewer = &ids[..20_000 + size];
        place.write("m.bin", wide(fewer, size));
        place.write("m.idx", megatron_index(code, &[20_000, size as u32]));
        let about = place.prepare(&split_of(path, 1000)).unwrap().manifest().bin.clone().unwrap();
        assert_eq!((about.dtype, about.known.as_str()), (dtype, "Megatron's index says so"));
    }
}

#[test]
fn the_width_is_as_the_spec_says_where_it_says_it_and_data_info_tells_it() {
    let place = Place::new();
    // Every second id of 16 bits is zero: only the spec knows.
    let ids: Vec<u32> = (0..4000).map(|i| if i % 2 == 0 { 1 + i % 299 } else { 0 }).collect();
    let path = place.write("t.bin", wide(&ids, 2));
    let data = split_of(path, 300);
    let recognised = place.prepare(&data).unwrap();
    assert_eq!(recognised.manifest().bin.as_ref().unwrap().dtype, TokenType::Uint32);
    let said = place.prepare(&Data { dtype: Some(TokenType::Uint16), ..data }).unwrap();
    let about = said.manifest().bin.as_ref().unwrap();
    assert_eq!((about.dtype, about.known.as_str()), (TokenType::Uint16, "data.dtype says so"));
    assert_eq!(place.tokens(&said.facts().fingerprint, "train.u16").len(), 3600);
    let contradicted = place.write("c.npy", numpy("<u4", &wide(&ids, 4)));
    let error = place.error(&Data { dtype: Some(TokenType::Uint16), ..split_of(contradicted, 300) });
    assert!(error.contains("holds uint32") && error.contains("delete data.dtype"), "{error}");
}

#[test]
fn ids_beyond_16_bits_are_numbered_anew_and_can_be_found_again() {
    let place = Place::new();
    let originals: Vec<u32> = (0..500).map(|i| i * 256 + 7).collect();
    let ids: Vec<u32> = (0..4000).map(|i| originals[i * 31 % 500]).collect();
    let corpus = place.prepare(&split_of(place.write("llama.bin", wide(&ids, 4)), 128_256)).unwrap();
    assert_eq!(corpus.facts().vocab, 500);
    assert_eq!(corpus.manifest().bin.as_ref().unwrap().numbered_from, Some(128_256));
    let kept = std::fs::read(place.cache().join(corpus.facts().fingerprint).join(ORIGINAL_IDS)).unwrap();
    let kept: Vec<u32> = kept.chunks(4).map(|four| u32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(kept, originals);
    let tokens = place.tokens(&corpus.facts().fingerprint, "train.u16");
    assert!(tokens.iter().zip(&ids).all(|(token, id)| kept[usize::from(*token)] == *id));
    let many: Vec<u32> = (0..70_000).collect();
    let error = place.error(&split_of(place.write("many.bin", wide(&many, 4)), 128_256));
    assert!(error.contains("70000 of 128256 ids occur") && error.contains("at most 65536"), "{error}");
    let negative: Vec<u8> = (0..1000_i32).flat_map(|i| (if i == 500 { -100 } else { i }).to_le_bytes()).collect();
    let data = Data { dtype: Some(TokenType::Int32), ..split_of(place.write("n.bin", negative), 1000) };
    let error = place.error(&data);
    assert!(error.contains("token id -100 at position 500"), "{error}");
}

#[test]
fn shards_are_read_in_the_order_of_their_names_and_none_twice() {
    let place = Place::new();
    let ids = zipf(300, 6000);
    for (name, part) in [("s_train_1.bin", 0..2500), ("s_train_2.bin", 2500..5000), ("s_val_0.bin", 5000..6000)] {
        place.write(name, wide(&ids[part], 4));
    }
    let pattern = |text: &str| Some(place.path(text));
    let data = Data { path: pattern("s_train_*.bin"), vocab: Some(300), ..data(Source::Bin) };
    let both = Data { validation_path: pattern("s_val_*.bin"), ..data.clone() };
    let read = place.split(&both).map(|half| half.into_iter().map(u32::from).collect::<Vec<_>>());
    assert_eq!(read, [ids[..5000].to_vec(), ids[5000..].to_vec()]);
    // Held out from the end, across the edge of a shard.
    let [train, validation] = place.split(&Data { validation_fraction: Some(0.6), ..data.clone() });
    assert_eq!((train.len(), validation.len()), (2000, 3000));
    assert_eq!(u32::from(validation[0]), ids[2000]);
    let error = place.error(&Data { validation_path: pattern("s_train_2.bin"), ..data.clone() });
    assert!(error.contains("named twice"), "{error}");
    std::os::unix::fs::symlink(place.path("s_train_1.bin"), place.path("s_train_3.bin")).unwrap();
    let error = place.error(&Data { validation_fraction: Some(0.1), ..data });
    assert!(error.contains("is the same file as"), "{error}");
}

#[test]
fn shards_of_two_widths_are_refused_unless_something_says_what_they_are() {
    let place = Place::new();
    let ids = zipf(300, 4000);
    place.write("t-0.bin", wide(&ids[..2000], 4));
    place.write("t-1.bin", wide(&ids[2000..], 2));
    let error = place.error(&split_of(place.path("t-*.bin"), 300));
    assert!(
        error.contains("t-1.bin: its ids look like uint16, and those of ") && error.contains("t-0.bin like uint32"),
        "{error}"
    );
    // A header says what the ids of its file are.
    place.write("h-0.bin", llm_c_wide(&ids[..2000]));
    place.write("h-1.bin", wide(&ids[2000..], 2));
    let read = place.split(&split_of(place.path("h-*.bin"), 300)).concat();
    assert!(read.into_iter().map(u32::from).eq(ids.iter().copied()));
    // One that was cut short is told, wherever it stands.
    place.write("c-0.bin", wide(&ids[..2000], 4));
    place.write("c-1.bin", &wide(&ids[2000..], 4)[..7998]);
    let error = place.error(&split_of(place.path("c-*.bin"), 300));
    assert!(error.contains("c-1.bin: it was cut short: as uint32 all ids are below the vocabulary of 300"), "{error}");
    assert!(error.contains("2 of its 7998 bytes are left over"), "{error}");
}

#[test]
fn what_is_no_token_file_is_refused_by_name() {
    let place = Place::new();
    let fill = |begin: &[u8]| [begin, &[7; 1000][..]].concat();
    let cases: [(&str, Vec<u8>, &str); 14] = [
        ("t.npy", numpy("<f4", &[0; 4000]), "array of <f4"),
        ("t.npy", numpy(">u2", &[0; 4000]), "array of >u2"),
        ("t.npy", b"\x93NUMPY\x01\0\xff\xff".to_vec(), "header is damaged"),
        ("t.npy", numpy("<u2", &[7; 4000])[..2000].to_vec(), "states 2000 tokens of 2 bytes"),
        ("alone.idx", megatron_index(8, &[1]), "index of a Megatron dataset"),
        ("t.bin", fill(b"LITPKDS"), "LitGPT"),
        ("t.pt", fill(b"PK\x03\x04"), ".pt file"),
        ("t.bin", fill(b"\x1f\x8b\x08"), "gzip"),
        ("t.bin", fill(b"\x28\xb5\x2f\xfd"), "Zstandard"),
        ("t.zip", fill(b"PK\x03\x04"), "zip"),
        ("t.bin", fill(b"PAR1"), "Parquet"),
        ("t.bin", super::words(50).into_bytes(), "source = \"text\""),
        ("t.bin", fill(b"\x80\x04\x95"), "pickle"),
        ("t.bin", b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), "git lfs pull"),
    ];
    for (name, content, expected) in cases {
        let error = place.error(&split_of(place.write(name, content), 1000));
        assert!(error.contains(expected) && error.contains(name), "{expected}: {error}");
    }
    let path = place.write("cut.bin", wide(&[1; 100], 2));
    place.write("cut.idx", megatron_index(8, &[60, 60]));
    let error = place.error(&split_of(path, 1000));
    assert!(error.contains("states 120 tokens of 2 bytes, and it has 200 bytes"), "{error}");
}
