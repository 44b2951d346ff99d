//! What kind of corpus a path holds: by the names of its files, and by their beginning where names tell nothing.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};

use super::rows::{Rows, without_packing};
use super::{DataError, cache, compressed, documents, find, rows};
use crate::foreign::is_plain_text;
use crate::spec::{Data, Source};
use crate::unpacked;

/// How a corpus lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain text, whatever its name.
    Text,
    /// JSON Lines.
    Jsonl,
    /// Parquet.
    Parquet,
    /// Token ids.
    Tokens,
}

/// What the name of a file says.
fn named(path: &Path) -> Kind {
    match without_packing(path).rsplit('.').next() {
        Some("jsonl" | "ndjson" | "json") => Kind::Jsonl,
        Some("parquet" | "pq") => Kind::Parquet,
        Some("bin" | "npy") => Kind::Tokens,
        _ => Kind::Text,
    }
}

/// Whether a file has a name that those have which lie beside shards and hold no data: what a dataset is, its licence, marks of
/// the program that wrote it. Shards may be called as they are.
fn is_beside(path: &Path) -> bool {
    let name = without_packing(path);
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    let ends = ["md", "json", "idx", "pkl", "yaml", "yml", "toml", "crc", "md5", "sha256", "lock", "py"];
    named(path) == Kind::Text && is_about(path) || ends.contains(&end)
}

/// Whether a file is about others by the beginning of its name.
fn is_about(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    ["readme", "licen", "_", "changelog", "citation", "notice"].iter().any(|begin| name.starts_with(begin))
}

/// The files of a folder that hold its data, where some are shards of `kind` by their names: all but those beside them.
fn shards(files: &mut Vec<PathBuf>, kind: Kind) {
    let is_shard = |path: &PathBuf| named(path) == kind && !is_beside(path);
    if kind != Kind::Text && files.iter().any(is_shard) {
        files.retain(|path| is_shard(path) || !is_beside(path));
    } else if kind == Kind::Jsonl && are_named_json(files) {
        files.retain(|path| named(path) == Kind::Jsonl);
    }
}

/// Whether a folder has files called `.json` and no others that may be the corpus, as pages and sources may: objects may be
/// called so too.
fn are_named_json(files: &[PathBuf]) -> bool {
    let is_json = |path: &PathBuf| named(path) == Kind::Jsonl;
    files.iter().all(|path| is_json(path) || is_about(path)) && files.iter().any(is_json)
}

/// The files that a path names for a source: of a folder with shards, not those that lie beside them.
pub fn files(path: &Path, source: Source) -> Result<Vec<PathBuf>, DataError> {
    let mut files = find::files(path)?;
    let kind = match source {
        Source::Jsonl => Kind::Jsonl,
        Source::Parquet => Kind::Parquet,
        Source::Bin => Kind::Tokens,
        _ => Kind::Text,
    };
    if find::place(path)?.is_dir() {
        shards(&mut files, kind);
    }
    Ok(files)
}

impl Kind {
    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Jsonl => "JSON Lines",
            Self::Parquet => "Parquet",
            Self::Tokens => "token ids",
        }
    }

    /// Of a file, a folder or a pattern; of what is not there, by its name. An error where a folder has two kinds, or where it
    /// is a kind that has to be converted.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let mut files = match find::files(path) {
            Ok(files) => files,
            Err(error) if path.exists() => return Err(error),
            Err(_) => return Ok(named(path)),
        };
        let by_name = if path.is_dir() { of_folder(path, &mut files)? } else { named(&files[0]) };
        let Some(beginning) = beginning(&files[0], rows::LOOK) else { return Ok(by_name) };
        match (by_name, Rows::of(&beginning, beginning.len() < rows::LOOK, &files[0])) {
            (Self::Tokens, _) if beginning.is_empty() || !is_plain_text(&beginning) => Ok(Self::Tokens),
            (Self::Parquet, _) => Ok(by_name),
            (_, Some(Rows::Lines(_))) => Ok(Self::Jsonl),
            (_, Some(rows)) => Err(DataError::content(&files[0], rows.told(&files[0]))),
            (Self::Tokens, None) => Ok(Self::Text),
            (by_name, None) => Ok(by_name),
        }
    }
}

