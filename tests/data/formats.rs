//! Corpora in the formats that people have: JSON Lines, Parquet, several files, compressed ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use runner::data::Corpus;
use runner::spec::{Data, Source};

use super::{CONTEXT, documents_of_words, jsonl, mixture, of, part};
use crate::common::Place;

/// A Parquet file of two row groups with the columns id and body, every tenth body null.
pub fn parquet(documents: &[String], compression: Compression) -> Vec<u8> {
    let schema = "message m { required int64 id; optional binary body (STRING); repeated binary tags (STRING); }";
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_data_page_row_count_limit(50)
        .build();
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for half in documents.chunks(documents.len().div_ceil(2).max(1)) {
        let mut group = file.next_row_group().unwrap();
        // A null before every tenth document.
        let present: Vec<i16> =
            half.iter().enumerate().flat_map(|(at, _)| if at % 10 == 0 { vec![0, 1] } else { vec![1] }).collect();
        let ids: Vec<i64> = (0..).take(present.len()).collect();
        let values: Vec<ByteArray> = half.iter().map(|text| ByteArray::from(text.as_str())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&present), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let none = vec![0; present.len()];
        column.typed::<ByteArrayType>().write_batch(&[], Some(&none), Some(&none)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.close().unwrap();
    bytes
}

#[test]
fn the_same_documents_give_the_same_tokens_in_every_format() {
    let place = Place::new();
    let documents = documents_of_words(200);
    let half = documents.len() / 2;
    place.write("split-1.jsonl", jsonl(&documents[..half]));
    place.write("split-2.jsonl", jsonl(&documents[half..]));
    let files = [
        (Source::Text, place.write("all.txt", documents.join("\n\n"))),
        (Source::Jsonl, place.write("all.jsonl", jsonl(&documents))),
        (Source::Jsonl, place.path("split-*.jsonl")),
        (Source::Parquet, place.write("plain.parquet", parquet(&documents, Compression::UNCOMPRESSED))),
        (Source::Parquet, place.write("snappy.parquet", parquet(&documents, Compression::SNAPPY))),
        (Source::Parquet, place.write("zstd.parquet", parquet(&documents, Compression::ZSTD(ZstdLevel::default())))),
    ];
    let mut tokens = Vec::new();
    for (source, path) in files {
        let data = of(source, path);
        tokens.push(place.split(&data));
        let manifest = place.prepare(&data).unwrap().manifest().clone();
        assert_eq!(manifest.text.unwrap().documents, documents.len() as u64);
    }
    assert!(tokens.iter().all(|each| *each == tokens[0]));
    // As parts without weights they are one corpus too.
    let whole = mixture(vec![
        part(Source::Jsonl, place.path("split-1.jsonl"), None),
        part(Source::Text, place.write("rest.txt", documents[half..].join("\n\n")), None),
    ]);
    assert_eq!(place.split(&whole), tokens[0]);
    assert!(place.prepare(&whole).unwrap().manifest().parts.is_empty());
}

pub fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// With a checksum, as the program zstd writes it.
pub fn zstandard(text: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_text_gives_the_tokens_of_the_text() {
    let place = Place::new();
    let documents = documents_of_words(200);
    let (lines, text) = (jsonl(&documents), documents.join("\n\n"));
    let (first, rest) = lines.split_at(lines.find('\n').unwrap() + 1);
    let files = [
        (Source::Text, place.write("plain.txt", &text)),
        (Source::Text, place.write("a.txt.gz", gzip(&text))),
        (Source::Text, place.write("a.txt.zst", zstandard(&text))),
        (Source::Jsonl, place.write("a.jsonl.gz", gzip(&lines))),
        (Source::Jsonl, place.write("a.jsonl.zst", zstandard(&lines))),
        // Members and frames one after another, whatever the name says.
        (Source::Jsonl, place.write("joined.jsonl", [gzip(first), gzip(rest)].concat())),
        (Source::Jsonl, place.write("joined.gz", [zstandard(first), zstandard(rest)].concat())),
    ];
    let tokens = files.map(|(source, path)| place.split(&of(source, path)));
    assert!(tokens.iter().all(|each| *each == tokens[0]));
}

#[test]
fn a_compressed_file_that_is_cut_short_or_damaged_is_an_error_wherever_it_happens() {
    let place = Place::new();
    let text = documents_of_words(60).join("\n\n");
    let lines = jsonl(&documents_of_words(60));
    for (name, source, whole) in [
        ("x.txt.gz", Source::Text, gzip(&text)),
        ("x.jsonl.gz", Source::Jsonl, gzip(&lines)),
        ("x.jsonl.zst", Source::Jsonl, zstandard(&lines)),
    ] {
        for length in [4, 20, whole.len() / 2, whole.len() - 1] {
            let error = place.error(&of(source, place.write(name, &whole[..length])));
            assert!(
                error.contains(name) && error.contains("damaged or cut short"),
                "{name} of {length} bytes: {error}"
            );
        }
        let mut outcomes = BTreeMap::new();
        for at in (4..whole.len()).step_by(whole.len() / 40) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let outcome = place.prepare(&of(source, place.write(name, damaged)));
            *outcomes.entry(outcome.is_ok()).or_insert(0) += 1;
        }
        // Bits of a header, such as the time in gzip's, say nothing of the text.
        assert!(outcomes.get(&true).copied().unwrap_or(0) <= 2, "{name}: damage is noticed: {outcomes:?}");
    }
    // What is inside is checked like any other text, by its own line.
    let error = place.error(&of(Source::Jsonl, place.write("y.jsonl.gz", gzip("{\"body\": \"a\"}\n{\"body\": 5}\n"))));
    assert!(error.contains("y.jsonl.gz: line 2:10: invalid type"), "{error}");
    let error = place.error(&of(Source::Text, place.write("y.txt.gz", gzip("a\0b"))));
    assert!(error.contains("NUL character at byte offset 1"), "{error}");
    let error = place.error(&of(Source::Text, place.write("empty.txt.zst", zstandard(""))));
    assert!(error.contains("holds no text"), "{error}");
    let error = place.error(&of(Source::Jsonl, place.write("y.jsonl.bz2", "BZh91AY")));
    assert!(error.contains("bunzip2"), "{error}");
}

#[test]
fn broken_files_are_errors_that_say_where_and_what_to_do() {
    let place = Place::new();
    let documents = documents_of_words(40);
    let whole = parquet(&documents, Compression::SNAPPY);
    let parquet_error = |bytes: &[u8], column: &str| {
        let path = place.write("x.parquet", bytes);
        place.error(&Data { column: Some(column.to_owned()), ..of(Source::Parquet, path) })
    };
    for (column, expected) in [
        ("text", "there is no column \"text\"; its columns of text: body"),
        ("id", "column \"id\" holds INT64 and no text"),
        ("tags", "column \"tags\" is a list, and a document is one text"),
    ] {
        let error = parquet_error(&whole, column);
        assert!(error.contains("x.parquet: ") && error.contains(expected), "{error}");
    }
    assert!(parquet_error(b"", "body").contains("x.parquet"));
    assert!(parquet_error(b"{\"body\": \"no parquet\"}", "body").contains("no Parquet"));
    assert!(parquet_error(&whole[..whole.len() / 2], "body").contains("damaged"));
    let bad = parquet(&["fine".to_owned(), "nul \0 inside".to_owned()], Compression::UNCOMPRESSED);
    let error = parquet_error(&bad, "body");
    assert!(error.contains("row 4: body: a NUL character after 4 bytes"), "{error}");

    let path = place.write("x.jsonl", "{\"body\": \"a\"}\n{\"body\": \"a\\u0000b\"}\n");
    let error = place.error(&of(Source::Jsonl, path));
    assert!(error.contains("x.jsonl: line 2: body: a NUL character"), "{error}");
    let error = place.error(&of(Source::Jsonl, place.write("empty.jsonl", "\n{\"body\": null}\n")));
    assert!(error.contains("empty.jsonl: holds no text"), "{error}");
    let error = place.error(&of(Source::Jsonl, place.path("nothing-*.jsonl")));
    assert!(error.contains("no file matches"), "{error}");
}

#[test]
fn no_damage_to_a_parquet_file_ends_the_process() {
    let place = Place::new();
    let whole = parquet(&documents_of_words(12), Compression::SNAPPY);
    let mut outcomes: BTreeMap<bool, usize> = BTreeMap::new();
    let path = place.write("x.parquet", &whole);
    for (at, _) in whole.iter().enumerate().step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, damaged).unwrap();
        *outcomes.entry(place.prepare(&of(Source::Parquet, path.clone())).is_ok()).or_default() += 1;
    }
    assert!(outcomes.get(&false).copied().unwrap_or_default() > 10, "most damage is noticed: {outcomes:?}");
}

