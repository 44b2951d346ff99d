//! What a document is: separators, texts without any, published splits, and documents that are there several times.

use std::collections::BTreeSet;

use parquet::basic::Compression;
use runner::spec::{Data, Source};

use super::formats::{gzip, parquet};
use super::{data, documents_of_words, jsonl, mixture, of, part};
use crate::common::Place;

/// Stories with blank lines inside, as `TinyStories` V2 has them.
fn stories(count: usize) -> Vec<String> {
    documents_of_words(2 * count).chunks(2).map(|pair| pair.join("\n\n")).collect()
}

fn marked(stories: &[String]) -> String {
    stories.iter().flat_map(|story| [story, "\n<|endoftext|>\n"]).collect()
}

/// The documents of one half as texts; with 256 tokens ids are bytes, and 0 ends a document.
fn texts(tokens: &[u16]) -> BTreeSet<String> {
    let bytes: Vec<u8> = tokens.iter().map(|id| u8::try_from(*id).unwrap()).collect();
    let documents = bytes.split(|byte| *byte == 0).filter(|document| !document.is_empty());
    documents.map(|document| String::from_utf8(document.to_vec()).unwrap()).collect()
}

fn set(texts: &[String]) -> BTreeSet<String> {
    texts.iter().cloned().collect()
}

#[test]
fn stories_between_marks_stay_whole_also_compressed_and_none_is_in_both_halves() {
    let place = Place::new();
    let stories = stories(200);
    for path in [place.write("s.txt", marked(&stories)), place.write("s.txt.gz", gzip(marked(&stories)))] {
        let data = of(Source::Text, path);
        let [train, validation] = place.split(&data).map(|half| texts(&half));
        assert!(train.is_disjoint(&validation) && !validation.is_empty());
        assert_eq!(&train | &validation, set(&stories));
        let about = place.prepare(&data).unwrap().manifest().text.clone().unwrap();
        assert_eq!(about.separator.unwrap(), "<|endoftext|> separates documents");
    }
}

#[test]
fn a_separator_that_is_written_holds() {
    let place = Place::new();
    let lines: Vec<String> = documents_of_words(100).iter().map(|text| text.trim().to_owned()).collect();
    let with = |separator: &str, content: String| {
        let separator = Some(separator.to_owned());
        let data = Data { separator, ..of(Source::Text, place.write("t.txt", content)) };
        let [train, validation] = place.split(&data).map(|half| texts(&half));
        &train | &validation
    };
    assert_eq!(with("line", lines.join("\n")), set(&lines));
    assert_eq!(with(" ### ", lines.join(" ### ")), set(&lines));
    // Blank lines, although there are marks.
    let blocks = with("blank line", marked(&stories(100)));
    assert!(blocks.len() > 90 && blocks.iter().any(|block| block.contains("<|endoftext|>")), "{}", blocks.len());
}

#[test]
fn a_separator_that_stands_nowhere_is_refused_and_validation_is_cut_as_training_is() {
    let place = Place::new();
    place.write("a-1.txt", marked(&stories(60)));
    place.write("a-2.txt", marked(&stories(80)[60..]));
    let data = Data { separator: Some("<eos>".to_owned()), ..of(Source::Text, place.path("a-*.txt")) };
    let error = place.error(&data);
    assert!(error.contains("data.separator \"<eos>\" stands between no two documents"), "{error}");
    // A validation file of one story shows no separator of its own.
    let last = stories(81)[80..].to_vec();
    let validation_path = Some(place.write("b.txt", marked(&last)));
    let data = Data { separator: None, validation_path, validation_fraction: None, ..data };
    assert_eq!(texts(&place.split(&data)[1]), set(&last));
    // Told by part in a mixture.
    let parts = vec![part(Source::Text, place.path("a-1.txt"), None), part(Source::Text, place.path("b.txt"), None)];
    let about = place.prepare(&mixture(parts)).unwrap().manifest().text.clone().unwrap();
    assert!(about.separator.unwrap().starts_with("part 1: <|endoftext|> separates documents; part 2: "));
}

