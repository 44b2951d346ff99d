//! The files of a results folder, each whole or absent, with checksums where they hold results.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LedgerError;
use crate::whole;

/// Replaces a file as a whole, durably.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), LedgerError> {
    whole::write(path, content).map_err(LedgerError::io("write", path))
}

/// Replaces a file as a whole; when the machine fails soon after, it may be lost.
pub(super) fn write_unsynced(path: &Path, content: &[u8]) -> Result<(), LedgerError> {
    whole::write_unsynced(path, content).map_err(LedgerError::io("write", path))
}

/// Replaces a file by a value as JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), LedgerError> {
    write(path, &json(value))
}

/// Gives `content` the name `path` unless that name is taken; tells whether it was free.
pub(super) fn publish(path: &Path, content: &[u8]) -> Result<bool, LedgerError> {
    whole::publish(path, content).map_err(LedgerError::io("publish", path))
}

/// An error where nothing could be published in a folder.
pub(super) fn try_publishing(dir: &Path) -> Result<(), LedgerError> {
    let path = dir.join(format!(".publish-{}", std::process::id()));
    let tried = publish(&path, b"");
    let _ = fs::remove_file(&path);
    tried.map(drop)
}

/// Replaces a file by what `fill` writes, durably.
pub(super) fn fill(path: &Path, fill: whole::Fill<'_>) -> Result<(), LedgerError> {
    whole::fill(path, fill).map_err(LedgerError::io("write", path))
}

/// Replaces a file by what `fill` writes, durably, and keeps the file before it as `previous`.
pub(super) fn rotate(path: &Path, previous: &Path, fill: whole::Fill<'_>) -> Result<(), LedgerError> {
    whole::rotate(path, previous, fill).map_err(LedgerError::io("write", path))
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    whole::sync_dir(dir).map_err(LedgerError::io("sync", dir))
}

/// Makes a folder and its parents.
pub(super) fn create_dir(dir: &Path) -> Result<(), LedgerError> {
    fs::create_dir_all(dir).map_err(LedgerError::io("create", dir))
}

/// A value as pretty JSON with a newline at its end.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("the ledger's records have only string keys");
    text.push(b'\n');
    text
}

/// What stands before the checksum of a sealed file, and after it.
const SEAL: [&str; 2] = [",\n  \"blake3\": \"", "\"\n}\n"];

/// An object as pretty JSON whose last field is the BLAKE3 checksum of all the text before it.
pub(super) fn sealed_json(value: &impl Serialize) -> Vec<u8> {
    let mut text = json(value);
    text.truncate(text.len() - "\n}\n".len());
    let checksum = blake3::hash(&text).to_hex();
    text.extend([SEAL[0], &checksum, SEAL[1]].concat().bytes());
    text
}

/// The value of a sealed file, nothing where there is none.
pub(super) fn read_sealed<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
    let Some(mut content) = read(path)? else { return Ok(None) };
    let damaged = |reason: String| LedgerError::Damaged { path: path.to_owned(), reason };
    let seal = SEAL[0].len() + 2 * blake3::OUT_LEN + SEAL[1].len();
    let end = content.len().saturating_sub(seal);
    let expected = [SEAL[0], &blake3::hash(&content[..end]).to_hex(), SEAL[1]].concat();
    if content[end..] != *expected.as_bytes() {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    content.truncate(end);
    content.push(b'}');
    serde_json::from_slice(&content).map(Some).map_err(|error| damaged(error.to_string()))
}

/// The bytes of a file, nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(LedgerError::io("read", path)(cause)),
    }
}

/// The value of a JSON file, nothing where there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
    let Some(content) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&content).map(Some).map_err(|error| damaged(path, &error))
}

/// The values of a file with one JSON value a line. A last line without its newline was torn by a crash and is left
/// out; anything else that does not parse is damage.
pub(super) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, LedgerError> {
    let content = fs::read(path).map_err(LedgerError::io("read", path))?;
    let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    content[..whole]
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|error| damaged(path, &error)))
        .collect()
}

fn damaged(path: &Path, error: &serde_json::Error) -> LedgerError {
    LedgerError::Damaged { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_left_out_and_a_broken_one_before_it_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, "1\n2\n{\"st").unwrap();
        assert_eq!(read_lines::<u32>(&path).unwrap(), [1, 2]);
        // Complete but for its newline is torn as well: a number may have lost digits.
        fs::write(&path, "1\n23").unwrap();
        assert_eq!(read_lines::<u32>(&path).unwrap(), [1]);
        fs::write(&path, "1\n{\"st\n3\n").unwrap();
        assert!(matches!(read_lines::<u32>(&path), Err(LedgerError::Damaged { .. })));
    }

    #[test]
    fn below_a_regular_file_nothing_can_be_written_and_the_error_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = create_dir(&file.path().join("results")).unwrap_err().to_string();
        assert!(error.contains("is a file") && error.contains("--out"), "{error}");
    }
}
