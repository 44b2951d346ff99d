//! Corpora in the formats that people have: JSON Lines, Parquet, several files, and mixtures.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use runner::data::Corpus;
use runner::spec::{self, Data, Part, Source};

use super::data::{CONTEXT, Place, data, text};

/// The documents of a text.
fn documents(count: usize) -> Vec<String> {
    text(count).split("\n\n").filter(|document| !document.trim().is_empty()).map(str::to_owned).collect()
}

fn jsonl(documents: &[String]) -> String {
    documents.iter().map(|text| serde_json::json!({"id": 1, "body": text}).to_string() + "\n").collect()
}

/// A Parquet file of two row groups with the columns id and body, every tenth body null.
fn parquet(documents: &[String], compression: Compression) -> Vec<u8> {
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

fn of(source: Source, path: PathBuf) -> Data {
    let column = (source != Source::Text).then(|| "body".to_owned());
    Data { path: Some(path), column, validation_fraction: Some(0.2), ..data(source) }
}

fn part(source: Source, path: PathBuf, weight: Option<f64>) -> Part {
    let column = (source != Source::Text).then(|| "body".to_owned());
    Part { source, path, column, weight }
}

fn mixture(parts: Vec<Part>) -> Data {
    Data { validation_fraction: Some(0.2), parts, ..data(Source::Mixture) }
}

#[test]
fn the_same_documents_give_the_same_tokens_in_every_format() {
    let place = Place::new();
    let documents = documents(200);
    let half = documents.len() / 2;
    place.file("split-1.jsonl", jsonl(&documents[..half]));
    place.file("split-2.jsonl", jsonl(&documents[half..]));
    let files = [
        (Source::Text, place.file("all.txt", documents.join("\n\n"))),
        (Source::Jsonl, place.file("all.jsonl", jsonl(&documents))),
        (Source::Jsonl, place.0.path().join("split-*.jsonl")),
        (Source::Parquet, place.file("plain.parquet", parquet(&documents, Compression::UNCOMPRESSED))),
        (Source::Parquet, place.file("snappy.parquet", parquet(&documents, Compression::SNAPPY))),
        (Source::Parquet, place.file("zstd.parquet", parquet(&documents, Compression::ZSTD(ZstdLevel::default())))),
    ];
    let mut tokens = Vec::new();
    for (source, path) in &files {
        let corpus = place.prepare(&of(*source, path.clone())).unwrap();
        let fingerprint = corpus.facts().fingerprint;
        tokens.push(["train.u16", "validation.u16"].map(|name| place.tokens(&fingerprint, name)));
        assert_eq!(corpus.manifest().text.as_ref().unwrap().documents, documents.len() as u64);
    }
    assert!(tokens.iter().all(|each| *each == tokens[0]));
    // As parts without weights they are one corpus too.
    let whole = mixture(vec![
        part(Source::Jsonl, place.0.path().join("split-1.jsonl"), None),
        part(Source::Text, place.file("rest.txt", documents[half..].join("\n\n")), None),
    ]);
    let corpus = place.prepare(&whole).unwrap();
    assert_eq!(place.tokens(&corpus.facts().fingerprint, "train.u16"), tokens[0][0]);
    assert!(corpus.manifest().parts.is_empty());
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// With a checksum, as the program zstd writes it.
fn zstandard(text: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_text_gives_the_tokens_of_the_text() {
    let place = Place::new();
    let documents = documents(200);
    let (lines, text) = (jsonl(&documents), documents.join("\n\n"));
    let (first, rest) = lines.split_at(lines.find('\n').unwrap() + 1);
    let files = [
        (Source::Text, place.file("plain.txt", &text)),
        (Source::Text, place.file("a.txt.gz", gzip(&text))),
        (Source::Text, place.file("a.txt.zst", zstandard(&text))),
        (Source::Jsonl, place.file("a.jsonl.gz", gzip(&lines))),
        (Source::Jsonl, place.file("a.jsonl.zst", zstandard(&lines))),
        // Members and frames one after another, whatever the name says.
        (Source::Jsonl, place.file("joined.jsonl", [gzip(first), gzip(rest)].concat())),
        (Source::Jsonl, place.file("joined.gz", [zstandard(first), zstandard(rest)].concat())),
    ];
    let tokens = files.map(|(source, path)| {
        let fingerprint = place.prepare(&of(source, path)).unwrap().facts().fingerprint;
        ["train.u16", "validation.u16"].map(|name| place.tokens(&fingerprint, name))
    });
    assert!(tokens.iter().all(|each| *each == tokens[0]));
}

#[test]
fn a_compressed_file_that_is_cut_short_or_damaged_is_an_error_wherever_it_happens() {
    let place = Place::new();
    let text = documents(60).join("\n\n");
    let lines = jsonl(&documents(60));
    for (name, source, whole) in [
        ("x.txt.gz", Source::Text, gzip(&text)),
        ("x.jsonl.gz", Source::Jsonl, gzip(&lines)),
        ("x.jsonl.zst", Source::Jsonl, zstandard(&lines)),
    ] {
        for length in [4, 20, whole.len() / 2, whole.len() - 1] {
            let error = place.error(&of(source, place.file(name, &whole[..length])));
            assert!(
                error.contains(name) && error.contains("damaged or cut short"),
                "{name} of {length} bytes: {error}"
            );
        }
        let mut outcomes = BTreeMap::new();
        for at in (4..whole.len()).step_by(whole.len() / 40) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let outcome = place.prepare(&of(source, place.file(name, damaged)));
            *outcomes.entry(outcome.is_ok()).or_insert(0) += 1;
        }
        // Bits of a header, such as the time in gzip's, say nothing of the text.
        assert!(outcomes.get(&true).copied().unwrap_or(0) <= 2, "{name}: damage is noticed: {outcomes:?}");
    }
    // What is inside is checked like any other text, by its own line.
    let error = place.error(&of(Source::Jsonl, place.file("y.jsonl.gz", gzip("{\"body\": \"a\"}\n{\"body\": 5}\n"))));
    assert!(error.contains("y.jsonl.gz: line 2:10: invalid type"), "{error}");
    let error = place.error(&of(Source::Text, place.file("y.txt.gz", gzip("a\0b"))));
    assert!(error.contains("NUL character at byte offset 1"), "{error}");
    let error = place.error(&of(Source::Text, place.file("empty.txt.zst", zstandard(""))));
    assert!(error.contains("holds no text"), "{error}");
    let error = place.error(&of(Source::Jsonl, place.file("y.jsonl.bz2", "BZh91AY")));
    assert!(error.contains("bunzip2"), "{error}");
}

#[test]
fn a_mixture_is_planned_and_rehearsed() {
    let place = Place::new();
    place.file("web.jsonl.gz", gzip(&jsonl(&documents(4000))));
    place.file("books.txt", documents(6000)[4000..].join("\n\n"));
    let quickstart = include_str!("../sweeps/quickstart.toml");
    // The corpus is small, and so is what it holds out.
    let model = quickstart[quickstart.find("[model]").unwrap()..].replace("tokens = 163840", "tokens = 16384");
    let data = "name = \"mixed\"\n[data]\nsource = \"mixture\"\nvocab = 256\nvalidation_fraction = 0.1\nmax_epochs = 50.0\n\
        seed = 1\n[[data.parts]]\nsource = \"jsonl\"\npath = \"web*.jsonl.gz\"\ncolumn = \"body\"\nweight = 3.0\n\
        [[data.parts]]\nsource = \"text\"\npath = \"books.txt\"\nweight = 1.0\n";
    place.file("mixed.toml", format!("{data}{model}"));
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(place.0.path()).env_remove("RUNNER_CACHE").args(arguments);
        let output = command.arg("mixed.toml").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["data", "prepare"]).contains("75.000% of the tokens"));
    assert!(run(&["plan"]).contains("21 runs"));
    run(&["sweep", "--device", "rehearsal"]);
    let spec = fs::read_to_string(place.0.path().join("results/mixed-rehearsal/spec.toml")).unwrap();
    assert_eq!(spec.matches("[[data.parts]]").count(), 2, "{spec}");
    let rows = fs::read_to_string(place.0.path().join("results/mixed-rehearsal/runs.csv")).unwrap();
    assert_eq!(rows.matches(",finished,").count(), 21);
}

