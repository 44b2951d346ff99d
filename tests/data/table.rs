//! The table of files in docs/formats.md: each line is made and held.

use std::path::PathBuf;

use runner::data::DataError;
use runner::spec::{Data, Source};

use super::formats::{gzip, zstandard};
use super::{bytes, data, documents_of_words, jsonl, of};
use crate::common::Place;

/// Bytes of a frame of Zstandard with one uncompressed block and a window of 2^`log` bytes.
fn windowed(content: &[u8], log: u8) -> Vec<u8> {
    let block = (content.len() as u32) << 3 | 1;
    [b"\x28\xb5\x2f\xfd\0", &[(log - 10) << 3][..], &block.to_le_bytes()[..3], content].concat()
}

/// A tar archive's first block, with the mark where it belongs.
fn tar() -> Vec<u8> {
    let mut block = vec![b'a'; 1024];
    block[257..262].copy_from_slice(b"ustar");
    block
}

/// The beginning of a file that is not read, and something behind it.
fn beginning(mark: &[u8]) -> Vec<u8> {
    [mark, &[0, 1, 2, 3].repeat(64)[..]].concat()
}

/// What no source reads, or not as what it is.
fn of_another_kind(file: &str) -> Vec<u8> {
    match file {
        "bzip2" => beginning(b"BZh91AY&SY"),
        "xz" => beginning(b"\xfd7zXZ\0"),
        "lz4" => beginning(b"\x04\x22\x4d\x18"),
        "zip" => beginning(b"PK\x03\x04"),
        "7-Zip" => beginning(b"7z\xbc\xaf\x27\x1c"),
        "Arrow" => beginning(b"ARROW1\0\0"),
        "Arrow stream" => beginning(b"\xff\xff\xff\xff"),
        "NumPy array" => beginning(b"\x93NUMPY\x01\0"),
        "pickle" => beginning(b"\x80\x04\x95"),
        "LitGPT" => beginning(b"LITPKDS"),
        "Megatron's index" => beginning(b"MMIDIDX\0\0"),
        "Parquet" => beginning(b"PAR1"),
        "UTF-32" => beginning(b"\xff\xfe\0\0"),
        "Git LFS pointer" => b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n".to_vec(),
        "HTML page" => b"<!DOCTYPE html>\n<html><body>404</body></html>".to_vec(),
        "PDF" => beginning(b"%PDF-1.7"),
        "SQLite" => beginning(b"SQLite format 3\0"),
        other => panic!("docs/formats.md has a line that nobody makes: {other}"),
    }
}

/// The same 120 documents in a file as a line of the table names it, as a path for `source`.
fn make(place: &Place, file: &str, source: Source) -> PathBuf {
    let documents = documents_of_words(120);
    let text = match source {
        Source::Jsonl => jsonl(&documents),
        _ => documents.join("\n\n"),
    };
    let ids: Vec<u16> = (0..4000_u32).map(|i| (i * i % 251) as u16).collect();
    let wide =
        |size: usize| -> Vec<u8> { ids.iter().flat_map(|id| u64::from(*id).to_le_bytes()[..size].to_vec()).collect() };
    let utf_16 = || text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let content: Vec<u8> = match file.trim_matches('`') {
        address if address.contains("://") => return PathBuf::from(address),
        "a folder" => {
            std::fs::create_dir(place.path("folder")).unwrap();
            place.write("folder/a.txt", &text[..text.len() / 2]);
            place.write("folder/b.txt", &text[text.len() / 2..]);
            return place.path("folder");
        }
        "an empty shard among others" => {
            place.write("shard-0", "");
            place.write("shard-1", if source == Source::Bin { bytes(&ids) } else { text.into_bytes() });
            place.write("shard-2", "");
            return place.path("shard-*");
        }
        "a link to nothing" => {
            std::os::unix::fs::symlink("nowhere", place.path("link")).unwrap();
            return place.path("link");
        }
        "UTF-8" => text.into_bytes(),
        "JSON Lines" => jsonl(&documents).into_bytes(),
        "a list in JSON" => format!("[{}]", jsonl(&documents).trim().replace('\n', ", ")).into_bytes(),
        "objects of several lines" => text.replace('{', "{\n").into_bytes(),
        "CSV" => documents.iter().fold("id,body\n".to_owned(), |all, text| format!("{all}1,\"{text}\"\n")).into_bytes(),
        "UTF-8 with a byte order mark" => format!("\u{feff}{text}").into_bytes(),
        "gzip" => gzip(&text),
        "Zstandard" => zstandard(&text),
        "Zstandard with a window of 2 GiB" => windowed(text.as_bytes(), 31),
        "Zstandard with a window of 4 GiB" => windowed(text.as_bytes(), 32),
        "ids of 16 bits" => wide(2),
        "ids of 32 bits" => wide(4),
        "ids of 64 bits" => wide(8),
        "ids of 32 bits, cut short" => wide(4)[..15_998].to_vec(),
        "ids of 32 bits, big-endian" => {
            wide(4).chunks(4).flat_map(|id| id.iter().rev().copied().collect::<Vec<u8>>()).collect()
        }
        "tar.gz" => gzip(tar()),
        "UTF-16" => [b"\xff\xfe".to_vec(), utf_16()].concat(),
        "UTF-16, big-endian" => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "UTF-16 in gzip" => gzip([b"\xff\xfe".to_vec(), utf_16()].concat()),
        "UTF-16, cut short" => [b"\xff\xfe".to_vec(), utf_16(), b"a".to_vec()].concat(),
        "UTF-16 without a mark" => utf_16(),
        other => of_another_kind(other),
    };
    place.write("file", content)
}

fn prepare(place: &Place, file: &str, source: Source) -> Result<String, DataError> {
    let path = make(place, file, source);
    let data = match source {
        Source::Bin => Data { path: Some(path), validation_fraction: Some(0.2), ..data(Source::Bin) },
        _ => of(source, path),
    };
    place.prepare(&data).map(|corpus| corpus.facts().fingerprint)
}

#[test]
fn each_line_of_the_table_of_files_happens() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/formats.md")).unwrap();
    let (_, table) = docs.split_once("| file | `source` | what happens |").unwrap();
    let lines: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(lines.len() >= 61, "lines are only added: {}", lines.len());
    let mut wrong = Vec::new();
    for line in lines {
        let [file, source, happens] = line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (source, plain) = match source {
            "`text`" => (Source::Text, "UTF-8"),
            "`jsonl`" => (Source::Jsonl, "UTF-8"),
            "`parquet`" => (Source::Parquet, ""),
            "`bin`" => (Source::Bin, "ids of 16 bits"),
            _ => panic!("{line}"),
        };
        let place = Place::new();
        let outcome = prepare(&place, file, source);
        match (happens.strip_prefix("refused: "), outcome) {
            (None, Ok(fingerprint)) if happens == "read" => {
                let expected = Place::new();
                let same = prepare(&expected, plain, source).unwrap();
                // A folder of two files has one document more where it was cut; the others have the very tokens.
                if file != "a folder" && place.tokens(&fingerprint, "train.u16") != expected.tokens(&same, "train.u16")
                {
                    wrong.push(format!("{line}\n    other tokens"));
                }
            }
            (Some(quoted), Err(error)) if error.to_string().contains(quoted.trim_matches('"')) => {}
            (_, outcome) => wrong.push(format!("{line}\n    {outcome:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_path_may_begin_at_home() {
    let place = Place::new();
    let home = std::env::home_dir().unwrap();
    let error = place.error(&of(Source::Text, PathBuf::from("~/no such text of runner's tests")));
    assert!(error.contains(home.to_str().unwrap()), "{error}");
}