/// The kind of the shards in a folder, and those alone of its files.
fn of_folder(folder: &Path, files: &mut Vec<PathBuf>) -> Result<Kind, DataError> {
    let kinds = [Kind::Jsonl, Kind::Parquet, Kind::Tokens];
    let has = |kind: &Kind| files.iter().any(|path| named(path) == *kind && !is_beside(path));
    let Some(kind) = kinds.into_iter().find(has) else {
        if are_named_json(files) {
            shards(files, Kind::Jsonl);
            return Ok(Kind::Jsonl);
        }
        return Ok(Kind::Text);
    };
    shards(files, kind);
    let Some(other) = files.iter().find(|path| named(path) != kind) else { return Ok(kind) };
    let shard = files.iter().find(|path| named(path) == kind).unwrap_or(&files[0]);
    let what = format!(
        "{} is {}, and {} is {}: one corpus is of one kind; give the files of one, as a pattern in quotes",
        shard.display(),
        kind.name(),
        other.display(),
        named(other).name()
    );
    Err(DataError::content(folder, what))
}

/// The first bytes of a file, unpacked; nothing where it cannot be read.
pub fn beginning(path: &Path, most: usize) -> Option<Vec<u8>> {
    begins(&cache::map(path).ok()?, most)
}

/// The same of a file whose bytes are given.
fn begins(file: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut beginning = Vec::new();
    unpacked::reader(file).take(most as u64).read_to_end(&mut beginning).ok()?;
    Some(beginning)
}

/// Bytes of text that are looked through before a spec is written; whoever prepares it reads all.
const LOOKED_THROUGH: u64 = 1 << 24;

/// Refuses what `data prepare` would not take as text, as far as the beginnings of the files show.
pub fn check_text(path: &Path) -> Result<(), DataError> {
    let Ok(files) = files(path, Source::Text) else { return Ok(()) };
    let mut left = LOOKED_THROUGH;
    for file in files.iter().filter(|file| file.exists()) {
        let bytes = cache::map(file)?;
        let unpacked = compressed::beginning(&bytes, file, left)?;
        let all = unpacked.as_deref().unwrap_or(&bytes);
        let text = &all[..all.len().min(left as usize)];
        // The look may end inside of a character.
        let cut = std::str::from_utf8(text).err().filter(|error| error.error_len().is_none());
        let is_cut = unpacked.is_some() && text.len() as u64 == left || text.len() < all.len();
        let end = cut.filter(|_| is_cut).map_or(text.len(), |error| error.valid_up_to());
        documents::checked(&text[..end], file, files.len() > 1)?;
        left -= text.len() as u64;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// A word on validation files that lie in a folder of a corpus, and are trained on.
pub fn validation_inside(data: &Data) -> Option<String> {
    let path = data.path.as_deref().filter(|_| data.validation_path.is_none())?;
    let files = files(path, data.source).ok()?;
    let begins = |words: &[&str]| {
        let is = |file: &&PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let word: String = name.chars().take_while(|c| c.is_alphabetic()).collect();
            words.contains(&word.as_str())
        };
        files.iter().find(is)
    };
    let (train, validation) = (begins(&["train", "training"])?, begins(&["val", "valid", "validation"])?);
    Some(format!(
        "{} is trained on too, and validation is a share of all files of data.path: where it is what to validate on, write path = \
         {:?} and validation_path = {:?}, and delete validation_fraction",
        validation.display(),
        train.display().to_string(),
        validation.display().to_string()
    ))
}

/// Refuses files of text, each with its bytes, where those of rows have most of it: a few among others, such as the settings
/// beside sources, are a part of the text.
pub fn refuse_rows<'a>(files: impl Iterator<Item = (&'a Path, &'a [u8])>) -> Result<(), DataError> {
    let (mut all, mut in_rows, mut first) = (0, 0, None);
    for (path, bytes) in files {
        all += bytes.len();
        let begins = begins(bytes, rows::LOOK).unwrap_or_default();
        if let Some(found) = Rows::of(&begins, begins.len() < rows::LOOK, path) {
            in_rows += bytes.len();
            first.get_or_insert((path, found));
        }
    }
    match first {
        Some((path, found)) if 2 * in_rows > all => {
            let what = format!("{}. To train on it as it is, write data.separator", found.told(path));
            Err(DataError::content(path, what))
        }
        _ => Ok(()),
    }
}