#[test]
fn marks_inside_of_lines_separate_stories_too() {
    let place = Place::new();
    let stories: Vec<String> = stories(100).iter().map(|story| story.trim().to_owned()).collect();
    let joined = stories.join("<|endoftext|>");
    // Where one ends, where the next begins, and between the two on one line.
    for content in [joined.clone(), joined.replace("<|endoftext|>", "<|endoftext|>\n"), joined.replace('<', "\n<")] {
        let data = of(Source::Text, place.write("t.txt", content));
        let [train, validation] = place.split(&data).map(|half| texts(&half));
        assert_eq!(&train | &validation, set(&stories));
    }
}

#[test]
fn every_file_of_a_pattern_has_its_own_separator_and_it_is_told_where_they_differ() {
    let place = Place::new();
    let (plain, stories) = (documents_of_words(60), stories(60)[30..].to_vec());
    place.write("a-1.txt", plain.join("\n\n"));
    place.write("a-2.txt", marked(&stories[..29]));
    // The last shard has one mark, and another nothing at all.
    place.write("a-3.txt", marked(&stories[29..]));
    place.write("a-4.txt", "");
    let data = of(Source::Text, place.path("a-*.txt"));
    let [train, validation] = place.split(&data).map(|half| texts(&half));
    let trimmed: Vec<String> = plain.iter().map(|text| text.trim_matches('\n').to_owned()).collect();
    assert_eq!(&train | &validation, &set(&trimmed) | &set(&stories));
    let told = || place.prepare(&data).unwrap().manifest().text.clone().unwrap().separator.unwrap();
    assert_eq!(
        told(),
        "blank lines separate documents in 2 of 4 files (first a-1.txt), <|endoftext|> separates documents in 2 of 4 \
         files (first a-2.txt)"
    );
    // An empty shard and one with a single mark are no difference.
    std::fs::remove_file(place.path("a-1.txt")).unwrap();
    assert_eq!(told(), "<|endoftext|> separates documents");
    // Validation files too are cut as they show.
    let alone = place.write("b.txt", plain.join("\n\n"));
    let validation_path = Some(place.write("c.txt", marked(&stories[..20])));
    let data = Data { validation_path, validation_fraction: None, ..of(Source::Text, alone) };
    assert_eq!(texts(&place.split(&data)[1]), set(&stories[..20]));
}

#[test]
fn a_folder_of_files_may_be_a_document_each() {
    let place = Place::new();
    let books = stories(60);
    std::fs::create_dir_all(place.path("books/more")).unwrap();
    for (at, book) in books.iter().enumerate() {
        let folder = if at % 2 == 0 { "books" } else { "books/more" };
        place.write(&format!("{folder}/{at:02}.txt"), book);
    }
    place.write("books/.hidden", "not this");
    for path in [place.path("books"), place.path("books/**/*.txt")] {
        let data = Data { separator: Some("file".to_owned()), ..of(Source::Text, path) };
        let [train, validation] = place.split(&data).map(|half| texts(&half));
        let trimmed: Vec<String> = books.iter().map(|book| book.trim_matches('\n').to_owned()).collect();
        assert_eq!(&train | &validation, set(&trimmed));
    }
}

#[test]
fn a_text_without_separators_is_cut_at_one_place() {
    let place = Place::new();
    let text = documents_of_words(300).join(" ").replace('\n', " ");
    for separator in [None, Some("none".to_owned())] {
        let data = Data { separator, ..of(Source::Text, place.write("text8", &text)) };
        let [train, validation] = place.split(&data);
        // Each half ends as a document does.
        assert_eq!((train.last(), validation.last()), (Some(&0), Some(&0)));
        let bytes: Vec<u8> = [&train[..train.len() - 1], &validation[..validation.len() - 1]]
            .concat()
            .into_iter()
            .map(|id| u8::try_from(id).unwrap())
            .collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), text, "nothing is lost or moved");
        let share = validation.len() as f64 / text.len() as f64;
        assert!((share - 0.2).abs() < 0.01, "{share}");
    }
}