#[test]
fn rows_that_cannot_be_read_are_passed_over_on_demand_and_counted() {
    let place = Place::new();
    let good = documents_of_words(100);
    let mut lines = jsonl(&good);
    lines.insert_str(
        lines.find('\n').unwrap() + 1,
        "{\"body\": \"torn\n{\"other\": 1}\n{\"body\": \"with \\u0000 inside\"}\n",
    );
    let mut rows = good.clone();
    rows.insert(1, "with \0 inside".to_owned());
    let cases = [
        (Source::Jsonl, place.write("bad.jsonl", lines), 3, "line 2"),
        (Source::Parquet, place.write("bad.parquet", parquet(&rows, Compression::SNAPPY)), 1, "NUL character"),
    ];
    let clean = place.split(&of(Source::Jsonl, place.write("good.jsonl", jsonl(&good))));
    for (source, path, count, first) in cases {
        let data = of(source, path);
        let error = place.error(&data);
        assert!(error.contains(first) && error.contains("data.skip_bad = true"), "{error}");
        let data = Data { skip_bad: true, ..data };
        let mut said = Vec::new();
        let corpus = Corpus::prepare(&data, CONTEXT, &place.cache(), &mut |line| said.push(line.to_owned())).unwrap();
        assert_eq!(corpus.manifest().text.as_ref().unwrap().bad_rows, count);
        assert!(
            said.iter().any(|line| line.contains(&format!("skipped {count} row")) && line.contains(first)),
            "{said:?}"
        );
        assert_eq!(place.split(&data), clean);
    }
    let nested = good.iter().map(|text| serde_json::json!({"data": {"body": text}}).to_string() + "\n");
    let nested = place.write("nested.jsonl", nested.collect::<String>());
    let data = Data { column: Some("data.body".to_owned()), ..of(Source::Jsonl, nested) };
    assert_eq!(place.split(&data), clean);
}