/// The field of JSON Lines that has the text, by the first line of the first file.
pub fn field_of_text(path: &Path) -> Option<String> {
    let files = files(path, Source::Jsonl).ok()?;
    let (file, mut line) = (cache::map(files.first()?).ok()?, Vec::new());
    unpacked::reader(&file).take(LONGEST_LINE).read_until(b'\n', &mut line).ok()?;
    rows::field_of_text(line.trim_ascii())
}

/// A first line that is longer is not looked at.
const LONGEST_LINE: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"id\": 1, \"body\": \"words of a text\"}\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn a_folder_is_what_its_shards_are_and_not_what_lies_beside_them() {
        let beside = [
            ("README.md", "# About"),
            ("LICENSE", "MIT"),
            ("dataset_infos.json", "{}"),
            ("_SUCCESS", ""),
            (".gitattributes", "x"),
        ];
        for (shard, content, kind, source) in [
            ("data/train-0.jsonl", LINE, Kind::Jsonl, Source::Jsonl),
            ("train-0.parquet", "PAR1", Kind::Parquet, Source::Parquet),
            ("train-0.bin", "\u{1}\0\u{2}\0", Kind::Tokens, Source::Bin),
        ] {
            let dir = folder(&[&beside[..], &[(shard, content)]].concat());
            assert_eq!(Kind::of(dir.path()).unwrap(), kind, "{shard}");
            assert_eq!(files(dir.path(), source).unwrap(), [dir.path().join(shard)]);
        }
        let json = folder(&[("README.md", "# About"), ("a.json", LINE), ("b.json", LINE)]);
        assert_eq!(Kind::of(json.path()).unwrap(), Kind::Jsonl);
        assert_eq!(files(json.path(), Source::Jsonl).unwrap().len(), 2);
        // Without shards these are a text like others: somebody's code.
        let code = folder(&[("README.md", "# About"), ("package.json", "{}"), ("main.c", "int main() {}")]);
        assert_eq!(Kind::of(code.path()).unwrap(), Kind::Text);
        assert_eq!(files(code.path(), Source::Text).unwrap().len(), 3);
    }

    #[test]
    fn text_that_cannot_be_prepared_is_told_before_and_a_page_among_others_is_one() {
        let dir =
            folder(&[("a/x.txt", "words of a text"), ("a/y.html", "<html>more words</html>"), ("b.txt", "words")]);
        for (name, bytes) in
            [("latin.txt", &b"caf\xe9 au lait"[..]), ("x.xz", b"\xfd7zXZ\0\0\0"), ("cut.gz", b"\x1f\x8b\x08\0")]
        {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let check = |name: &str| check_text(&dir.path().join(name)).map_err(|error| error.to_string());
        for (name, said) in
            [("latin.txt", "not UTF-8"), ("x.xz", "unxz"), ("cut.gz", "cut short"), ("a/y.html", "web page")]
        {
            assert!(check(name).unwrap_err().contains(said), "{name}: {:?}", check(name));
        }
        for name in ["a", "b.txt", "nowhere.txt"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn two_kinds_in_a_folder_are_told_by_a_file_of_each() {
        let dir = folder(&[("a.jsonl", LINE), ("b.parquet", "PAR1"), ("README.md", "x")]);
        let error = Kind::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("a.jsonl is JSON Lines") && error.contains("b.parquet is Parquet"), "{error}");
    }

    #[test]
    fn a_name_that_tells_nothing_is_known_by_its_beginning() {
        let list = format!("[{}]", LINE.trim());
        let table = "id,body\n".to_owned() + &"1,words\n".repeat(20);
        let dir =
            folder(&[("a.txt", LINE), ("b.json", &list), ("c.txt", &table), ("words.bin", "plain words of a text")]);
        let of = |name: &str| Kind::of(&dir.path().join(name)).map_err(|error| error.to_string());
        assert_eq!(of("a.txt"), Ok(Kind::Jsonl));
        assert_eq!(field_of_text(&dir.path().join("a.txt")).as_deref(), Some("body"));
        assert!(of("b.json").unwrap_err().contains("jq -c '.[]'"));
        assert!(of("c.txt").unwrap_err().contains("this is a table"));
        assert_eq!(of("words.bin"), Ok(Kind::Text));
        assert_eq!(of("nowhere.parquet"), Ok(Kind::Parquet));
    }
}