#[test]
fn a_published_split_is_kept_in_every_source_of_text() {
    let place = Place::new();
    let all = documents_of_words(120);
    let (train, validation) = all.split_at(90);
    // One of the held-out documents is trained on too: told, and left as it was published.
    let train = [train, &validation[..1]].concat();
    let pair =
        |source, first, second| Data { validation_path: Some(second), validation_fraction: None, ..of(source, first) };
    let packed = |documents: &[String]| parquet(documents, Compression::SNAPPY);
    let cases = [
        pair(Source::Text, place.write("a.txt", train.join("\n\n")), place.write("b.txt", validation.join("\n\n"))),
        pair(Source::Jsonl, place.write("a.jsonl", jsonl(&train)), place.write("b.jsonl", jsonl(validation))),
        pair(Source::Parquet, place.write("a.parquet", packed(&train)), place.write("b.parquet", packed(validation))),
    ];
    for data in cases {
        let [first, second] = place.split(&data).map(|half| texts(&half));
        let trimmed = |texts: &[String]| texts.iter().map(|text| text.trim_matches('\n').to_owned()).collect();
        assert_eq!([first, second], [trimmed(&train), trimmed(validation)], "{:?}", data.source);
        let about = place.prepare(&data).unwrap().manifest().text.clone().unwrap();
        assert_eq!((about.repeated_validation_documents, about.validation_documents), (1, 30));
        // Without the repeats it is trained on no document that is held out.
        let [first, second] = place.split(&Data { deduplicate: true, ..data }).map(|half| texts(&half));
        assert!(first.is_disjoint(&second) && first.len() == 90 && second.len() == 30);
    }
}

#[test]
fn documents_that_are_there_several_times_are_counted_and_left_out_on_demand() {
    let place = Place::new();
    let once = documents_of_words(100);
    let data = of(Source::Text, place.write("five.txt", vec![once.join("\n\n"); 5].join("\n\n")));
    let about = |data: &Data| place.prepare(data).unwrap().manifest().text.clone().unwrap();
    let kept = about(&data);
    assert_eq!((kept.documents, kept.repeated_documents, kept.deduplicated), (500, Some(400), false));
    let left_out = Data { deduplicate: true, ..data };
    let fewer = about(&left_out);
    assert_eq!((fewer.documents, fewer.repeated_documents, fewer.deduplicated), (100, Some(400), true));
    // As the text that has each once: the same tokens.
    let plain = of(Source::Text, place.write("once.txt", once.join("\n\n")));
    assert_eq!(place.split(&left_out), place.split(&plain));
}

#[test]
fn a_file_that_is_named_twice_is_refused() {
    let place = Place::new();
    let path = || place.write("t.txt", documents_of_words(100).join("\n\n"));
    std::os::unix::fs::symlink(path(), place.path("u.txt")).unwrap();
    let twice = mixture(vec![part(Source::Text, path(), None), part(Source::Text, path(), None)]);
    assert!(place.error(&twice).contains("named twice"), "{}", place.error(&twice));
    let linked = of(Source::Text, place.path("*.txt"));
    assert!(place.error(&linked).contains("the same file as"), "{}", place.error(&linked));
    std::fs::remove_file(place.path("u.txt")).unwrap();
    std::fs::hard_link(path(), place.path("v.txt")).unwrap();
    assert!(place.error(&linked).contains("the same file as"), "{}", place.error(&linked));
    let itself = Data { validation_path: Some(path()), validation_fraction: None, ..of(Source::Text, path()) };
    assert!(place.error(&itself).contains("named twice"), "{}", place.error(&itself));
}

