//! How much text a source has: counted as far as it matters, without preparing anything.

use std::io::BufRead as _;
use std::path::Path;

use super::bin::BinRecipe;
use super::{DataError, cache, compressed, jsonl, kind, parquet};
use crate::spec::{Data, Part, Source};
use crate::unpacked;

/// Bytes of text in the files of a part; where it has more than `most`, any number above that.
pub fn of(part: &Part, most: u64) -> Result<u64, DataError> {
    let mut bytes = 0;
    for path in kind::files(&part.path, part.source)? {
        if bytes > most {
            break;
        }
        bytes += of_file(&path, part, most - bytes)?;
    }
    Ok(bytes)
}

/// Tokens in token files for training, before any are held out.
pub fn of_token_files(data: &Data) -> Result<usize, DataError> {
    Ok(BinRecipe::new(data)?.tokens())
}

fn of_file(path: &Path, part: &Part, most: u64) -> Result<u64, DataError> {
    let column = part.column.as_deref().unwrap_or_default();
    if part.source == Source::Parquet {
        return parquet::length(path, column);
    }
    let file = cache::map(path)?;
    if part.source != Source::Jsonl {
        return compressed::length(&file, most).map_err(DataError::io("read", path));
    }
    let (mut reader, mut line, mut bytes) = (unpacked::reader(&file), Vec::new(), 0);
    while bytes <= most && reader.read_until(b'\n', &mut line).map_err(DataError::io("read", path))? > 0 {
        bytes += jsonl::text(&line, column).map_or(0, |text| text.len() as u64);
        line.clear();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn part(path: &Path, source: Source) -> Part {
        let column = (source == Source::Jsonl).then(|| "body".to_owned());
        Part { name: None, source, path: path.to_owned(), column, separator: None, weight: None }
    }

    #[test]
    fn text_is_counted_as_it_is_when_unpacked_and_of_one_field_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("texts");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.txt"), "x".repeat(500)).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all("y".repeat(1000).as_bytes()).unwrap();
        std::fs::write(folder.join("b.txt.gz"), packed.finish().unwrap()).unwrap();
        assert_eq!(of(&part(&folder, Source::Text), 1 << 20).unwrap(), 1500);
        let lines = dir.path().join("c.jsonl");
        std::fs::write(&lines, "{\"id\": \"long enough\", \"body\": \"ab\\n\"}\nnonsense\n{\"body\": \"cd\"}").unwrap();
        assert_eq!(of(&part(&lines, Source::Jsonl), 1 << 20).unwrap(), 5);
        assert!(of(&part(&dir.path().join("none.txt"), Source::Text), 1).is_err());
        let empty = dir.path().join("empty.txt");
        std::fs::write(&empty, "").unwrap();
        assert_eq!(of(&part(&empty, Source::Text), 1).unwrap(), 0);
    }
}
