//! Near duplicates: counted, told by `data info`, and trained on like all others.

use runner::data::NearFacts;
use runner::spec::{Data, Source};

use super::{bytes, data, documents_of_words, jsonl, of};
use crate::common::{Place, SMALL, with_data};

/// The same with every word of a number changed.
fn edited(text: &str, every: usize) -> String {
    let words = text.split_whitespace().enumerate();
    let words: Vec<&str> = words.map(|(at, word)| if at % every == every / 2 { "changed" } else { word }).collect();
    words.join(" ")
}

/// Paragraphs of English that people wrote: the documentation of this project.
fn paragraphs() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let text = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>().join("\n\n");
    let long = |text: &&str| text.split_whitespace().count() >= 50;
    text.split("\n\n").filter(long).map(|text| text.trim_matches('\n').to_owned()).collect()
}

fn near(place: &Place, data: &Data) -> (u64, NearFacts) {
    let about = place.prepare(data).unwrap().manifest().text.clone().unwrap();
    (about.repeated_documents.unwrap(), about.near_duplicates.unwrap())
}

#[test]
fn editions_of_real_text_are_found_and_other_text_is_not() {
    let place = Place::new();
    let originals = paragraphs();
    assert!(originals.len() > 80, "{}", originals.len());
    let with = |more: Vec<String>| {
        let all = [originals.clone(), more].concat();
        near(&place, &of(Source::Text, place.write("docs.txt", all.join("\n\n"))))
    };
    let (_, alone) = with(Vec::new());
    assert!(alone.asked + 5 > originals.len() as u64 && alone.found <= 4, "{alone:?}");
    // One word of 100 changed, in copies of one paragraph of three.
    let chosen: Vec<&String> = originals.iter().step_by(3).collect();
    let (_, editions) = with(chosen.iter().map(|text| edited(text, 100)).collect());
    let planted = 2 * chosen.len() as u64;
    let found = editions.found - alone.found;
    assert!(found * 10 >= planted * 9 && found <= planted, "{found} of {planted}");
    // Copies are no near duplicates.
    let (repeated, copies) = with(originals.clone());
    assert_eq!((repeated, copies), (originals.len() as u64 + with(Vec::new()).0, alone));
}

#[test]
fn near_duplicates_are_counted_in_every_source_of_text_and_told() {
    let place = Place::new();
    let mut all = documents_of_words(200);
    all.extend(documents_of_words(40).iter().map(|text| text.to_owned() + "behind"));
    let in_lines = near(&place, &of(Source::Jsonl, place.write("t.jsonl", jsonl(&all))));
    assert_eq!(in_lines, near(&place, &of(Source::Text, place.write("t.txt", all.join("\n\n")))));
    let (repeated, NearFacts { asked, found, sampled }) = in_lines;
    assert_eq!((repeated, asked, sampled), (0, 240, false));
    assert!((70..=80).contains(&found), "{found}");
    // In the file they stay where they are: all are trained on or held out.
    let table = "source = \"jsonl\"\npath = \"t.jsonl\"\ncolumn = \"body\"\nvalidation_fraction = 0.2\nvocab = 256\n\
                 max_epochs = 1.0\nseed = 7";
    place.write("spec.toml", with_data(SMALL, table));
    place.says(&["data", "prepare", "spec.toml", "--cache", "cache"]);
    let said = place.says(&["data", "info", "spec.toml", "--cache", "cache"]);
    assert!(said.contains(&format!("of documents have a near duplicate ({found} of 240)")), "{said}");
}

/// Documents of ids from 3 on, each followed by the end of text.
fn tokens(documents: &[Vec<u16>], end: u16) -> Vec<u8> {
    documents.iter().flat_map(|ids| bytes(&[&ids[..], &[end]].concat())).collect()
}