/// text8 has 27 characters, the plays of Shakespeare 65.
#[test]
fn a_vocabulary_below_256_is_of_characters() {
    let place = Place::new();
    let text: String =
        documents_of_words(300).join(" ").replace('é', "e").split_whitespace().collect::<Vec<_>>().join(" ");
    let characters: BTreeSet<char> = text.chars().collect();
    let vocab = characters.len() as u32;
    let data = Data { vocab: Some(vocab), ..of(Source::Text, place.write("text8", &text)) };
    let corpus = place.prepare(&data).unwrap();
    assert_eq!((corpus.facts().vocab, corpus.manifest().text.as_ref().unwrap().unknown_tokens), (vocab as usize, 0));
    let read: Vec<char> =
        place.split(&data)[0].iter().map(|id| *characters.iter().nth(usize::from(*id)).unwrap()).collect();
    // Documents end with a blank, since there are no lines.
    assert!(text.starts_with(&read[..read.len() - 1].iter().collect::<String>()) && read.last() == Some(&' '));
    let error = place.error(&Data { vocab: Some(200), ..data.clone() });
    assert!(error.contains("data.vocab") && error.contains("different characters"), "{error}");
    // Too few: more than one in a hundred would be unknown.
    let error = place.error(&Data { vocab: Some(5), ..data.clone() });
    let expected = format!("data.vocab: 5 is too few for the {vocab} different characters of ");
    assert!(error.contains(&expected) && !error.contains("data.tokenizer"), "{error}");
    // The least that is told works, and one less does not.
    let least: u32 = error.split("write ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((6..=vocab).contains(&least), "{error}");
    place.prepare(&Data { vocab: Some(least), ..data.clone() }).unwrap();
    let less = place.error(&Data { vocab: Some(least - 1), ..data.clone() });
    assert!(less.contains(&format!("write {least} or more")), "{less}");
    // A text of more characters than are tokens of their own gets tokens of bytes.
    let many: String = ('\u{4e00}'..).take(3000).collect();
    let error = place.error(&Data { vocab: Some(200), ..of(Source::Text, place.write("many", many)) });
    assert!(
        error.contains("200 is too few for the 3000 different characters") && error.contains("write 256 or more"),
        "{error}"
    );
}

/// Computed by the program before it knew of separators: corpora keep their names, and runs their identities.
#[test]
fn corpora_that_were_read_rightly_keep_their_fingerprints() {
    let place = Place::new();
    let numbers = |i: usize| (1..30).map(|j| (i * j).to_string()).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = (0..100).map(|i| format!("Document {i} has words of its own: {}.", numbers(i))).collect();
    let text = texts.iter().flat_map(|text| [text, "\n\n"]).collect::<String>();
    let lines = |texts: &[String]| texts.iter().flat_map(|text| ["{\"body\": \"", text, "\"}\n"]).collect::<String>();
    place.write("s-1.jsonl", lines(&texts[..50]));
    place.write("s-2.jsonl", lines(&texts[50..]));
    let fingerprint = |data: &Data| place.prepare(data).unwrap().facts().fingerprint;
    assert_eq!(fingerprint(&of(Source::Text, place.write("t.txt", text))), "d5ad173b6c48c247");
    assert_eq!(fingerprint(&of(Source::Jsonl, place.path("s-*.jsonl"))), "15c8ba4b7f78df7f");
    assert_eq!(data(Source::Text).separator, None);
}

#[test]
fn a_separator_whose_lines_end_otherwise_is_told_and_one_of_several_lines_is_shown_on_one() {
    let place = Place::new();
    let separator = Some("\n---\n".to_owned());
    let with =
        |content: String| Data { separator: separator.clone(), ..of(Source::Text, place.write("t.txt", content)) };
    let lines = documents_of_words(60).join("\n---\n");
    let error = place.error(&with(lines.replace('\n', "\r\n")));
    assert!(error.contains("its lines end with \\r\\n") && error.contains("write \"\\r\\n---\\r\\n\""), "{error}");
    let about = place.prepare(&with(lines)).unwrap().manifest().text.clone().unwrap();
    assert_eq!((about.separator.as_deref(), about.documents), (Some("\\n---\\n separates documents"), 60));
    // A slip of the pen for one of the names.
    let slip = Data {
        separator: Some("blank lines".to_owned()),
        ..of(Source::Text, place.write("s.txt", marked(&stories(60))))
    };
    let error = place.error(&slip);
    assert!(
        error.contains("stands between no two documents") && error.contains("write \"blank line\", \"line\""),
        "{error}"
    );
    // Lines of old Macs.
    let separator = Some("line".to_owned());
    let error =
        place.error(&Data { separator, ..of(Source::Text, place.write("m.txt", "words of a line\r".repeat(60))) });
    assert!(error.contains("tr '\\r' '\\n'"), "{error}");
}