/// A Parquet file with one column of this schema, which holds these bytes.
fn one_column(schema: &str, value: &[u8], levels: Option<[&[i16]; 2]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values = [ByteArray::from(value.to_vec())];
    let [definitions, repetitions] = levels.map_or([None, None], |levels| levels.map(Some));
    column.typed::<ByteArrayType>().write_batch(&values, definitions, repetitions).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

#[test]
fn lists_are_no_texts_and_it_is_said_how_to_join_them() {
    let place = Place::new();
    let list = "message m { optional group body (LIST) { repeated group list { optional binary element (STRING); } } }";
    let path = place.write("list.parquet", one_column(list, b"a", Some([&[3], &[0]])));
    let error = place.error(&of(Source::Parquet, path));
    assert!(error.contains("column \"body\" is a list, and a document is one text: join it in pandas"), "{error}");
    assert!(error.contains("df[\"body\"] = df[\"body\"].map(lambda items: \"\\n\".join(items))"), "{error}");
    let group = "message m { required group body { required binary text (STRING); } }";
    let path = place.write("group.parquet", one_column(group, b"a", None));
    let error = place.error(&of(Source::Parquet, path));
    assert!(error.contains("further columns and no text are in \"body\"; its columns of text: body.text"), "{error}");
    let latin = "message m { required binary body; }";
    let path = place.write("latin.parquet", one_column(latin, b"caf\xe9", None));
    let error = place.error(&of(Source::Parquet, path));
    assert!(
        error.contains("row 1: body: not UTF-8 after 3 bytes") && error.contains("iconv -f LATIN1 -t UTF-8"),
        "{error}"
    );
}

#[test]
fn rows_are_no_text_wherever_they_lie() {
    let place = Place::new();
    let lines = jsonl(&documents_of_words(120));
    fs::create_dir(place.path("mixed")).unwrap();
    place.write("mixed/a.txt", documents_of_words(50).join("\n\n"));
    place.write("mixed/b.txt", &lines);
    let table = documents_of_words(50).iter().fold("id,body\n".to_owned(), |all, text| all + "1,\"" + text + "\"\n");
    let list = format!("[{}]", lines.trim().replace('\n', ",\n"));
    for (path, words) in [
        (place.write("lines.txt", &lines), "source = \"jsonl\" and column = \"body\""),
        (place.write("lines.jsonl.gz", gzip(&lines)), "source = \"jsonl\" and column = \"body\""),
        (place.path("mixed"), "b.txt: its lines are JSON objects"),
        (place.write("list.json", list), "convert it with `jq -c '.[]'"),
        (place.write("table.csv", &table), "this is a table"),
        (place.write("table.txt", table.replace("1,", "1\t").replace("id,", "id\t")), "this is a table"),
    ] {
        let data = of(Source::Text, path);
        let error = place.error(&data);
        assert!(error.contains(words) && error.contains("write data.separator"), "{words}: {error}");
        // Whoever says how to cut it means it.
        place.prepare(&Data { separator: Some("line".to_owned()), ..data }).unwrap();
    }
}

#[test]
fn a_folder_of_shards_is_read_without_what_lies_beside_them() {
    let place = Place::new();
    let documents = documents_of_words(120);
    fs::create_dir_all(place.path("set/data")).unwrap();
    place.write("set/README.md", "# What this is");
    place.write("set/LICENSE", "MIT");
    place.write("set/_SUCCESS", "");
    place.write("set/dataset_infos.json", "{\"default\": 1}");
    place.write("set/.gitattributes", "*.jsonl lfs");
    place.write("set/data/train-0.jsonl", jsonl(&documents));
    let whole = place.split(&of(Source::Jsonl, place.path("set")));
    assert_eq!(whole, place.split(&of(Source::Jsonl, place.path("set/data/train-0.jsonl"))));
    place.write("set/data/train-0.parquet", parquet(&documents, Compression::SNAPPY));
    fs::remove_file(place.path("set/data/train-0.jsonl")).unwrap();
    assert_eq!(place.split(&of(Source::Parquet, place.path("set"))), whole);
}

#[test]
fn a_validation_set_that_is_much_larger_than_asked_for_is_told() {
    let place = Place::new();
    let even = of(Source::Text, place.write("even.txt", documents_of_words(300).join("\n\n")));
    assert_eq!(place.prepare(&even).unwrap().uneven(&even), None);
    // Most of the text is in two documents; which are held out is drawn.
    let long = words_from(9, 4000);
    let uneven = documents_of_words(100).join("\n\n") + "\n\n" + &long;
    let path = place.write("uneven.txt", uneven);
    let told: Vec<String> = (0..8)
        .filter_map(|seed| {
            let data = Data { seed, ..of(Source::Text, path.clone()) };
            place.prepare(&data).unwrap().uneven(&data)
        })
        .collect();
    assert!(
        !told.is_empty() && told.iter().all(|told| told.contains("data.validation_fraction is 20.000%")),
        "{told:?}"
    );
}

/// One document of so many words, which no other has.
fn words_from(seed: u32, count: u32) -> String {
    (0..count).map(|at| ((at * 7919 + seed) % 65_521).to_string() + " ").collect()
}