#[test]
fn documents_of_token_files_are_told_apart_by_the_id_that_ends_them() {
    let place = Place::new();
    let document = |i: u32| -> Vec<u16> { (1..=60).map(|j| 3 + (j * j * (i + 7) * 31 % 4093) as u16).collect() };
    let mut all: Vec<Vec<u16>> = (0..100).map(document).collect();
    all.extend((0..20).map(|i| [document(i), vec![5]].concat()));
    all.extend((90..100).map(document));
    let about = |content: Vec<u8>| {
        let path = Some(place.write("t.bin", content));
        let data = Data { path, vocab: Some(50_257), validation_fraction: Some(0.1), ..data(Source::Bin) };
        place.prepare(&data).unwrap().manifest().bin.clone().unwrap().documents
    };
    for (separator, content) in [
        (50_256, tokens(&all, 50_256)),
        (0, tokens(&all, 0)),
        // As llm.c writes them: in front of each.
        (
            50_256,
            [bytes(&[50_256]), tokens(&all, 50_256)[..2 * (all.concat().len() + all.len() - 1)].to_vec()].concat(),
        ),
    ] {
        let found = about(content).unwrap();
        assert_eq!((found.separator, found.documents, found.repeated), (separator, 130, 10));
        assert_eq!(found.near_duplicates.asked, 120);
        assert!((36..=40).contains(&found.near_duplicates.found), "{found:?}");
    }
    assert_eq!(about(bytes(&all.concat())), None, "nothing stands between them");
}

/// Texts of 300 Chinese characters, and of each an edition in which three are others, all without a blank.
fn editions_without_blanks() -> Vec<String> {
    let character = |i: u32, j: u32| char::from_u32(0x4e00 + (i * 7919 + j * j * 31 + j * (i % 89)) % 5000).unwrap();
    let original = |i: u32| -> String { (0..300).map(|j| character(i, j)).collect() };
    let edition =
        |i: u32| original(i).chars().enumerate().map(|(at, c)| if at % 100 == 50 { '囧' } else { c }).collect();
    (0..200).map(original).chain((0..200).map(edition)).collect()
}

#[test]
fn editions_of_text_without_blanks_are_found_and_none_is_held_out_beside_its_twin() {
    let place = Place::new();
    let all = editions_without_blanks();
    // Escaped, as Python's json writes them.
    let escaped = |text: &str| text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<Vec<_>>().concat();
    let lines: Vec<String> = all.iter().map(|text| format!("{{\"body\": \"{}\"}}\n", escaped(text))).collect();
    let in_lines = of(Source::Jsonl, place.write("t.jsonl", lines.concat()));
    let in_text = of(Source::Text, place.write("t.txt", all.join("\n\n")));
    for data in [&in_lines, &in_text] {
        let (repeated, near) = near(&place, data);
        assert_eq!((repeated, near.asked), (0, 400));
        assert!(near.found >= 380, "{near:?}");
        let about = place.prepare(data).unwrap().manifest().text.clone().unwrap();
        assert!(about.near_duplicates_moved > 20 && about.validation_documents > 0, "{about:?}");
        // Tokens are bytes, and a document ends with 0: the first 50 characters are those of the twin.
        let [train, validation] = place.split(data);
        let begins = |tokens: &[u16]| -> std::collections::HashSet<Vec<u16>> {
            tokens.split(|id| *id == 0).filter(|text| !text.is_empty()).map(|text| text[..150].to_vec()).collect()
        };
        assert!(begins(&train).is_disjoint(&begins(&validation)));
    }
    // The names that the program gave before it knew of such scripts: one text, held out from its end, keeps its own, and the
    // other split has another.
    let fingerprint = |data: &Data| place.prepare(data).unwrap().facts().fingerprint;
    assert_eq!(fingerprint(&Data { separator: Some("none".to_owned()), ..in_text.clone() }), "6c58ac4df1d97415");
    assert_ne!(fingerprint(&in_text), "8fbee4f97859e3cf");
}

#[test]
fn documents_that_are_too_short_to_be_compared_are_told() {
    let place = Place::new();
    let said = std::cell::RefCell::new(String::new());
    let short = of(
        Source::Text,
        place.write("short.txt", (0..60).map(|i| format!("line{i} of")).collect::<Vec<_>>().join("\n\n")),
    );
    runner::data::Corpus::prepare(&short, 16, &place.path("cache"), &mut |line| said.borrow_mut().push_str(line))
        .unwrap();
    assert!(said.borrow().contains("60 of 60 documents have fewer than five words"), "{}", said.borrow());
}