/// Two parts told apart by their letters: one of small words, one of capitals, with six times as much text.
fn letters(place: &Place, weights: [Option<f64>; 2]) -> Data {
    let small = place.file("small.jsonl", jsonl(&documents(100)));
    let capitals: Vec<String> =
        documents(700)[100..].iter().map(|text| text.to_uppercase().replace('É', "E")).collect();
    let capitals = place.file("capitals.parquet", parquet(&capitals, Compression::SNAPPY));
    mixture(vec![part(Source::Jsonl, small, weights[0]), part(Source::Parquet, capitals, weights[1])])
}

/// Share of sequences with more small letters than capitals.
fn share(tokens: &[u16]) -> f64 {
    let small = |row: &&[u16]| {
        let count = |range: std::ops::RangeInclusive<u8>| {
            row.iter().filter(|id| u8::try_from(**id).is_ok_and(|byte| range.contains(&byte))).count()
        };
        count(b'a'..=b'z') > count(b'A'..=b'Z')
    };
    let rows = tokens.chunks(CONTEXT + 1);
    rows.clone().filter(small).count() as f64 / rows.len() as f64
}

#[test]
fn weights_are_shares_of_the_tokens_whatever_the_sizes_in_training_and_validation() {
    let place = Place::new();
    for weight in [0.25, 0.5] {
        let data = letters(&place, [Some(weight), Some(1.0 - weight)]);
        let corpus = place.prepare(&data).unwrap();
        let mut tokens = Vec::new();
        // Every batch has the shares, not only all of them together.
        for step in 0..20 {
            corpus.train_batch(3, 64, step, &mut tokens);
            assert!((share(&tokens) - weight).abs() < 0.02, "step {step}: {} instead of {weight}", share(&tokens));
        }
        let sequences = corpus.validation_sequences(u64::MAX);
        corpus.validation_batch(u64::MAX, 0, sequences, &mut tokens);
        assert!((share(&tokens) - weight).abs() < 0.02, "validation: {} instead of {weight}", share(&tokens));
        // An epoch ends with the part that is used up first.
        let facts = corpus.manifest().parts[0].clone();
        let epoch = corpus.facts().train_tokens.unwrap() as f64;
        assert!((epoch * weight / facts.train_tokens as f64 - 1.0).abs() < 0.05, "{epoch} of {facts:?}");
    }
    let unweighted = place.prepare(&letters(&place, [None, None])).unwrap();
    let mut tokens = Vec::new();
    unweighted.train_batch(3, 1000, 0, &mut tokens);
    assert!((share(&tokens) - 1.0 / 7.0).abs() < 0.04, "by size: {}", share(&tokens));
}

#[test]
fn a_mixture_is_another_corpus_with_other_weights_and_the_same_wherever_its_files_lie() {
    let place = Place::new();
    let fingerprint = |data: &Data| place.prepare(data).unwrap().facts().fingerprint;
    let data = letters(&place, [Some(1.0), Some(3.0)]);
    let first = fingerprint(&data);
    assert_eq!(fingerprint(&letters(&place, [Some(2.0), Some(6.0)])), first, "only the shares count");
    assert_ne!(fingerprint(&letters(&place, [Some(1.0), Some(1.0)])), first);
    assert_ne!(fingerprint(&letters(&place, [None, None])), first);
    let mut moved = data.clone();
    moved.parts[0].path = place.file("elsewhere.jsonl", fs::read(&data.parts[0].path).unwrap());
    assert_eq!(fingerprint(&moved), first);
    let (one, two) = (place.prepare(&data).unwrap(), Corpus::open(&moved, &first, CONTEXT, &place.cache()).unwrap());
    let [mut a, mut b] = [Vec::new(), Vec::new()];
    one.train_batch(5, 32, 7, &mut a);
    two.train_batch(5, 8, 28, &mut b);
    assert_eq!(a[..8 * (CONTEXT + 1)], b, "the stream does not depend on how it is cut into batches");
}

#[test]
fn broken_files_are_errors_that_say_where_and_what_to_do() {
    let place = Place::new();
    let documents = documents(40);
    let whole = parquet(&documents, Compression::SNAPPY);
    let parquet_error = |bytes: &[u8], column: &str| {
        let path = place.file("x.parquet", bytes);
        place.error(&Data { column: Some(column.to_owned()), ..of(Source::Parquet, path) })
    };
    for (column, expected) in [
        ("text", "there is no column \"text\"; its columns of text: body"),
        ("id", "column \"id\" holds INT64 and no text"),
        ("tags", "is a list and no text"),
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

    let path = place.file("x.jsonl", "{\"body\": \"a\"}\n{\"body\": \"a\\u0000b\"}\n");
    let error = place.error(&of(Source::Jsonl, path));
    assert!(error.contains("x.jsonl: line 2: body: a NUL character"), "{error}");
    let error = place.error(&of(Source::Jsonl, place.file("empty.jsonl", "\n{\"body\": null}\n")));
    assert!(error.contains("empty.jsonl: holds no text"), "{error}");
    let error = place.error(&of(Source::Jsonl, place.0.path().join("nothing-*.jsonl")));
    assert!(error.contains("no file matches"), "{error}");
}

#[test]
fn no_damage_to_a_parquet_file_ends_the_process() {
    let place = Place::new();
    let whole = parquet(&documents(12), Compression::SNAPPY);
    let mut outcomes: BTreeMap<bool, usize> = BTreeMap::new();
    let path = place.file("x.parquet", &whole);
    for (at, _) in whole.iter().enumerate().step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, damaged).unwrap();
        *outcomes.entry(place.prepare(&of(Source::Parquet, path.clone())).is_ok()).or_default() += 1;
    }
    assert!(outcomes.get(&false).copied().unwrap_or_default() > 10, "most damage is noticed: {outcomes:?}");
}

#[test]
fn keys_that_do_not_go_together_are_errors_that_name_them() {
    let place = Place::new();
    let path = || place.file("t.txt", text(50));
    let text = || of(Source::Text, path());
    let two = |first, second| mixture(vec![part(Source::Text, path(), first), part(Source::Text, path(), second)]);
    let cases = [
        ("data.column", Data { column: Some("x".to_owned()), ..text() }),
        ("data.parts", Data { parts: vec![part(Source::Text, path(), None)], ..text() }),
        ("data.column", Data { column: None, ..of(Source::Jsonl, path()) }),
        ("data.path", Data { path: None, ..of(Source::Parquet, path()) }),
        ("data.path", Data { path: Some(path()), ..two(None, None) }),
        ("data.parts", mixture(Vec::new())),
        ("data.vocab", Data { vocab: None, ..two(None, None) }),
        ("data.parts[1].weight", two(Some(1.0), None)),
        ("data.parts[1].weight", two(Some(1.0), Some(0.0))),
        ("data.parts[0].weight", two(Some(f64::NAN), Some(1.0))),
        ("data.parts", two(Some(1.0), Some(1e-6))),
        ("data.parts[0].source", mixture(vec![part(Source::Bin, path(), None)])),
        ("data.parts[0].column", mixture(vec![Part { column: None, ..part(Source::Jsonl, path(), None) }])),
    ];
    for (key, data) in cases {
        let error = place.error(&data);
        assert!(error.starts_with(&format!("{key}: ")), "{key}: {error}");
    }
    let mut small = letters(&place, [Some(1.0), Some(1.0)]);
    small.parts[0].path = place.file("one.jsonl", "{\"body\": \"ab\"}\n{\"body\": \"cd\"}\n");
    let error = place.error(&small);
    assert!(error.contains("need some") || error.contains("part 1 has only"), "{error}");
}

#[test]
fn a_mixture_in_a_spec_is_read_and_its_faults_are_told_with_their_line() {
    let config = include_str!("../configs/small.toml");
    let with = |data: &str| {
        let (before, rest) = config.split_once("[data]").unwrap();
        let (_, after) = rest.split_once("[model]").unwrap();
        spec::parse(&format!("{before}[data]\n{data}\n[model]{after}"), "spec.toml")
    };
    let common = "source = \"mixture\"\nvocab = 512\nvalidation_fraction = 0.1\nmax_epochs = 1.0\nseed = 1\n";
    let part = |rest: &str| format!("[[data.parts]]\nsource = \"jsonl\"\npath = \"web/*.jsonl\"\n{rest}\n");
    let read = with(
        &(common.to_owned() + &part("column = \"text\"\nweight = 0.7") + &part("column = \"text\"\nweight = 0.3")),
    );
    let read = read.unwrap();
    assert_eq!(read.data.parts[1].weight, Some(0.3));
    assert_eq!(spec::parse(&read.to_toml(), "again").unwrap(), read);
    let error = with(&(common.to_owned() + &part("column = \"text\"") + &part("colum = \"text\""))).unwrap_err();
    assert!(error.line.is_some() && error.to_string().contains("colum"), "{error}");
    let error =
        with(&(common.to_owned() + &part("column = \"text\"\nweight = 1.0") + &part("column = \"text\""))).unwrap_err();
    assert_eq!(error.key, "data.parts[1].weight", "{error}");
    assert!(error.line.is_some());
}
